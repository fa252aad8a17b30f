"""The run that holds a bench: where it is, and what can be done to it."""

from nicegui import ui

from labonn.web.shell import Visit, button, card, link, text
from labonn.web.states import PERIOD_S

_BUTTONS = (("pause", "pause", ""), ("resume", "play_arrow", "main"), ("abort", "stop", "grave"))
_WAYS = {"running": ("pause", "abort"), "pausing": ("resume", "abort"), "paused": ("resume", "abort")}


def run_control(visit: Visit) -> None:
    """Show it, as a part of a view."""
    name = visit.bench or ""
    with card("Now"):
        line = text("p", "").classes("now")
        bar = ui.linear_progress(0.0, show_value=False, size="12px").props('aria-label="Progress of the step"')
        more = text("p", "").classes("soft")
        with ui.element("div").classes("line"):
            to_run = link("", "#")
            buttons = {}
            if visit.may_move:
                for operation, icon, kind in (
                    ("pause", "pause", ""),
                    ("resume", "play_arrow", "main"),
                    ("abort", "stop", "grave"),
                ):

                    async def act(operation: str = operation) -> None:
                        await visit.trying(
                            lambda: visit.desk.control(visit.session, name, operation)  # type: ignore[arg-type]
                        )

                    buttons[operation] = button(operation.capitalize(), act, icon=icon, kind=kind)

    def update() -> None:
        state = visit.state
        told = {} if state is None else state.told
        doing = "idle" if state is None else state.doing
        line.text = "Nothing runs on this bench." if state is None or doing == "idle" else state.headline
        done, total = told.get("done"), told.get("total")
        bar.set_visibility(bool(total))
        if total:
            bar.value = round(min(1.0, (done or 0) / total), 3)
        more.text = _more(told) if state is not None and state.run else (state.holder or "" if state else "")
        run = None if state is None else state.run
        to_run.text = f"its run {run}" if run else ""
        to_run.props(f'href="/runs/{run}"' if run else 'href="#"')
        to_run.set_visibility(bool(run))
        for operation, one in buttons.items():
            one.set_visibility(operation in _WAYS.get(doing, ()))

    update()
    ui.timer(PERIOD_S, update)


def _more(told: object) -> str:
    assert hasattr(told, "get")
    seconds = told.get("seconds") or 0.0
    words = [f"by {told.get('operator')}", f"for {seconds // 60:.0f} min {seconds % 60:.0f} s"]
    checkpoint_s, script_line = told.get("checkpoint_s") or 0.0, told.get("line")
    if checkpoint_s > 5 and script_line:
        words.append(
            f"no checkpoint for {checkpoint_s:.0f} s, in line {script_line} of the script: pause waits for the next"
        )
    return ", ".join(words)
