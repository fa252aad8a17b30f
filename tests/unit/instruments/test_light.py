import pytest

from labonn.errors import ConfigError, InstrumentError
from labonn.instruments import LightTable

from .stand_ins import BareLight, BareMeter, BareStage, BareThermometer, connected


def laser(**table: float) -> BareLight:
    made: BareLight = connected(BareLight, **{"max_power_mw": 20.0, "power_mw": 15.0, "settle_ms": 50.0, **table})
    return made


def test_a_light_that_the_bench_file_does_not_arm_stays_off() -> None:
    light = connected(BareLight)
    for act in (light.turn_on, lambda: light.set_power_mw(1.0)):
        with pytest.raises(ConfigError, match=r"is not armed.*\[instruments.light\] max_power_mw"):
            act()
    assert not light.on


def test_it_is_turned_on_at_its_working_power_and_waited_for() -> None:
    light = laser(warm_up_s=2.0)
    light.turn_on()
    assert light.is_on
    assert light.power_mw == 15.0
    assert light.site.clock.now_s() == pytest.approx(2.05)
    light.turn_on()
    assert light.site.clock.now_s() == pytest.approx(2.05), "what is on is not waited for again"


@pytest.mark.parametrize("power_mw", [0.0, -1.0, 20.1, float("nan"), float("inf")])
def test_no_power_beyond_what_arms_it(power_mw: float) -> None:
    light = laser()
    with pytest.raises(ConfigError, match="at most max_power_mw = 20"):
        light.set_power_mw(power_mw)


def test_another_power_than_it_was_told_is_an_error() -> None:
    light = laser()
    light.gives = 1.2
    with pytest.raises(InstrumentError, match=r"told to give 15 mW and reports 18 mW"):
        light.turn_on()


def test_a_light_without_its_key_says_so() -> None:
    light = laser()
    light.key = False
    with pytest.raises(InstrumentError, match="still off; check its key"):
        light.turn_on()


def test_a_light_that_does_not_go_out_is_an_error() -> None:
    light = laser()
    light.turn_on()
    light.stuck = True
    with pytest.raises(InstrumentError, match="still ON; turn its key"):
        light.make_dark()


def test_a_working_power_above_the_maximum_is_refused() -> None:
    with pytest.raises(ValueError, match=r"power_mw = 15: is more than max_power_mw = 10"):
        LightTable(driver="bare", max_power_mw=10, power_mw=15)
    with pytest.raises(ValueError, match="must be given"):
        LightTable(driver="bare", power_mw=15)


def test_a_meter_is_set_to_its_wavelength_and_reads_numbers_only() -> None:
    meter = connected(BareMeter, wavelength_nm=532.0)
    assert meter.wavelength_nm == 532.0
    meter.value = float("nan")
    with pytest.raises(InstrumentError, match="reads nan mW"):
        _ = meter.power_mw


def test_an_open_sensor_is_no_temperature() -> None:
    thermometer = connected(BareThermometer)
    assert thermometer.celsius == 21.0
    thermometer.value = 9.9e37
    with pytest.raises(InstrumentError, match=r"reads 9.9e\+37 degrees Celsius; check its sensor"):
        _ = thermometer.celsius


def test_a_stage_stays_within_its_limits_and_says_where_it_is() -> None:
    stage = connected(BareStage, lowest_um=-10, highest_um=100)
    stage.move_to_um(42.0)
    assert stage.position_um == 42.0
    for beyond_um in (-11.0, 101.0, float("nan")):
        with pytest.raises(ConfigError, match="must lie between lowest_um = -10"):
            stage.move_to_um(beyond_um)
    stage.slip_um = 5.0
    with pytest.raises(InstrumentError, match="sent to 50 um and says that it is at 55 um"):
        stage.move_to_um(50.0)
