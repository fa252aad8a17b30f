import json
import os
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from labonn.errors import Aborted, InstrumentError
from labonn.instruments import Guard, NotHeld, ask_holder, lock
from labonn.instruments.control import Control


class Held:
    """A bench that this process holds, with its control channel."""

    def __init__(self, folder: Path) -> None:
        self.guard, self.dark, self.paused = Guard(), [], False
        self.guard.set_up(lambda: self.dark.append(True), lambda: None, lambda: None)
        self.control = Control("trial", self.guard, folder / "control")
        self.control.attach(lambda: {"step": "capturing", "paused": self.paused}, self.pause, self.resume)
        self.door = self.control.start(lambda: True)
        lock.write_down_control("trial", {"port": self.door.port, "secret_file": self.door.secret_file})

    def pause(self) -> None:
        self.paused = True

    def resume(self) -> None:
        self.paused = False

    def say(self, line: bytes) -> bytes:
        with socket.create_connection(("127.0.0.1", self.door.port), timeout=5) as connection:
            connection.sendall(line)
            return connection.makefile("rb").readline()


@pytest.fixture
def held(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Held]:
    monkeypatch.setattr(lock, "lock_folder", lambda: tmp_path)
    with lock.bench_lock("trial"):
        bench = Held(tmp_path)
        yield bench
        bench.control.stop()


def test_who_has_the_secret_sees_and_steers(held: Held) -> None:
    assert ask_holder("trial", "status") == {"tripped": None, "step": "capturing", "paused": False}
    assert ask_holder("trial", "pause")["paused"]
    assert not ask_holder("trial", "resume")["paused"]
    assert held.guard.error is None
    assert ask_holder("trial", "abort") == {"dark": True, "was_lit": True}
    assert isinstance(held.guard.error, Aborted)
    assert held.dark


def test_the_status_says_how_the_bench_is_too(held: Held) -> None:
    held.control.tell(lambda: {"lit": True, "readings": {"laser.power_mw": 15.0}})
    assert ask_holder("trial", "status")["readings"] == {"laser.power_mw": 15.0}


def test_who_asked_is_in_the_log_and_in_the_reason(held: Held, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    ask_holder("trial", "pause", by="mia,\non the\x1b[31m page")
    assert "told to pause by mia, on the[31m page" in caplog.text
    ask_holder("trial", "abort")
    user = lock.this_process().user
    assert str(held.guard.error).startswith(f"told to abort by {user} (")
    assert f"process {os.getpid()}" in str(held.guard.error)


def test_who_does_not_say_who_they_are_is_another_process(held: Held) -> None:
    held.say(b'{"op": "dark", "by": " "}\n')
    assert str(held.guard.error) == "told to make the bench dark by another process"


def test_who_has_not_the_secret_can_do_nothing_but_darken(held: Held) -> None:
    for operation in ("status", "pause", "resume", "abort"):
        answer = json.loads(held.say(json.dumps({"op": operation, "secret": "guess"}).encode() + b"\n"))
        assert not answer["ok"]
        assert "secret" in answer["error"]
    assert held.guard.error is None
    assert json.loads(held.say(b'{"op": "dark"}\n'))["ok"]
    assert held.dark


@pytest.mark.parametrize(
    "line",
    [
        b'POST / HTTP/1.1\r\nHost: localhost\r\n\r\n{"op": "dark"}\n',
        b"\n",
        b"[]\n",
        b'"dark"\n',
        b"\xff\xfe\n",
        b"[" * 5000 + b"\n",
    ],
)
def test_what_is_not_our_language_is_left_without_an_answer(held: Held, line: bytes) -> None:
    assert held.say(line) == b""
    assert held.guard.error is None
    assert ask_holder("trial", "status")["step"] == "capturing", "and others are still answered"


def test_an_operation_that_is_none_is_named(held: Held) -> None:
    assert "'explode' is not one of" in json.loads(held.say(b'{"op": "explode"}\n'))["error"]


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such modes")
def test_the_secret_is_readable_by_its_owner_alone(held: Held) -> None:
    assert Path(held.door.secret_file).stat().st_mode & 0o077 == 0


def test_nobody_there_and_nobody_any_more_are_told_apart_from_silence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lock, "lock_folder", lambda: tmp_path)
    with pytest.raises(NotHeld, match="nobody holds bench 'trial'"):
        ask_holder("trial", "status")
    with lock.bench_lock("trial"):
        with pytest.raises(InstrumentError, match="has no control channel"):
            ask_holder("trial", "status")
        with socket.create_server(("127.0.0.1", 0)) as mute:
            secret = tmp_path / "secret.json"
            secret.write_text('{"secret": "s"}')
            lock.write_down_control("trial", {"port": mute.getsockname()[1], "secret_file": str(secret)})
            with pytest.raises(InstrumentError, match=rf"held by process {os.getpid()} .*does not answer"):
                ask_holder("trial", "status", limit_s=0.2)
        record = json.loads((tmp_path / "trial.json").read_text())
        (tmp_path / "trial.json").write_text(json.dumps({**record, "started_s": record["started_s"] - 100}))
        with pytest.raises(NotHeld):
            ask_holder("trial", "status")
