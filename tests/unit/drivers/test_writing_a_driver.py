"""docs/writing-a-driver.md, followed: its dialect lights a laser, its driver reads a thermometer, its limits hold."""

import importlib.metadata
import re
import threading
import tomllib
from collections.abc import Iterator
from http.server import HTTPServer
from pathlib import Path
from typing import Any

import pytest

from labonn.errors import ConfigError
from labonn.instruments import Light, Thermometer, registry

from .benches import make, site
from .scripted import Scripted, on_tcp

PAGE = (Path(__file__).parents[3] / "docs" / "writing-a-driver.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)


class Luxor:
    """What the page says that the manual says."""

    def __init__(self) -> None:
        self.on, self.uw = "0", "0"

    def __call__(self, words: str) -> str:
        match words.split():
            case ["WHO"]:
                return "LUXOR 20 v3\r"
            case ["EMIT?"]:
                return f"{self.on}\r"
            case ["LEVEL?"]:
                return f"{self.uw}\r"
            case ["DOOR?"]:
                return "SHUT\r"
            case ["EMIT", on]:
                self.on = on
                return "OK\r"
            case ["LEVEL", uw]:
                self.uw = uw
                return "OK\r"
        return "E5\r"


def test_the_page_s_dialect_is_enough_to_light_a_laser(tmp_path: Path) -> None:
    dialect, table, *_ = blocks("toml")
    (tmp_path / "luxor-20.toml").write_text(dialect, encoding="utf-8")
    where = site(tmp_path)
    with on_tcp(Scripted(Luxor(), end=b"\r")) as instrument:
        laser = make(Light, where, **(tomllib.loads(table)["instruments"]["laser"] | {"port": instrument.url}))
        laser.connect()
        laser.turn_on()
        assert instrument.answers.uw == "20000"  # type: ignore[attr-defined]
        assert laser.power_mw == 20
        assert laser.interlock_closed
        laser.make_dark()
        assert instrument.answers.on == "0"  # type: ignore[attr-defined]
        laser.disconnect()
    where.shared.close()


@pytest.fixture
def sensor() -> Iterator[str]:
    """Run the page's stand-in, on a port of its own."""
    stand_in = blocks("python")[1]
    namespace: dict[str, Any] = {}
    exec(stand_in[: stand_in.index("\n\nHTTPServer")], namespace)
    handler = namespace["Climate"]
    handler.log_message = lambda *_: None
    with HTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_the_page_s_driver_is_a_driver_in_under_40_lines(
    tmp_path: Path, sensor: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    package, table = blocks("toml")[2:4]
    driver = blocks("python")[0]
    assert driver.count("\n") < 40
    (name, module), *_ = tomllib.loads(package)["project"]["entry-points"]["labonn.drivers"].items()
    assert tomllib.loads(package)["tool"]["setuptools"]["py-modules"] == [module]
    (tmp_path / f"{module}.py").write_text(driver, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    really = registry.entry_points
    point = importlib.metadata.EntryPoint(name, module, registry.GROUP)
    monkeypatch.setattr(registry, "entry_points", lambda group: [*really(group=group), point])
    entry = tomllib.loads(table)["instruments"]["thermometer"] | {"url": sensor}
    thermometer = make(Thermometer, site(tmp_path), **entry)
    thermometer.connect()
    assert thermometer.celsius == 21.4
    assert thermometer.identify() == "rack sensor A17"
    thermometer.disconnect()
    other = make(Thermometer, site(tmp_path), **(entry | {"serial": "B2"}))
    with pytest.raises(ConfigError, match=r"serial = 'B2': at http.* answers 'A17'"):
        other.connect()
    with pytest.raises(ConfigError, match=r"my.bench.toml: instruments.thermometer: serail: no such key"):
        make(Thermometer, site(tmp_path), **(entry | {"serail": "A17"}))


def test_the_page_names_every_driver_and_every_shipped_dialect() -> None:
    models = [file.stem for file in (Path(__file__).parents[3] / "drivers" / "models").glob("*.toml")]
    assert len(models) >= 10
    points = importlib.metadata.entry_points(group=registry.GROUP)
    ours = [point.name for point in points if point.value.startswith("drivers.")]
    assert len(ours) >= 6
    assert all(f"`{name}`" in PAGE for name in models + ours)
