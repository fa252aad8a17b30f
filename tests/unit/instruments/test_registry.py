import pytest

from labonn.errors import ConfigError
from labonn.instruments import Camera, driver_names
from labonn.instruments.bench_config import InstrumentEntry
from labonn.instruments.registry import make_instrument

from .stand_ins import site

TABLE = {"driver": "micromanager", "cfg": "x.cfg", "device": "Camera"}


def make(**changed: object) -> Camera:
    return make_instrument("eye", InstrumentEntry.model_validate(TABLE | changed), Camera, site(), "my.bench.toml")


def test_a_driver_is_found_by_its_entry_point() -> None:
    assert "micromanager" in driver_names()
    assert str(make()) == "camera 'eye'"


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        (
            {"driver": "micromanger"},
            "my.bench.toml: instruments.eye.driver = 'micromanger': no such driver;.*micromanager",
        ),
        ({"exposur_ms": 3}, "my.bench.toml: instruments.eye: exposur_ms: no such key"),
        ({"bit_depth": 20}, "bit_depth = 20"),
        ({"alignment": "middle"}, "alignment = 'middle'.*'right' or 'left'"),
    ],
)
def test_a_table_that_does_not_fit_is_refused_before_anything_is_connected(changed: dict, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        make(**changed)
