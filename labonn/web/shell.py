"""What every view stands in: how the bench is, the dark button, the way to the other views."""

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import urlencode

from fastapi import Request
from nicegui import ui
from nicegui.elements.mixins.text_element import TextElement

from labonn.errors import LabonnError
from labonn.web.api import session_of
from labonn.web.desk import Desk
from labonn.web.sessions import Session
from labonn.web.states import PERIOD_S, BenchState

VIEWS = (
    ("/", "Bench", "biotech"),
    ("/live", "Live", "videocam"),
    ("/run", "Run", "play_circle"),
    ("/runs", "Runs", "list"),
    ("/releases", "Releases", "inventory_2"),
    ("/drift", "Drift", "show_chart"),
    ("/design", "Design", "grid_on"),
)
LIGHTS = {
    "dark": ("dark_mode", "DARK"),
    "lit": ("light_mode", "LIT"),
    "unknown": ("warning", "MAY BE LIT"),
    "none": ("help", "NO BENCH"),
}
_OLD_S = 4.0


@dataclass(frozen=True)
class Visit:
    """Somebody looks at a view, of one bench."""

    desk: Desk
    session: Session
    bench: str | None

    @property
    def state(self) -> BenchState | None:
        """How that bench is; None where the laboratory has none."""
        return self.desk.states.benches.get(self.bench or "")

    @property
    def may_move(self) -> bool:
        """Whether they may start, stop or change anything."""
        return self.session.person.may_move

    def to(self, path: str, **query: str) -> str:
        """Give the address of a view of the same bench."""
        words = {**({"bench": self.bench} if self.bench else {}), **query}
        return f"{path}?{urlencode(words)}" if words else path

    async def trying(self, act: Callable[[], Awaitable[object]], done: str | None = None) -> bool:
        """Do something; say what went wrong, or that it is done."""
        try:
            await act()
        except LabonnError as error:
            tell(str(error), "negative")
            return False
        if done:
            tell(done, "positive")
        return True


def visit_of(desk: Desk, request: Request) -> Visit:
    """Find out who looks, and at which bench: the one that was asked for, else one that is held, else the first."""
    benches = desk.states.benches
    asked = request.query_params.get("bench")
    held = [name for name, state in benches.items() if state.doing != "idle"]
    bench = asked if asked in benches else next(iter([*held, *benches]), None)
    return Visit(desk, session_of(request), bench)


def tell(words: str, kind: str = "info") -> None:
    """Show a message until it is closed, where something went wrong, or for some seconds."""
    wrong = kind in ("negative", "warning")
    ui.notification(
        words[:1500], type=kind, multi_line=True, close_button="close" if wrong else False,  # type: ignore[arg-type]
        timeout=None if wrong else 6, position="top",
    )  # fmt: skip


@contextmanager
def view(visit: Visit, path: str, title: str) -> Iterator[None]:
    """Stand in the frame of every view.

    Parameters
    ----------
    visit
        Who looks.
    path, title
        Which of `VIEWS` it belongs to, and what it is called.
    """
    ui.page_title(f"{title} - labonn")
    ui.query("body").classes("lab")
    with ui.element("div").classes("frame"):
        _top(visit)
        with ui.element("nav").classes("views").props('aria-label="Views"'):
            for target, name, icon in VIEWS:
                current = 'aria-current="page"' if target == path else ""
                with ui.element("a").props(f'href="{visit.to(target)}" {current}'):
                    ui.icon(icon).props('aria-hidden="true"')
                    text("span", name).classes("name")
        with ui.element("main").props('id="content" tabindex="-1"'):
            text("h1", title).classes("title")
            yield


def _top(visit: Visit) -> None:
    with ui.element("header").classes("top"):
        if visit.bench is not None:
            with (
                ui.element("button")
                .classes("dark-button")
                .props(f'type="button" data-dark="{visit.bench}" aria-label="Make bench {visit.bench} dark now"')
            ):
                ui.icon("power_settings_new").props('aria-hidden="true"')
                text("span", "MAKE DARK")
        _state_of_the_bench(visit)
        with ui.element("div").classes("who"):
            if len(visit.desk.states.benches) > 1:
                _choose_bench(visit)
            person = visit.session.person
            text("span", f"{person.name}, {person.role}").classes("person")
            with (
                ui.element("button")
                .props('type="button" data-theme aria-label="Light or dark theme" title="Light or dark theme"')
                .classes("quiet")
            ):
                ui.icon("contrast").props('aria-hidden="true"')
            if visit.session.key:
                form = ui.element("form").props('method="post" action="/logout"')
                with form, ui.element("button").props('type="submit"').classes("quiet"):
                    text("span", "log out")


def _choose_bench(visit: Visit) -> None:
    names = list(visit.desk.states.benches)
    ui.select(
        names, value=visit.bench, label="bench", on_change=lambda event: ui.navigate.to(f"?bench={event.value}")
    ).props("dense outlined").classes("bench-choice")


def _state_of_the_bench(visit: Visit) -> None:
    with ui.element("div").classes("state").props('role="status" aria-live="polite"') as box:
        icon = ui.icon("help").props('aria-hidden="true"')
        with ui.element("div").classes("words"):
            with ui.element("div").classes("line"):
                light = text("span", "").classes("light")
                text("span", visit.bench or "").classes("bench")
            said = text("div", "").classes("said")
    shown: list[str] = [""]

    def update() -> None:
        state, age_s = visit.state, visit.desk.states.age_s
        kind = "none" if state is None else state.light
        if age_s > _OLD_S:
            kind = "unknown"
        if kind != shown[0]:
            box.classes(remove=f"is-{shown[0]}", add=f"is-{kind}")
            shown[0] = kind
        icon.name, light.text = LIGHTS[kind]
        if age_s > _OLD_S:
            said.text = f"not looked at for {age_s:.0f} s"
        else:
            said.text = "this laboratory has none yet" if state is None else state.headline

    update()
    ui.timer(PERIOD_S, update)


def text(tag: str, words: str) -> TextElement:
    """Make an element of nothing but text, which the browser never takes for anything else."""
    return TextElement(tag=tag, text=words)


def card(title: str, *, wide: bool = False) -> ui.element:
    """Begin a part of a view, with a heading."""
    box = ui.element("section").classes("card wide" if wide else "card")
    with box:
        text("h2", title)
    return box


def chosen_bench(visit: Visit) -> str | None:
    """Give the bench that is looked at; where there is none yet, say so, and what to do first."""
    if visit.bench is None:
        text("p", "This laboratory has no bench yet.")
        link("What to do first", "/")
    return visit.bench


def button(words: str, act: Callable[..., object], *, icon: str = "", kind: str = "") -> ui.button:
    """Make a button as large as a thumb; `kind` is ``main``, ``grave`` or nothing."""
    made = ui.button(words, on_click=act, icon=icon or None, color=None)
    return made.props("unelevated no-caps").classes(f"act {kind}")


def link(words: str, target: str, *, new: bool = False) -> ui.link:
    """Make a link."""
    return ui.link(words, target, new_tab=new)


def at(utc: str) -> str:
    """Write a moment, of ISO 8601 in UTC, for people."""
    return f"{datetime.fromisoformat(utc):%Y-%m-%d %H:%M} UTC"


def facts(rows: dict[str, str]) -> None:
    """Show names and values, one a line."""
    with ui.element("dl").classes("facts"):
        for name, value in rows.items():
            text("dt", name)
            text("dd", value)


def table(columns: list[str], rows: list[list[str]], caption: str) -> None:
    """Show a table of texts; a first cell that begins with ``/`` holds ``address|text`` of a link."""
    box = ui.element("div").classes("scroll").props('tabindex="0" role="region"')
    box.props["aria-label"] = caption
    with box, ui.element("table"):
        with ui.element("thead"), ui.element("tr"):
            for column in columns:
                text("th", column).props('scope="col"')
        with ui.element("tbody"):
            for row in rows:
                with ui.element("tr"):
                    for cell in row:
                        with ui.element("td"):
                            _cell(cell)


def _cell(cell: str) -> None:
    if cell.startswith("/") and "|" in cell:
        target, _, words = cell.partition("|")
        link(words, target)
    elif cell.startswith(":"):
        kind, _, words = cell[1:].partition(":")
        badge(words, kind)
    else:
        text("span", cell)


SIGNS = {"good": "\u2713", "bad": "\u2717", "warn": "\u25b3", "neutral": "\u2013", "going": "\u25b6"}
STATUS_KINDS = {
    "done": "good", "failed": "bad", "refused": "warn", "aborted": "warn", "lost": "bad", "running": "going",
    "ok": "good", "drifted": "warn", "skipped": "neutral", "unreadable": "bad",
}  # fmt: skip


def badge(words: str, kind: str = "") -> None:
    """Show a state: by a sign and by colour."""
    kind = kind or STATUS_KINDS.get(words, "neutral")
    with ui.element("span").classes(f"badge {kind}"):
        text("span", SIGNS.get(kind, "")).classes("sign").props('aria-hidden="true"')
        text("span", words)
