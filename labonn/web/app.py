"""The page as an ASGI application: the routes of the views, the HTTP interface, and the guard before them all."""

import asyncio
import os
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from pathlib import Path

from fastapi import FastAPI, Request
from fastapi.staticfiles import StaticFiles

from labonn.records.runs import labonn_version
from labonn.web.actions import Actions
from labonn.web.cameras import Cameras
from labonn.web.desk import Desk
from labonn.web.guarding import Guarded
from labonn.web.launching import Launcher
from labonn.web.place import Place
from labonn.web.protocols import Protocols
from labonn.web.sessions import Sessions
from labonn.web.states import States
from labonn.web.users import Access

_STATIC = Path(__file__).parent / "static"
_HEAD = """<link rel="stylesheet" href="/static/labonn.css">
<link rel="icon" href="/static/labonn.svg" type="image/svg+xml">
<meta name="theme-color" content="#0b0d10">
<script src="/static/labonn.js" defer></script>"""
_RECONNECT_S = 30.0  # how long a phone that was in a pocket finds its page as it left it


def make_desk(lab: Path, benches: Iterable[Path], access: Access) -> Desk:
    """Put together what the page is made of."""
    place = Place(lab, benches)
    return Desk(
        place=place,
        access=access,
        sessions=Sessions(),
        actions=Actions(place.own),
        states=States(place),
        launcher=Launcher(place),
        protocols=Protocols(place),
        cameras=Cameras(),
    )


def make_app(desk: Desk, *, over_tls: bool) -> Guarded:
    """Make the application. NiceGUI has one application a process: this can be called once."""
    os.environ.setdefault("NICEGUI_STORAGE_PATH", str(desk.place.own / "nicegui"))
    from nicegui import ui

    from labonn.web.api import add_api
    from labonn.web.login import add_login

    @asynccontextmanager
    async def looking(app: FastAPI) -> AsyncIterator[None]:
        await desk.states.look()
        task = asyncio.create_task(desk.states.keep_looking())
        describing = asyncio.create_task(desk.protocols.all())  # so that the first who opens the form need not wait
        try:
            yield
        finally:
            for one in (task, describing):
                one.cancel()
            await asyncio.gather(task, describing, return_exceptions=True)

    app = FastAPI(
        title="labonn",
        version=labonn_version(),
        lifespan=looking,
        openapi_url="/api/openapi.json",
        docs_url=None,  # its page asks another server for scripts
        redoc_url=None,
        redirect_slashes=False,
    )
    app.mount("/static", StaticFiles(directory=_STATIC), name="labonn static")
    add_login(app, desk, over_tls=over_tls)
    add_api(app, desk)
    _add_views(desk)
    ui.add_head_html(_HEAD, shared=True)
    ui.run_with(
        app,
        title="labonn",
        favicon=_STATIC / "labonn.svg",
        dark=True,
        language="en-US",
        reconnect_timeout=_RECONNECT_S,
        binding_refresh_interval=None,
        tailwind=False,
        gzip_middleware_factory=None,  # the guard reads pages as they are
        show_welcome_message=False,
    )
    return Guarded(app, desk.access, desk.sessions, over_tls=over_tls)


def _add_views(desk: Desk) -> None:
    from nicegui import ui

    from labonn.web.bench_view import bench_view
    from labonn.web.compare_view import compare_view
    from labonn.web.design_view import design_view
    from labonn.web.drift_view import drift_view
    from labonn.web.live_view import live_view
    from labonn.web.one_run_view import one_run_view
    from labonn.web.releases_view import releases_view
    from labonn.web.run_view import run_view
    from labonn.web.runs_view import runs_view
    from labonn.web.shell import visit_of

    @ui.page("/")
    async def show_bench(request: Request) -> None:
        await bench_view(visit_of(desk, request))

    @ui.page("/live")
    async def show_live(request: Request) -> None:
        await live_view(visit_of(desk, request))

    @ui.page("/run")
    async def show_run(request: Request) -> None:
        await run_view(visit_of(desk, request), request.query_params.get("protocol"))

    @ui.page("/runs")
    async def show_runs(request: Request) -> None:
        await runs_view(visit_of(desk, request))

    @ui.page("/runs/{run}")
    async def show_one_run(request: Request, run: str) -> None:
        await one_run_view(visit_of(desk, request), run)

    @ui.page("/compare")
    async def show_comparison(request: Request) -> None:
        await compare_view(visit_of(desk, request), *(request.query_params.get(one, "") for one in ("a", "b")))

    @ui.page("/releases")
    async def show_releases(request: Request) -> None:
        await releases_view(visit_of(desk, request))

    @ui.page("/drift")
    async def show_drift(request: Request) -> None:
        await drift_view(visit_of(desk, request))

    @ui.page("/design")
    async def show_design(request: Request) -> None:
        await design_view(visit_of(desk, request))
