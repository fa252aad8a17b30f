"""A bench that is none, for what the runtime does around one; and scripts written by the tests."""

import textwrap
from contextlib import contextmanager
from pathlib import Path

import pytest

from labonn.instruments.guard import Guard

BENCH = Path(__file__).parents[2] / "sim" / "benches" / "mono.bench.toml"

HEAD = '''"""What the test does."""

from pydantic import BaseModel, Field

from labonn import errors
from labonn.protocol import Lab, Result


class Parameters(BaseModel):
    """What can be set."""

    captures: int = Field(8, ge=1, description="images to capture")
    seed: int = 3


'''


class Control:
    """Stands in for the door through which other processes ask."""

    def attach(self, status, pause, resume):
        self.status, self.pause, self.resume = status, pause, resume


class Shutter:
    """Stands in for a shutter that obeys."""

    def __init__(self, events):
        self.events = events
        self.told_open = False

    def open(self):
        self.told_open = True
        self.events.append("open")

    def close(self):
        self.told_open = False
        self.events.append("closed")


class Tripping(Guard):
    """A guard of a bench that is always dark."""

    def __init__(self, events):
        super().__init__()
        self.events = events

    def trip(self, error):
        super().trip(error)
        self.events.append("tripped")


class Bench:
    """Stands in for an open bench, and remembers what became of it."""

    def __init__(self):
        self.name = "mono"
        self.events = []
        self.fails_to_go_dark = None
        self.control = Control()
        self.guard = Tripping(self.events)
        self.shutter = Shutter(self.events)
        self.left_by = None
        self.left_note = None
        self.found_lit = False
        self.has_slm = True

    def settings(self):
        return {"camera": {"exposure_ms": 12.5}}


@pytest.fixture
def bench(monkeypatch):
    """Hand the bench to whoever opens one."""
    stand_in = Bench()

    @contextmanager
    def open_bench(path, *, world_seed=None, control_folder=None):
        stand_in.events.append(("opened", Path(path).name, world_seed))
        stand_in.control_folder = control_folder
        try:
            yield stand_in
        finally:
            stand_in.events.append("dark")
            if stand_in.fails_to_go_dark is not None:
                raise stand_in.fails_to_go_dark

    monkeypatch.setattr("labonn.instruments.open_bench", open_bench)
    return stand_in


@pytest.fixture
def write_script(tmp_path):
    """Write a protocol script: the body of its `run`, after the usual head."""

    def write(body, name="try_it.py"):
        path = tmp_path / name
        run = "def run(lab: Lab, parameters: Parameters) -> Result:\n"
        path.write_text(HEAD + run + textwrap.indent(textwrap.dedent(body).strip(), "    ") + "\n", encoding="utf-8")
        return path

    return write
