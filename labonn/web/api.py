"""The HTTP interface: what the dark button uses, and what other programs may. Plain answers, no page."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from typing import Annotated, Any, Literal

from fastapi import APIRouter, FastAPI, HTTPException, Request
from fastapi import Path as InPath
from fastapi.responses import FileResponse, JSONResponse, Response, StreamingResponse
from pydantic import BaseModel, ConfigDict, Field

from labonn.errors import ConfigError, InstrumentError, LabonnError
from labonn.records.catalogue import Catalogue
from labonn.records.disk import plain, sha256_of
from labonn.web.desk import Desk, NotAllowed
from labonn.web.guarding import REPORT_POLICY
from labonn.web.sessions import Session

_BOUNDARY = "labonn-frame"
_MOST_VIEWERS = 32

Name = Annotated[str, InPath(min_length=1, max_length=100, pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$")]
_TextOf = Annotated[str, Field(max_length=2000)]


class Detail(BaseModel):
    """Why something was not done."""

    detail: str


_REFUSALS: dict[int | str, dict[str, Any]] = {
    400: {"model": Detail, "description": "It is no JSON."},
    401: {"model": Detail, "description": "Nobody is logged in."},
    403: {"model": Detail, "description": "A viewer may make it dark, no more; or it came from another page."},
    404: {"model": Detail, "description": "There is no such bench, run or model."},
    409: {"model": Detail, "description": "It cannot be done now, or was refused."},
    413: {"model": Detail, "description": "It is too large."},
    502: {"model": Detail, "description": "An instrument, or the process that holds the bench, failed."},
}


class NewRun(BaseModel):
    """A protocol to be started."""

    model_config = ConfigDict(extra="forbid")

    protocol: str = Field(max_length=100)
    bench: str = Field(max_length=100)
    settings: dict[Annotated[str, Field(max_length=100)], _TextOf] = Field(default_factory=dict, max_length=100)
    dry_run: bool = False


def status_of(error: LabonnError) -> int:
    """Give the HTTP status for an error."""
    if isinstance(error, NotAllowed):
        return 403
    if isinstance(error, InstrumentError):
        return 502
    if isinstance(error, ConfigError) and str(error).startswith("there is no"):
        return 404
    return 409


def add_api(app: FastAPI, desk: Desk) -> None:
    """Add the routes."""
    router = APIRouter(responses=_REFUSALS)

    @app.exception_handler(LabonnError)
    async def said(request: Request, error: LabonnError) -> JSONResponse:
        return JSONResponse({"detail": str(error)}, status_of(error))

    @router.get("/api/health")
    async def health() -> dict[str, bool]:
        """Say that the server answers."""
        return {"ok": True}

    @router.get("/api/benches")
    async def benches() -> list[dict[str, Any]]:
        """List the benches, and how they are."""
        return [_as_json(state) for state in desk.states.benches.values()]

    @router.post("/api/benches/{bench}/dark")
    async def dark(bench: Name, request: Request) -> dict[str, Any]:
        """Make a bench dark, whoever holds it; its run ends as aborted. A viewer may, too."""
        done = await desk.dark(session_of(request), bench)
        return {"dark": True, "was_lit": done.was_lit, "seconds": done.seconds, "by": done.by, "words": done.words}

    @router.post("/api/benches/{bench}/control/{operation}")
    async def control(bench: Name, operation: Literal["pause", "resume", "abort"], request: Request) -> dict[str, Any]:
        """Pause, resume or abort the run that holds a bench."""
        return dict(plain(await desk.control(session_of(request), bench, operation)))

    @router.get("/api/runs")
    async def runs(limit: int = 20) -> dict[str, Any]:
        """List the latest runs."""

        def find() -> dict[str, Any]:
            with Catalogue(desk.place.lab) as catalogue:
                catalogue.catch_up()
                lines, count = catalogue.find(limit=max(1, min(limit, 1000)))
            return {"runs": [vars(line) for line in lines], "count": count}

        return await asyncio.to_thread(find)

    @router.post("/api/runs", status_code=202)
    async def start(new: NewRun, request: Request) -> dict[str, Any]:
        """Start a protocol on a bench."""
        protocol = (await desk.protocols.all()).get(new.protocol)
        if protocol is None:
            raise ConfigError(f"there is no protocol {new.protocol!r}")
        try:
            bench_sha256 = await asyncio.to_thread(sha256_of, desk.bench(new.bench).path)
        except OSError as error:
            raise ConfigError(f"the bench file cannot be read: {error}") from error
        launch = await desk.start_run(
            session_of(request),
            new.protocol,
            protocol.sha256,
            new.bench,
            bench_sha256,
            new.settings,
            dry_run=new.dry_run,
        )
        return {"started": launch.what, "pid": launch.process.pid}

    @router.get("/api/runs/{run}")
    async def one_run(run: Name) -> dict[str, Any]:
        """Give the record of a run."""
        return dict(plain(await asyncio.to_thread(lambda: desk.run(run).model_dump(by_alias=True))))

    @router.post("/api/runs/{run}/abort")
    async def abort(run: Name, request: Request) -> dict[str, str]:
        """End a run, whether it holds its bench or not."""
        return {"done": await desk.stop(session_of(request), run)}

    @router.get("/runs/{run}/report.html", response_class=FileResponse)
    async def report(run: Name) -> Response:
        """Give a run's report; nothing in it can run or reach anything."""
        path = desk.run_folder(run) / "report.html"
        if not path.is_file():
            raise HTTPException(404, "there is no report of this run yet")
        return FileResponse(path, media_type="text/html", headers={"content-security-policy": REPORT_POLICY})

    @router.get("/models/{model}/report.html", response_class=FileResponse)
    async def training(model: Name) -> Response:
        """Give the report of a training, by the model that it made."""
        path = desk.model_folder(model) / "report.html"
        if not path.is_file():
            raise HTTPException(404, "this model has no report: it was made for its bench by a run, which has one")
        return FileResponse(path, media_type="text/html", headers={"content-security-policy": REPORT_POLICY})

    @router.get("/designs/{design}/estimate.html", response_class=FileResponse)
    async def estimate(design: Name) -> Response:
        """Give the report of a design's latest estimate."""
        path = desk.estimate_report(design)
        return FileResponse(path, media_type="text/html", headers={"content-security-policy": REPORT_POLICY})

    @router.get("/runs/{run}/figures/{number}", response_class=FileResponse)
    async def figure(run: Name, number: int) -> Response:
        """Give a picture of a run, by its number in the record."""
        folder, figures = desk.run_folder(run), (await asyncio.to_thread(desk.run, run)).figures
        if not 0 <= number < len(figures):
            raise HTTPException(404, "there is no such picture")
        path = (folder / figures[number].file).resolve()
        if not path.is_relative_to(folder.resolve()) or path.suffix != ".png" or not path.is_file():
            raise HTTPException(404, "there is no such picture")
        return FileResponse(path, media_type="image/png")

    @router.get("/live/{bench}.mjpeg", include_in_schema=False)
    async def live(bench: Name, request: Request) -> StreamingResponse:
        """Give the camera's pictures as they come, for as long as somebody looks."""
        source = desk.cameras.of(desk.bench(bench).name)
        if source.viewers >= _MOST_VIEWERS:
            raise HTTPException(409, f"{_MOST_VIEWERS} look at this camera already")
        session = session_of(request)
        still = _still_in(desk, session)

        async def parts() -> AsyncIterator[bytes]:
            boundary = f"--{_BOUNDARY}\r\n".encode()
            yield boundary
            async for picture in source.pictures():
                if not still():
                    return
                head = f"Content-Type: image/jpeg\r\nContent-Length: {len(picture.jpeg)}\r\n\r\n"
                # A browser shows a part when it has seen the boundary behind it.
                yield head.encode() + picture.jpeg + b"\r\n" + boundary

        media = f"multipart/x-mixed-replace; boundary={_BOUNDARY}"
        return StreamingResponse(parts(), media_type=media, headers={"cache-control": "no-store"})

    @router.api_route("/api/{rest:path}", methods=["GET", "POST"], include_in_schema=False)
    async def nothing(rest: str) -> JSONResponse:
        return JSONResponse({"detail": "there is nothing here; /api/openapi.json says what there is"}, 404)

    app.include_router(router)


def session_of(request: Request) -> Session:
    """Give the session of a request; the guard lets none through without one."""
    session = request.state.session
    assert isinstance(session, Session)
    return session


def _still_in(desk: Desk, session: Session) -> Callable[[], bool]:
    return lambda: session.person is desk.access.local or desk.sessions.goes_on(session)


def _as_json(state: Any) -> dict[str, Any]:
    return {
        "bench": state.bench.name,
        "light": state.light,
        "doing": state.doing,
        "holder": state.holder,
        "remark": state.remark,
        "told": json.loads(json.dumps(plain(dict(state.told)))),
    }
