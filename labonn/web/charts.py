"""Charts that move: ECharts' options, in colours that the colour-blind tell apart, on dark and light ground."""

from collections.abc import Mapping, Sequence
from typing import Any

from labonn.report.style import GREEN, ORANGE, SKY, VERMILLION

BLUE = SKY  # the blue of print is too dark on dark ground
GREY = "#7f8791"
_LINE = "#7f879140"

Points = Sequence[Sequence[Any]]


def axes(unit: str, kind: str = "time") -> dict[str, Any]:
    """Give the axes: time or a number along, a quantity up."""
    label = {"color": GREY}
    return {
        "animation": False,
        "grid": {"left": 56, "right": 18, "top": 44, "bottom": 34},
        "legend": {"textStyle": label, "top": 4, "type": "scroll"},
        "tooltip": {"trigger": "axis"},
        "xAxis": {"type": kind, "axisLabel": {**label, "hideOverlap": True}, "splitLine": {"show": False}},
        "yAxis": {"type": "value", "scale": True, "name": unit, "nameTextStyle": label, "axisLabel": label,
                  "splitLine": {"lineStyle": {"color": _LINE}}},
    }  # fmt: skip


def series_over_time(series: Mapping[str, tuple[Points, str, str]], unit: str) -> dict[str, Any]:
    """Draw points joined by lines: name -> ((moment, value) ..., colour, sign)."""
    drawn = [
        {
            "name": name,
            "type": "line",
            "data": [list(point) for point in points],
            "symbol": sign,
            "symbolSize": 9,
            "itemStyle": {"color": colour},
            "lineStyle": {"color": colour, "width": 2},
        }
        for name, (points, colour, sign) in series.items()
    ]
    return {**axes(unit), "series": drawn}


__all__ = ["BLUE", "GREEN", "GREY", "ORANGE", "VERMILLION", "axes", "series_over_time"]
