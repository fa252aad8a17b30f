"""Pictures of every view, made by ``python -m tests.web.pictures [--lab DIR] [--out DIR]``; needs Chromium.

Without `--lab`, a laboratory is made first: a little trained network on the simulated bench, recalibrated and watched.
The two in the README are written to docs/pictures/; the others, on a desk and a phone, dark and light, to `--out`.
"""

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from labonn.web.users import UserEntry, hash_password, write_users

from .laboratory import Laboratory, laboratory
from .server import chromium, served
from .visiting import log_in

README = Path(__file__).resolve().parents[2] / "docs" / "pictures"
DESK, PHONE = {"width": 1280, "height": 900}, {"width": 390, "height": 844}
VIEWS = ("/", "/live", "/run?protocol=recalibrate", "/runs", "/releases", "/drift", "/design")
_SETTLE_MS = 2_000


def main(arguments: Sequence[str] | None = None) -> None:
    """Make them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--lab", type=Path, help="a laboratory that has a release on --bench")
    parser.add_argument("--bench", type=Path, help="its bench file")
    parser.add_argument("--out", type=Path, default=Path("page-pictures"))
    chosen = parser.parse_args(arguments)
    chosen.out.mkdir(parents=True, exist_ok=True)
    with ExitStack() as held:
        if chosen.lab is None:
            folder = Path(held.enter_context(tempfile.TemporaryDirectory()))
            made = held.enter_context(laboratory(folder, "mono"))
            chosen.lab, chosen.bench = made.lab, made.bench
            _live_in(made)
        server = held.enter_context(served(chosen.lab, "--bench", str(chosen.bench)))
        browser = held.enter_context(chromium())
        address = server.address.rstrip("/")
        pages = {name: browser.new_page(viewport=size) for name, size in (("desk", DESK), ("phone", PHONE))}
        views = (*VIEWS, _comparison(chosen.lab))
        for name, page in pages.items():
            for path in views:
                _take(page, address + path, chosen.out / f"{name}-{_name(path)}.png")
        _take_light(pages["desk"], address, views, chosen.out)
        _take_login(pages, chosen.lab, chosen.out)
        _take_a_run(pages, address, chosen.out)


def _live_in(made: Laboratory) -> None:
    """Let something have happened in a laboratory."""
    made.release_again()
    for words in (["bench", "check"], ["run", "watch_drift"], ["run", "watch_drift"]):
        command = [sys.executable, "-m", "labonn", *words, str(made.bench), "--lab", str(made.lab)]
        subprocess.run(command, check=False, capture_output=True)


def _take_a_run(pages: dict[str, Any], address: str, out: Path) -> None:
    """Start an evaluation, and take pictures while it captures."""
    desk, phone = pages["desk"], pages["phone"]
    desk.goto(f"{address}/run?protocol=evaluate")
    desk.get_by_label("test images", exact=True).fill("all")
    desk.get_by_role("button", name="Start").click()
    desk.wait_for_url("**/runs/2*", timeout=120_000)
    run = desk.url
    phone.goto(f"{address}/")
    desk.goto(f"{address}/live")
    desk.locator("text=/frame \\d+/").first.wait_for(timeout=120_000)
    desk.locator(".maps img").first.wait_for(timeout=60_000)
    desk.screenshot(path=README / "page-live.png")
    phone.screenshot(path=README / "page-phone.png")
    desk.screenshot(path=out / "desk-live-running.png", full_page=True)
    desk.goto(run)
    desk.wait_for_timeout(_SETTLE_MS)
    desk.screenshot(path=out / "desk-one-run.png", full_page=True)


def _comparison(lab: Path) -> str:
    """Give the address of the comparison of the two latest runs."""
    first, second = sorted(path.parent.name for path in (lab / "runs").glob("*/run.json"))[-2:]
    return f"/compare?a={first}&b={second}"


def _take_login(pages: dict[str, Any], lab: Path, out: Path) -> None:
    """Let somebody fail to log in."""
    with tempfile.TemporaryDirectory() as folder:
        users = Path(folder) / "users.toml"
        write_users(users, [UserEntry(name="anna", role="operator", password=hash_password("correct horse"))])
        with served(lab, "--users", str(users)) as server:
            for name, page in pages.items():
                log_in(page, server, "anna", "wrong")
                page.get_by_role("alert").wait_for()
                page.screenshot(path=out / f"{name}-login.png")


def _take_light(page: Any, address: str, views: Sequence[str], out: Path) -> None:
    page.goto(f"{address}/")
    page.locator("[data-theme]").click()
    for path in views:
        _take(page, address + path, out / f"light-{_name(path)}.png")
    page.locator("[data-theme]").click()


def _take(page: Any, address: str, file: Path) -> None:
    page.goto(address)
    page.wait_for_timeout(_SETTLE_MS)
    page.locator("main p", has_text="\u2026").first.wait_for(state="detached", timeout=180_000)  # nothing is on its way
    page.screenshot(path=file, full_page=True)
    print(file, flush=True)


def _name(path: str) -> str:
    return path.strip("/").partition("?")[0] or "bench"


if __name__ == "__main__":
    main()
