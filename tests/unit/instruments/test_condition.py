import pytest
from hypothesis import given
from hypothesis import strategies as st

from labonn.instruments.condition import OBEYS, Condition

numbers = st.floats(-1e6, 1e6, allow_nan=False)


@pytest.mark.parametrize(
    ("text", "instrument", "reading", "good", "bad"),
    [
        ("laser.power_mw <= 20", "laser", "power_mw", [0.0, 20.0], [20.001, float("nan")]),
        ("laser.power_mw < 20", "laser", "power_mw", [19.9], [20.0]),
        ("meter-2.power_mw>=1e-3", "meter-2", "power_mw", [0.001], [0.0009]),
        ("box.celsius > -5.5", "box", "celsius", [-5.4], [-5.5]),
        ("box.celsius  between 18 and 27", "box", "celsius", [18, 22.2, 27], [17.99, 27.01, float("nan")]),
        ("laser.interlock is closed", "laser", "interlock_closed", [True], [False]),
        ("laser.interlock is open", "laser", "interlock_closed", [False], [True]),
        ("shutter closes when told", "shutter", OBEYS, [True], [False]),
    ],
)
def test_each_form_allows_what_it_says(text: str, instrument: str, reading: str, good: list, bad: list) -> None:
    condition = Condition.parse(text)
    assert (condition.instrument, condition.reading) == (instrument, reading)
    assert all(condition.allows(value) for value in good)
    assert not any(condition.allows(value) for value in bad)


@pytest.mark.parametrize(
    "text",
    ["", "laser.power_mw", "laser.power_mw = 20", "laser.power_mw <= twenty", "power <= 20", "laser.power_mw <= 20 mW",
     "shutter closes", "laser.interlock is fine", "laser.power_mw <= nan", "box.celsius between 27 and 18"],
)  # fmt: skip
def test_what_is_no_condition_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"is no condition; write|no reading lies between"):
        Condition.parse(text)


@given(numbers, numbers, numbers)
def test_between_is_both_limits_together(low: float, high: float, value: float) -> None:
    if low >= high:
        low, high = high, low
    if low == high:
        return
    both = Condition.parse(f"box.celsius >= {low!r}"), Condition.parse(f"box.celsius <= {high!r}")
    between = Condition.parse(f"box.celsius between {low!r} and {high!r}")
    assert between.allows(value) == all(condition.allows(value) for condition in both)


@given(st.text(max_size=60))
def test_any_text_is_a_condition_or_a_clear_error(text: str) -> None:
    try:
        condition = Condition.parse(text)
    except ValueError:  # the clear error; anything else fails the test
        return
    assert Condition.parse(str(condition)).reading == condition.reading
