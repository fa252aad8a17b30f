import pytest

from labonn.errors import ConfigError
from labonn.instruments.bench_config import InstrumentEntry
from labonn.instruments.world import fill_in

DOORS = {
    "laser": {"host": "127.0.0.1", "port": 40123},
    "shutter": {"host": "127.0.0.1", "port": 7, "pty": "/dev/pts/3"},
}


def test_the_world_s_doors_are_filled_into_every_text_of_a_table() -> None:
    entry = InstrumentEntry.model_validate(
        {
            "driver": "scpi_laser",
            "resource": "TCPIP0::${laser.host}::${laser.port}::SOCKET",
            "dialect": {"port": "${shutter.pty}", "list": ["${laser.port}", 3]},
            "power_mw": 15.0,
        }
    )
    filled = fill_in(entry, DOORS, "here").model_dump()
    assert filled["resource"] == "TCPIP0::127.0.0.1::40123::SOCKET"
    assert filled["dialect"] == {"port": "/dev/pts/3", "list": ["40123", 3]}
    assert filled["power_mw"] == 15.0


def test_a_door_that_the_world_has_not_is_named() -> None:
    entry = InstrumentEntry.model_validate({"driver": "d", "port": "${laser.pty}"})
    with pytest.raises(ConfigError, match=r"here: \$\{laser.pty\}: the world has no such door; it has: laser.host"):
        fill_in(entry, DOORS, "here")
