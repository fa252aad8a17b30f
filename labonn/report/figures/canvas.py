"""What all figures share: the sheet they are drawn on, and how axes look."""

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from labonn.report.style import GREY

SMALL, NORMAL = 8.0, 9.0
INK = "#24272b"
POSITIVE_SIGN, NEGATIVE_SIGN = "+", "\u2212"


def sheet(width_in: float, height_in: float) -> Figure:
    """Make an empty figure that arranges its parts by itself."""
    return Figure(figsize=(width_in, height_in), layout="constrained", facecolor="white")


def tidy(axes: Axes) -> None:
    """Take away what says nothing: the frame's upper and right side, heavy ticks."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(GREY)
    axes.tick_params(labelsize=SMALL, color=GREY, labelcolor=INK, length=3)
    for label in (axes.xaxis.label, axes.yaxis.label):
        label.set(size=NORMAL, color=INK)


def bare(axes: Axes) -> None:
    """Take ticks and their labels away: for pictures whose scale is told elsewhere."""
    axes.set_xticks([])
    axes.set_yticks([])
    axes.spines[:].set_color("#c9cdd2")
    axes.spines[:].set_linewidth(0.6)
