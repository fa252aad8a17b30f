"""A real ``labonn serve``, as a process, and a browser before it."""

import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
INSTALL = "apt-get install --no-install-recommends chromium"
_READY_S = 180.0  # on a computer that does much else


@dataclass
class Server:
    """A page that is served."""

    process: subprocess.Popen[str]
    address: str
    said: list[str] = field(default_factory=list)

    @property
    def port(self) -> int:
        return int(self.address.rstrip("/").rpartition(":")[2])


@contextmanager
def served(lab: Path, *arguments: str, environment: dict[str, str] | None = None) -> Iterator[Server]:
    """Serve a laboratory's page on a free port, until the context is left."""
    words = ["serve", "--lab", str(lab), *arguments]
    if "--port" not in arguments:
        words += ["--port", "0"]
    process = subprocess.Popen(
        [sys.executable, "-m", "labonn", *words],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **(environment or {})},
    )
    server = Server(process, "")
    ready = threading.Event()

    def listen() -> None:
        assert process.stderr is not None
        for line in process.stderr:
            server.said.append(line.rstrip())
            if found := re.search(r"the page is at (\S+)", line):
                server.address = found.group(1)
                ready.set()

    listening = threading.Thread(target=listen, daemon=True)
    listening.start()
    try:
        deadline = time.monotonic() + _READY_S
        while not ready.wait(0.05):
            if process.poll() is not None or time.monotonic() > deadline:
                raise AssertionError(f"no page was served: {server.said}")
        yield server
    finally:
        process.terminate()
        process.wait(60)
        listening.join(10)
        if process.stderr is not None:
            process.stderr.close()


_FONTS = """<?xml version="1.0"?>
<!DOCTYPE fontconfig SYSTEM "urn:fontconfig:fonts.dtd">
<fontconfig>
  <dir>/usr/share/fonts</dir>
  <cachedir>{cache}</cachedir>
  <rescan><int>0</int></rescan>
  <alias><family>monospace</family><prefer><family>DejaVu Sans Mono</family></prefer></alias>
</fontconfig>
"""
_WRITTEN = "data:text/html,<h1>Written</h1><p>in <b>some</b> <code>fonts</code> <input value=x><button>y</button>"
_TRIES = 3


@contextmanager
def chromium(**options: Any) -> Iterator[Any]:
    """Open a browser.

    Threads of Chromium race for fontconfig when they first write something, and now and then it dies of that (a SIGSEGV
    in libfontconfig 2.14 that its dump shows; Electron mends the same race in its pull request 53314). So it gets a
    configuration of few rules that is never read again, and is let write before anybody depends on it.
    """
    from playwright.sync_api import Error, sync_playwright

    with (
        tempfile.TemporaryDirectory(prefix="fonts-", ignore_cleanup_errors=True) as folder,
        sync_playwright() as opened,
    ):
        fonts = Path(folder) / "fonts.conf"
        fonts.write_text(_FONTS.format(cache=folder), encoding="utf-8")
        for tried in range(1, _TRIES + 1):
            browser = opened.chromium.launch(
                executable_path=CHROMIUM,
                args=["--no-sandbox", "--disable-gpu"],
                env={**os.environ, "FONTCONFIG_FILE": str(fonts)},
                **options,
            )
            try:
                page = browser.new_page()
                page.goto(_WRITTEN)
                page.screenshot()
                page.close()
                break
            except Error:
                if browser.is_connected() or tried == _TRIES:
                    raise
        try:
            yield browser
        finally:
            browser.close()


def words_of(messages: Sequence[Any]) -> list[str]:
    """Give what a browser's console said that is an error."""
    return [message.text for message in messages if message.type == "error"]
