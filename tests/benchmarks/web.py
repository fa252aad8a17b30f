"""The operator's page under load: ``python -m tests.benchmarks.web``; needs Chromium, and 2 cores.

Pictures a second of a 1080 x 1080 px camera, by how much a capture loop is slowed by one viewer, seconds from the dark
button to darkness as the world's test door sees it, and with 5 viewers for `--minutes`: the slope of the server's
memory, and whether a frame was lost. About 25 minutes with the defaults; ``--minutes 1 --repeats 3`` tries it.
"""

import argparse
import json
import platform
import statistics
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import requests

from tests.benchmarks.results import write_section
from tests.waiting import until
from tests.web.laboratory import Laboratory, laboratory
from tests.web.server import Server, chromium, served

_BINNED = "binning = 2 "
_WHOLE = "binning = 1 "


@contextmanager
def running(made: Laboratory, server: Server, protocol: str, **settings: Any) -> Any:
    """Start a protocol through the page's interface; gives its run, and aborts it at the end."""
    asked = {"protocol": protocol, "bench": made.name, "settings": {key: str(value) for key, value in settings.items()}}
    answer = requests.post(f"{server.address}api/runs", json=asked, timeout=120)
    assert answer.status_code == 202, answer.text
    until(lambda: made.world.truth()["lit"])
    run = state(server)["told"]["run"]
    try:
        yield run
    finally:
        requests.post(f"{server.address}api/benches/{made.name}/control/abort", timeout=60)
        until(lambda: state(server)["doing"] == "idle")


def state(server: Server) -> dict[str, Any]:
    """How the bench is, as the page has it."""
    (found,) = requests.get(f"{server.address}api/benches", timeout=60).json()
    return dict(found)


def frames_a_second(made: Laboratory, seconds: float) -> float:
    """How many frames the world's camera delivers a second of this computer's time."""
    begun_s, begun = time.perf_counter(), made.world.truth()["frames"]
    time.sleep(seconds)
    return float((made.world.truth()["frames"] - begun) / (time.perf_counter() - begun_s))


def pictures(server: Server, bench: str, seconds: float) -> float:
    """How many pictures a second come over loopback."""
    count, begun_s = 0, 0.0
    with requests.get(f"{server.address}live/{bench}.mjpeg", stream=True, timeout=60) as answer:
        for chunk in answer.iter_content(1 << 16):
            count += chunk.count(b"image/jpeg") if begun_s else 0
            begun_s = begun_s or time.perf_counter()
            if time.perf_counter() - begun_s > seconds:
                break
    return count / seconds


def slow_down(
    made: Laboratory, server: Server, browser: Any, repeats: int, seconds: float
) -> tuple[float, float, float]:
    """Frames a second without and with one viewer, by turns, and pictures a second meanwhile; medians."""
    alone, watched, seen = [], [], []
    page = browser.new_page()
    with running(made, server, "look", frames=100_000):
        time.sleep(2)
        for _ in range(repeats):
            page.goto("about:blank")
            time.sleep(3)
            alone.append(frames_a_second(made, seconds))
            page.goto(f"{server.address}live")
            page.locator("text=/frame \\d+/").first.wait_for(timeout=60_000)
            time.sleep(1)
            watched.append(frames_a_second(made, seconds))
            seen.append(pictures(server, made.name, seconds / 2))
    page.close()
    return statistics.median(alone), statistics.median(watched), statistics.median(seen)


def to_dark(made: Laboratory, server: Server, browser: Any, repeats: int) -> list[float]:
    """Seconds from a click on the dark button to darkness, during a capture."""
    page, took = browser.new_page(), []
    page.goto(server.address)
    # The moment of the click itself, by the computer's clock: what Playwright needs to make one is not the page's.
    page.evaluate("addEventListener('click', () => { window.clickedAt = Date.now() / 1000 }, true)")
    for _ in range(repeats):
        asked = {"protocol": "look", "bench": made.name}
        assert requests.post(f"{server.address}api/runs", json=asked, timeout=120).status_code == 202
        until(lambda: made.world.truth()["lit"])
        time.sleep(1.5)
        page.get_by_role("button", name="dark now").click()
        page.locator("#dark-said.good").wait_for(timeout=60_000)
        truth = made.world.truth()
        assert not truth["lit"]
        took.append(truth["dark_since_unix_s"] - page.evaluate("window.clickedAt"))
        until(lambda: state(server)["doing"] == "idle")
    page.close()
    return took


def soak(made: Laboratory, server: Server, browser: Any, minutes: float, viewers: int) -> dict[str, float]:
    """Let viewers look while captures go on; gives the slope of the server's memory and what became of the frames."""
    process = psutil.Process(server.process.pid)
    pages = [browser.new_page(viewport={"width": 800, "height": 600}) for _ in range(viewers)]
    moments, sizes = [], []
    with running(made, server, "evaluate", test_images="all") as run:
        for page in pages:
            page.goto(f"{server.address}live")
        end_s = time.monotonic() + 60 * minutes
        while time.monotonic() < end_s:
            if state(server)["doing"] == "idle":  # all images were shown: again
                asked = {"protocol": "evaluate", "bench": made.name, "settings": {"test_images": "all"}}
                requests.post(f"{server.address}api/runs", json=asked, timeout=120)
                until(lambda: made.world.truth()["lit"])
            moments.append(time.monotonic() / 60)
            sizes.append(process.memory_info().rss / 2**20)
            time.sleep(1)
    for page in pages:
        page.close()
    asked_for = delivered = 0
    for file in sorted((made.lab / "runs").glob("*-evaluate-*/run.json")):
        record = json.loads(file.read_text(encoding="utf-8"))
        counts = record["notes"].get("frames: test")
        if counts and file.parent.name >= run:
            asked_for, delivered = asked_for + counts["asked"], delivered + counts["delivered"]
    after = len(moments) // 5  # caches fill at first
    slope = float(np.polyfit(moments[after:], sizes[after:], 1)[0])
    return {"slope": slope, "begun": sizes[after], "ended": sizes[-1], "asked": asked_for, "delivered": delivered}


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, and write the section."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--viewers", type=int, default=5)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=8.0, help="of each measurement of a speed")
    parser.add_argument("--dry-run", action="store_true", help="print the section, and write nothing")
    chosen = parser.parse_args(arguments)
    with ExitStack() as held:
        folder = Path(held.enter_context(tempfile.TemporaryDirectory()))
        browser = held.enter_context(chromium())
        with (
            laboratory(folder / "whole", "page-whole", "real", (_BINNED, _WHOLE), deployed=False) as made,
            served(made.lab, "--bench", str(made.bench)) as server,
        ):
            alone, watched, seen = slow_down(made, server, browser, chosen.repeats, chosen.seconds)
            dark = to_dark(made, server, browser, chosen.repeats)
        with laboratory(folder / "soak", "page-soak") as made, served(made.lab, "--bench", str(made.bench)) as server:
            soaked = soak(made, server, browser, chosen.minutes, chosen.viewers)
    section = "\n".join(
        [
            "## The operator's page",
            "",
            f"`python -m tests.benchmarks.web --minutes {chosen.minutes:g} --viewers {chosen.viewers} --repeats"
            f" {chosen.repeats}`, {datetime.now(UTC):%Y-%m-%d}; Chromium, the server, the run and the simulated"
            f" laboratory on one computer, {platform.machine()}, {psutil.cpu_count()} cores. Frames of 1080 x 1080 px"
            " in real time, medians, with and without a viewer by turns; the soak with the shipped binned frames,"
            " as fast as they come.",
            "",
            "| | asked for | measured |",
            "|---|---|---|",
            f"| pictures a second at 1080 x 1080, on loopback | >= 10 | {seen:.1f} |",
            f"| capture loop: frames a second, nobody looks | | {alone:.1f} |",
            f"| with one viewer | at most 10 % slower | {watched:.1f} ({100 * (watched / alone - 1):+.1f} %) |",
            f"| from the dark button to darkness, {len(dark)} times: median, worst | < 0.2 s |"
            f" {statistics.median(dark):.3f} s, {max(dark):.3f} s |",
            f"| memory of the server, {chosen.viewers} viewers, {chosen.minutes:g} min | no leak |"
            f" {soaked['begun']:.0f} to {soaked['ended']:.0f} MiB, {soaked['slope']:+.2f} MiB a minute |",
            f"| frames meanwhile: asked, delivered | none lost | {soaked['asked']:.0f}, {soaked['delivered']:.0f} |",
        ]
    )
    if chosen.dry_run:
        print(section)
    else:
        write_section("web", section)


if __name__ == "__main__":
    main()
