"""The table of a check: values with units, limits in words, states that stand out; and its figures."""

import io

import numpy as np
import pytest

from labonn.report import Page, figures, readable_checks, readable_instruments, show

ROW = {
    "name": "read noise",
    "state": "ok",
    "measured": 0.97641,
    "unit": "counts",
    "lowest": 0.01,
    "highest": 81.9,
    "last_good": None,
    "remark": "",
}


@pytest.mark.parametrize(
    ("facts", "shown"),
    [
        ({}, {"measured": "0.9764 counts", "must be": "0.01 to 81.9", "last good": ""}),
        ({"lowest": None, "last_good": 1.0}, {"must be": "\u2264 81.9", "last good": "1 counts"}),
        ({"highest": None}, {"must be": "\u2265 0.01"}),
        ({"lowest": None, "highest": None, "measured": "yes", "unit": ""}, {"must be": "", "measured": "yes"}),
        ({"measured": None, "remark": "no answer"}, {"measured": "", "remark": "no answer"}),
        ({"lowest": 0.0, "measured": 0.0}, {"must be": "0 to 81.9", "measured": "0 counts"}),
    ],
)
def test_values_have_their_units_and_limits_are_words(facts, shown):
    (row,) = readable_checks([ROW | facts])
    assert row | shown == row


def test_an_instrument_that_changed_says_what_it_was():
    row = ROW | {"name": "camera", "measured": "A 2", "unit": "", "remark": "recalibrate"}
    assert readable_instruments([row])[0]["remark"] == "recalibrate"
    (drifted,) = readable_instruments([row | {"state": "drifted", "last_good": "A 1"}])
    assert drifted["remark"] == "recalibrate; it was A 1"
    assert readable_instruments([row | {"measured": None}])[0]["says that it is"] == ""


@pytest.mark.parametrize(
    ("state", "kind"), [("ok", "good"), ("drifted", "warn"), ("failed", "bad"), ("skipped", "neutral")]
)
def test_states_stand_out_and_not_by_colour_alone(state, kind):
    page = Page("t")
    page.table([{"check": "x", "state": state}, {"check": state, "state": "unheard of"}])
    html = page.html()
    assert html.count('<td class="state') == 1
    cell = html.partition(f'<td class="state {kind}">')[2].partition("</td>")[0]
    assert cell.endswith(f"</span> {state}")
    assert len(cell.partition("<span>")[2].partition("</span>")[0]) == 1
    assert f".{kind}" in html


def test_nothing_in_a_list_is_shown_as_nothing():
    assert show([]) == "\u2013"


def drawn(figure):
    file = io.BytesIO()
    figure.savefig(file, dpi=40)
    return file.getvalue().startswith(b"\x89PNG")


def texts(axes):
    return " ".join(text.get_text() for text in axes.texts)


@pytest.mark.parametrize("frame", [np.full((4, 6), 60), np.zeros((4, 6), int), np.arange(24).reshape(4, 6) * 2700])
def test_a_dark_frame_is_drawn_with_how_often_each_count_comes(frame):
    frame = frame.astype(np.uint16)
    figure = figures.dark_frame(frame, float(frame.mean()))
    assert drawn(figure)
    lines = next(c for c in figure.axes[1].collections).get_segments()
    assert sorted(segment[0][0] for segment in lines) == sorted(set(frame.ravel().tolist()))
    assert sum(segment[1][1] for segment in lines) == frame.size


@pytest.mark.parametrize("fitted", [None, np.linspace(0, 1, 9)])
def test_the_step_is_drawn_with_when_it_settled_and_what_was_promised(fitted):
    delays = np.linspace(0, 20, 9)
    figure = figures.step_response(
        delays, np.linspace(0, 1, 9), fitted_level=fitted, latency_ms=4.04, settled_ms=15.93, promised_ms=16.7
    )
    assert drawn(figure)
    words = texts(figure.axes[0])
    assert ("4.0 ms" in words, "15.9 ms" in words, "16.7 ms" in words) == (True, True, True)
    points = figure.axes[0].lines[0 if fitted is None else 1]
    np.testing.assert_allclose(points.get_ydata(), np.linspace(0, 100, 9))


def test_light_is_drawn_against_what_it_was_told():
    figure = figures.light_and_meter([0, 7.5, 15], [0.01, 0.07, 0.15], [0.5, 1200, 2400], meter_share=0.01)
    assert drawn(figure)
    meter, camera = figure.axes
    assert meter.lines[0].get_ydata()[-1] == pytest.approx(0.01 * meter.lines[0].get_xdata()[-1])
    assert camera.lines[0].get_ydata()[-1] == pytest.approx(160 * camera.lines[0].get_xdata()[-1])


def test_a_bench_without_a_meter_has_one_panel():
    figure = figures.light_and_meter([0, 7.5, 15], None, [0.5, 1200, 2400])
    assert drawn(figure)
    assert [axes.get_ylabel() for axes in figure.axes] == ["camera (counts)"]
