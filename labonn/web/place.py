"""What the page is about: one laboratory's folder, and the bench files that belong to it."""

import json
import logging
import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from labonn.errors import LabonnError
from labonn.instruments.bench_config import BenchConfig, read_bench
from labonn.records.catalogue import Catalogue

logger = logging.getLogger(__name__)

_PATTERN = "*.bench.toml"


@dataclass(frozen=True)
class BenchFile:
    """A bench of the laboratory."""

    name: str
    path: Path
    config: BenchConfig | None
    error: str | None = None
    """What is wrong with its file, if anything: it is not run from then on, and can still be made dark."""
    stamp: tuple[int, int] = (0, 0)
    """When the file was changed, and its size."""


class Place:
    """The laboratory.

    Parameters
    ----------
    lab
        Its folder.
    named
        Bench files that were named when the page was started.
    """

    def __init__(self, lab: Path, named: Iterable[Path] = ()) -> None:
        self.lab = lab.absolute()
        self._named = [path.absolute() for path in named]
        self._known: dict[str, BenchFile] = {}
        self._lock = threading.Lock()

    @property
    def own(self) -> Path:
        """Where the page keeps what is its own."""
        return self.lab / "web"

    @property
    def runs(self) -> Path:
        """Where the runs are."""
        return self.lab / "runs"

    def benches(self) -> dict[str, BenchFile]:
        """Give the benches by name: those that were named, those beside the laboratory's folder, those of its runs.

        A file that has been changed is read again; one that has become wrong keeps its name.
        """
        with self._lock:
            for path in self._files():
                if path not in {bench.path for bench in self._known.values()}:
                    self._take_in(path)
            for bench in list(self._known.values()):
                if bench.stamp != _stamp(bench.path):
                    self._known[bench.name] = _again(bench)
            return dict(self._known)

    def _take_in(self, path: Path) -> None:
        stamp = _stamp(path)
        try:
            config = read_bench(path)
        except LabonnError as error:
            name = path.name.removesuffix(".bench.toml")
            self._known.setdefault(name, BenchFile(name, path, None, str(error), stamp))
        else:
            self._known.setdefault(config.name, BenchFile(config.name, path, config, None, stamp))

    def _files(self) -> Iterator[Path]:
        yield from self._named
        for folder in (self.lab, self.lab.parent):
            yield from sorted(folder.glob(_PATTERN))
        yield from self._of_runs()

    def _of_runs(self) -> Iterator[Path]:
        """Give the file of each bench's latest run, where it is still there and still that bench's."""
        if not self.runs.is_dir():
            return
        try:
            with Catalogue(self.lab) as catalogue:
                catalogue.catch_up()
                lines, _ = catalogue.find(limit=500)
        except LabonnError as error:
            logger.warning("%s", error)
            return
        seen: set[str] = set(self._known)
        for line in lines:
            if line.bench is None or line.bench in seen:
                continue
            seen.add(line.bench)
            try:
                path = Path(json.loads((self.runs / line.id / "run.json").read_bytes())["bench_file"])
                if read_bench(path).name == line.bench:
                    yield path
            except (OSError, ValueError, KeyError, TypeError, LabonnError) as error:
                logger.info("bench %r of run %s is left out: %s", line.bench, line.id, error)


def _again(bench: BenchFile) -> BenchFile:
    stamp = _stamp(bench.path)
    try:
        config = read_bench(bench.path)
    except LabonnError as error:
        return BenchFile(bench.name, bench.path, bench.config, str(error), stamp)
    if config.name != bench.name:
        why = f"{bench.path}: calls the bench {config.name!r} now; start the page again to see it under that name"
        return BenchFile(bench.name, bench.path, bench.config, why, stamp)
    return BenchFile(bench.name, bench.path, config, None, stamp)


def _stamp(path: Path) -> tuple[int, int]:
    try:
        found = path.stat()
    except OSError:
        return (0, 0)
    return (found.st_mtime_ns, found.st_size)
