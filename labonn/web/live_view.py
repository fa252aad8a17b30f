"""What the camera sees now: its picture with the tiles, its histogram, the maps beside those that are expected."""

import asyncio
from typing import Any

from nicegui import ui

from labonn.errors import LabonnError
from labonn.records.disk import sha256_of
from labonn.records.runs import RunRecord
from labonn.report import show
from labonn.web.cameras import Picture
from labonn.web.run_control import run_control
from labonn.web.seen_maps import Maps, Outlines, newest_maps, outlines
from labonn.web.shell import Visit, button, card, chosen_bench, text, view
from labonn.web.states import PERIOD_S

LOOK = "look"
_MAPS_S = 1.5
_STARTS_WITHIN_S = 120.0
_GREY, _BLUE = "#7f8791", "#56B4E9"


async def live_view(visit: Visit) -> None:
    """Show it."""
    with view(visit, "/live", "Live"):
        if chosen_bench(visit) is None:
            return
        with ui.element("div").classes("live"):
            with ui.element("div"):
                camera = _Camera(visit)
            with ui.element("div").classes("cards"):
                _readings(visit)
                _exposure(visit)
                run_control(visit)
        _maps(visit, camera)


class _Camera:
    """The picture, and the run that takes it."""

    def __init__(self, visit: Visit) -> None:
        self._visit = visit
        self.record: RunRecord | None = None
        self._shown = False
        self._tiles: Outlines | None = None
        self._tiles_of: Any = object()
        with ui.element("div").classes("camera") as self._box:
            self._picture = ui.element("img").props('alt="The camera\'s newest picture"')
            self._outlines = ui.html("", sanitize=False)
            self._nothing = text("div", "").classes("nothing")
        with ui.element("div").classes("line"):
            self._with_tiles = ui.switch("tiles", value=True, on_change=self._draw)
            text("span", "solid: positive half of a kernel; dashed: its negative half").classes("soft")
        self._picture.set_visibility(False)
        ui.timer(PERIOD_S, self._look)

    async def _look(self) -> None:
        visit, state = self._visit, self._visit.state
        held = state is not None and state.doing not in ("idle", "left")
        if held != self._shown:
            self._shown = held
            self._picture.set_visibility(held)
            if held:
                self._picture.props(f'src="/live/{visit.bench}.mjpeg"')
            else:
                # An empty picture ends the stream.
                self._picture.props('src="data:image/gif;base64,R0lGODlhAQABAAAAACw="')
        picture = visit.desk.cameras.of(visit.bench or "").picture
        self._nothing.set_visibility(picture is None)
        self._outlines.set_visibility(picture is not None)
        if not held:
            self._nothing.text = "Nothing runs, so the camera takes no pictures."
        elif picture is None:
            self._nothing.text = "No picture yet: the run takes none at the moment."
        run = None if state is None else state.run
        try:
            self.record = None if run is None else await asyncio.to_thread(visit.desk.run, run)
        except LabonnError:
            return  # it is being written
        used = None if self.record is None else self.record.captured_with
        if (run, used and used.calibration) != self._tiles_of:
            self._tiles_of = (run, used and used.calibration)
            self._tiles = await asyncio.to_thread(outlines, visit.desk, visit.bench or "", self.record)
            self._draw()

    def _draw(self) -> None:
        self._outlines.set_content(_svg(self._tiles) if self._tiles and self._with_tiles.value else "")
        if self._tiles:
            height, width = self._tiles.shape
            self._box.style(f"aspect-ratio: {width} / {height}")


def _svg(tiles: Outlines) -> str:
    height, width = tiles.shape
    shapes = "".join(
        f'<polygon class="{"plus" if number % 2 == 0 else "minus"}" points="'
        + " ".join(f"{x:.1f},{y:.1f}" for y, x in corners)
        + '"/>'
        for number, corners in enumerate(tiles.corners)
    )
    return f'<svg viewBox="0 0 {width} {height}" aria-hidden="true">{shapes}</svg>'


def _readings(visit: Visit) -> None:
    with card("Camera"):
        line = text("p", "").classes("now")
        warning = text("p", "").props('role="status"')
        chart = ui.echart(_histogram_options(), renderer="svg").classes("chart").style("height: 11rem")
        chart.props('role="img" aria-label="Histogram of the newest picture"')
    last: list[Picture | None] = [None]

    def update() -> None:
        picture = visit.desk.cameras.of(visit.bench or "").picture
        if picture is last[0]:
            return
        last[0] = picture
        if picture is None:
            line.text, warning.text = "no picture", ""
            return
        seen = picture.seen
        height, width = seen.pixels.shape
        line.text = f"{seen.exposure_ms:.4g} ms, {height} x {width} px, frame {seen.number}"
        if picture.saturated_px:
            share = 100 * picture.saturated_px / seen.pixels.size
            warning.text = f"\u25b3 {picture.saturated_px} pixels saturated ({share:.2g} %)"
            warning.classes(add="saturated", remove="soft")
        else:
            share = 100 * picture.highest / seen.saturation
            warning.text = f"brightest {picture.highest} of {seen.saturation} counts: {share:.0f} %"
            warning.classes(add="soft", remove="saturated")
        step = (seen.saturation + 1) / len(picture.counts)
        chart.options["series"][0]["data"] = [
            [round(step * (place + 0.5)), int(count) or None] for place, count in enumerate(picture.counts)
        ]
        chart.options["xAxis"]["max"] = seen.saturation
        chart.update()

    ui.timer(PERIOD_S, update)


def _histogram_options() -> dict[str, Any]:
    label = {"color": _GREY}
    return {
        "animation": False,
        "grid": {"left": 52, "right": 14, "top": 12, "bottom": 40},
        "xAxis": {"type": "value", "name": "counts", "nameLocation": "middle", "nameGap": 24,
                  "nameTextStyle": label, "axisLabel": label, "splitLine": {"show": False}, "min": 0, "max": 4095},
        "yAxis": {"type": "log", "axisLabel": label, "splitNumber": 3, "min": 1,
                  "splitLine": {"lineStyle": {"color": "#7f879140"}}},
        "series": [{"type": "bar", "data": [], "barWidth": "96%", "itemStyle": {"color": _BLUE}}],
    }  # fmt: skip


def _exposure(visit: Visit) -> None:
    """Look through the camera, when nothing else runs; another exposure begins anew."""
    if not visit.may_move:
        return
    with card("Look") as box:
        text("p", "Opens the shutter, and shows what the camera sees. Records nothing.").classes("soft")
        exposure = ui.number("exposure, ms", value=20.0, min=0.01, max=10_000, step=1).props("outlined dense")
        brightness = ui.number("brightness, 0 to 1", value=1.0, min=0, max=1, step=0.1).props("outlined dense")
        said = text("p", "").props('role="status"').classes("soft")

        async def look() -> None:
            state = visit.state
            if state is not None and state.told.get("protocol") == LOOK:
                await visit.trying(lambda: visit.desk.control(visit.session, visit.bench or "", "abort"))
                for _ in range(int(_STARTS_WITHIN_S / PERIOD_S)):
                    await asyncio.sleep(PERIOD_S)
                    if visit.state is None or visit.state.doing == "idle":
                        break
            said.text = "starting \u2026"
            await visit.trying(lambda: _start(visit, exposure.value, brightness.value))
            said.text = ""

        start = button("Look", look, icon="visibility", kind="main")

    def update() -> None:
        state = visit.state
        looking = state is not None and state.told.get("protocol") == LOOK
        start.text = "Set" if looking else "Look"
        box.set_visibility(looking or state is None or state.doing == "idle")

    update()
    ui.timer(PERIOD_S, update)


async def _start(visit: Visit, exposure_ms: float | None, brightness: float | None) -> None:
    desk, bench = visit.desk, visit.bench or ""
    protocol = (await desk.protocols.all()).get(LOOK)
    if protocol is None:
        raise LabonnError("the protocol 'look' is missing from this installation")
    values = {"exposure_ms": "" if exposure_ms is None else f"{exposure_ms:g}", "brightness": f"{brightness or 0.0:g}"}
    sha256 = await asyncio.to_thread(sha256_of, desk.bench(bench).path)
    launch = await desk.start_run(visit.session, LOOK, protocol.sha256, bench, sha256, values)
    for _ in range(int(_STARTS_WITHIN_S / PERIOD_S)):
        await asyncio.sleep(PERIOD_S)
        if launch.exit_code not in (None, 0):
            raise LabonnError(launch.error or "it could not be started")
        if visit.state is not None and visit.state.told.get("protocol") == LOOK:
            return


def _maps(visit: Visit, camera: _Camera) -> None:
    with card("Feature maps of the newest capture", wide=True) as box:
        caption = text("p", "").classes("soft")
        with ui.element("div").classes("maps"):
            strips = {}
            for name in ("simulated", "captured", "difference"):
                text("h3", name)
                strips[name] = ui.element("img").props(f'alt="Feature maps, {name}"')
        text("p", "Blue below zero, vermillion above; one scale for all three of a kernel.").classes("soft")
    box.set_visibility(False)
    last: list[tuple[str, int]] = [("", 0)]

    async def update() -> None:
        record = camera.record
        if record is None:
            return
        try:
            maps = await asyncio.to_thread(newest_maps, visit.desk, record, last[0])
        except LabonnError:
            return  # the frames are being written, or there are none yet
        if maps is None:
            return
        last[0] = (maps.group, maps.number)
        caption.text = (
            f"capture {maps.number} of {maps.group}: the difference is {show(maps.off_percent)} % of what is expected"
        )
        _put(strips, maps)
        box.set_visibility(True)

    ui.timer(_MAPS_S, update)


def _put(strips: dict[str, ui.element], maps: Maps) -> None:
    for name, strip in strips.items():
        strip.props["src"] = getattr(maps, name)
        strip.update()
