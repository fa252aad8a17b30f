"""Displays that are a second screen: every pixel on it as it was sent, none on the operator's, whatever happens.

What is on the screens is read from the memory of an X server that has no monitor.
"""

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import numpy as np
import psutil
import pytest

from drivers import display as driver
from labonn.errors import ConfigError, InstrumentError
from labonn.instruments import SLM, Display
from tests.screens import DESK, Screen, Screens, two_screens
from tests.screens import SLM as PANEL
from tests.waiting import until

from .benches import make, site

ODD = Screen(400, 0, 251, 317)  # no stride, and no word, is a multiple of such a width


@pytest.fixture(scope="module")
def screens() -> Iterator[Screens]:
    with two_screens() as both:
        yield both


@contextmanager
def opened(kind: Any = Display, **changes: Any) -> Iterator[Any]:
    table = {"driver": "display", "screen": "SLM", "pitch_um": 8.0, "settle_ms": 0.0, "wait_for_refresh": False}
    instrument = make(kind, site(), **{**table, **changes})
    instrument.connect()
    try:
        yield instrument
    finally:
        instrument.disconnect()


def noise(shape: tuple[int, int], seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, shape).astype(np.uint8)


def returned(display: Any) -> bool:
    try:
        return bool(display.settings()["reported"]["returns"] == 1)
    except InstrumentError:
        return False


def refusal(display: Any) -> str:
    try:
        display.show(np.ones(display.shape))
    except InstrumentError as error:
        return str(error)
    return ""


def test_black_comes_first_and_the_screen_is_free_again_at_the_end(screens: Screens) -> None:
    with opened() as display:
        assert display.shape == (PANEL.height, PANEL.width)
        assert not screens.rgb().any()
        display.show(np.ones(display.shape))
        assert (screens.rgb() == 255).all()
        display.make_dark()
        assert not screens.rgb().any()
        display.show(np.ones(display.shape))
    until(lambda: not screens.rgb().any())


@pytest.mark.parametrize("wait_for_refresh", [False, True])
def test_every_pixel_is_as_it_was_sent_and_none_is_on_the_other_screen(
    screens: Screens, wait_for_refresh: bool
) -> None:
    with opened(wait_for_refresh=wait_for_refresh) as display:
        for seed in range(5):
            levels = noise(display.shape, seed)
            display.show(levels / 255)
            assert np.array_equal(screens.rgb(), np.repeat(levels[..., None], 3, axis=2))
            assert not screens.rgb(DESK).any()
        assert len(np.unique(levels)) == 256


def test_thousands_of_pictures_are_shown(screens: Screens) -> None:
    """PySide6 6.12.0 forgets a reference to None with each call into Qt: Python 3.11 ends after some thousands."""
    with opened() as display:
        levels = [noise(display.shape, seed) for seed in range(2)]
        assert display.preload([one / 255 for one in levels]) == 2
        for number in range(6_000):
            display.show_preloaded(number % 2)
        assert np.array_equal(screens.rgb()[..., 1], levels[1])


def test_a_screen_of_odd_sides_whatever_the_desktop_scales_by_and_wherever_the_pointer_is(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("QT_SCALE_FACTOR", "2")
    monkeypatch.setenv("QT_SCREEN_SCALE_FACTORS", "1.5;1.5")
    monkeypatch.setenv("QT_QPA_PLATFORM_PLUGIN_PATH", "/nowhere")  # as importing OpenCV leaves it
    with two_screens(ODD, (300, 1_100), pointer=True) as screens, opened() as display:
        levels = noise((ODD.height, ODD.width))
        display.show(levels / 255)
        assert np.array_equal(screens.rgb(ODD)[..., 1], levels)
        assert not screens.rgb(DESK).any()


def test_levels_in_one_colour_and_three_planes_of_them(screens: Screens) -> None:
    with opened(levels="green") as display:
        levels = noise(display.shape)
        display.show(levels / 255)
        assert np.array_equal(screens.rgb()[..., 1], levels)
        assert not screens.rgb()[..., [0, 2]].any()
    with opened(levels="rgb") as display:
        assert display.shape == (3 * PANEL.height, PANEL.width)
        levels = noise(display.shape)
        display.show(levels / 255)
        for colour in range(3):
            plane = levels[colour * PANEL.height : (colour + 1) * PANEL.height]
            assert np.array_equal(screens.rgb()[..., colour], plane)


def test_a_phase_is_sent_in_the_slm_s_levels(screens: Screens) -> None:
    with opened(SLM, levels_per_2pi=200) as slm:
        slm.show(np.full(slm.shape, np.pi))
        assert (screens.rgb() == 100).all()


def test_pictures_that_were_loaded_ahead(screens: Screens) -> None:
    with opened() as display:
        pictures = [noise(display.shape, seed) for seed in range(3)]
        assert display.preload(picture / 255 for picture in pictures) == 3
        assert not screens.rgb().any(), "loading shows nothing"
        for number in (2, 0, 1, 1, 2):
            display.show_preloaded(number)
            assert np.array_equal(screens.rgb()[..., 0], pictures[number])
        with pytest.raises(ValueError, match="picture 3 was not loaded; there are 3"):
            display.show_preloaded(3)
        assert display.preload([pictures[1] / 255]) == 1
        display.show_preloaded(0)
        assert np.array_equal(screens.rgb()[..., 0], pictures[1])
        with pytest.raises(ValueError, match="there are 1"):
            display.show_preloaded(2)
        with pytest.raises(ValueError, match="does not lie within 0 to 1"):
            display.preload([np.full(display.shape, 2.0)])


def windows() -> set[int]:
    """Processes of windows that this one has opened; other tests' benches may have some, too."""
    found = set()
    for child in psutil.Process().children():
        with contextlib.suppress(psutil.Error):  # one that has just ended has no command line
            found |= {child.pid} if "drivers.display_window" in child.cmdline() else set()
    return found


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"screen": "HDMI-2"}, r"screen = 'HDMI-2': there is no such screen; there are: 'Desk' 300 x 400 .*'SLM'"),
        (
            {"screen": "Desk"},
            r"screen = 'Desk': is the primary one, where the operator's desktop is; .*'SLM' 256 x 320",
        ),
        ({"size_px": [1080, 1920]}, r"size_px = \[1080, 1920\]: the screen 'SLM' has 256 x 320 px"),
    ],
)
def test_a_screen_that_it_must_not_be_is_refused(screens: Screens, changes: dict[str, Any], said: str) -> None:
    before = windows()
    with pytest.raises(ConfigError, match=f"^display: {said}"), opened(**changes):
        pass
    assert windows() <= before


def test_the_desktop_may_be_covered_where_the_bench_file_says_so(screens: Screens) -> None:
    with opened(screen="Desk", allow_primary=True) as display:
        display.show(np.ones(display.shape))
        assert (screens.rgb(DESK) == 255).all()
        assert not screens.rgb().any()


def test_without_a_graphical_session_or_qt_it_says_what_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    if sys.platform.startswith("linux"):
        with (
            pytest.raises(ConfigError, match="no graphical session here: neither DISPLAY nor WAYLAND_DISPLAY"),
            opened(),
        ):
            pass
    monkeypatch.setattr("drivers.display_process.find_spec", lambda name: None)
    with (
        pytest.raises(ConfigError, match=r"PySide6, which is not installed: pip install 'labonn\[display\]'"),
        opened(),
    ):
        pass


def test_a_server_that_is_not_there_is_said_in_its_own_words(monkeypatch: pytest.MonkeyPatch) -> None:
    if not sys.platform.startswith("linux"):
        pytest.skip("X is Linux's")
    monkeypatch.setenv("DISPLAY", ":9999")
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    with pytest.raises(InstrumentError, match=r"display: connecting.*|the window's process has ended: .*"), opened():
        pass


def test_one_screen_is_for_one_process(screens: Screens) -> None:
    with opened():
        taken = pytest.raises(InstrumentError, match="another process of labonn has the screen 'SLM:")
        with taken, opened(SLM, levels_per_2pi=255):
            pass
        with opened(screen="Desk", allow_primary=True):
            pass
    with opened():
        pass


def test_a_screen_that_goes_leaves_nothing_on_the_desktop_and_is_found_again(
    screens: Screens, caplog: pytest.LogCaptureFixture
) -> None:
    with opened(reconnect_ms=100) as display, ExitStack() as held:
        held.callback(screens.plug_in)
        display.show(np.ones(display.shape))
        screens.unplug()
        with pytest.raises(
            InstrumentError, match=r"the screen 'SLM' has gone \(asleep, unplugged, off\); there are: Desk"
        ):
            display.show(np.ones(display.shape))
        assert not screens.rgb(DESK).any()
        held.close()
        until(lambda: returned(display))
        assert not screens.rgb().any(), "black until it is told"
        levels = noise(display.shape)
        display.show(levels / 255)
        assert np.array_equal(screens.rgb()[..., 0], levels)
        assert not screens.rgb(DESK).any()


def test_a_screen_that_sleeps_for_a_moment_is_waited_for(screens: Screens, caplog: pytest.LogCaptureFixture) -> None:
    with opened(reconnect_ms=4_000) as display:
        screens.unplug()
        threading.Timer(0.4, screens.plug_in).start()
        levels = noise(display.shape)
        display.show(levels / 255)
        assert np.array_equal(screens.rgb()[..., 0], levels)
    assert "its screen had gone and has come back" in caplog.text


def test_a_screen_whose_resolution_changes_is_not_shown_on_any_more(screens: Screens) -> None:
    with opened() as display, ExitStack() as held:
        held.callback(screens.plug_in)
        held.callback(screens.unplug)
        screens.unplug()
        until(lambda: "has gone" in refusal(display))  # Qt does not notice what changes while it is not looking
        screens.plug_in("SLM", ODD)
        until(lambda: "has 251 x 317 now; open the bench again" in refusal(display))


def test_the_window_ends_with_its_holder(screens: Screens) -> None:
    code = """if True:
        import tempfile, time, pathlib
        from drivers.display_process import WindowProcess
        memory = pathlib.Path(tempfile.mkdtemp()) / "pixels"
        memory.touch()
        window = WindowProcess({
            "screen": "SLM", "allow_primary": False, "channels": 1, "wait_for_refresh": False,
            "memory": str(memory), "slots": 2, "locks": str(memory.parent),
        })
        with memory.open("r+b") as file:
            file.write(bytes([255]) * memory.stat().st_size)
        window.ask("show", 5.0, slot=0)
        print(window._process.pid, flush=True)
        time.sleep(60)
    """
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        window = int(holder.stdout.readline())
        assert (screens.rgb() == 255).all()
        os.kill(holder.pid, signal.SIGKILL if hasattr(signal, "SIGKILL") else signal.SIGTERM)
        until(lambda: not psutil.pid_exists(window) or psutil.Process(window).status() == psutil.STATUS_ZOMBIE)
        until(lambda: not screens.rgb().any())


def test_a_window_that_is_killed_is_an_error_and_nothing_hangs(screens: Screens) -> None:
    with opened() as display:
        begun = time.monotonic()
        display._process._process.kill()
        with pytest.raises(InstrumentError, match="the window's process has ended"):
            display.show(np.ones(display.shape))
        assert time.monotonic() - begun < 2


def test_this_process_never_loads_qt(screens: Screens) -> None:
    with opened() as display:
        display.show(np.ones(display.shape))
    assert driver.__name__ in sys.modules
    assert not [name for name in sys.modules if name.startswith("PySide6")]
