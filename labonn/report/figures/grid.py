"""Many small pictures beside and below each other, on one pair of axes: axes for each would take seconds to arrange."""

from collections.abc import Sequence
from typing import Any

from matplotlib.image import AxesImage
from matplotlib.patches import Rectangle
from numpy.typing import NDArray

from labonn.report.figures.canvas import INK, NORMAL, SMALL, sheet

GAP_IN = 0.08
LINE_IN = 0.19  # of text above or below a picture
BAR_IN = 0.15
_BESIDE_IN = 0.5  # what stands at the sides takes about so much
_FRAME = "#c9cdd2"


class Grid:
    """Places for pictures of one shape, in inches on a sheet of its own.

    Parameters
    ----------
    shape
        (H, W) of a picture, which says how tall it is.
    columns
        Pictures beside each other.
    width_in
        Of a picture.
    above, below
        Of each row, whether there is text above, and below, its pictures.
    beside_in
        How much wider the sheet is than the pictures: for what stands at their sides.
    """

    def __init__(
        self,
        shape: tuple[int, ...],
        columns: int,
        *,
        width_in: float,
        above: Sequence[bool],
        below: Sequence[bool] = (),
        beside_in: float = _BESIDE_IN,
    ) -> None:
        self._wide, self._tall = width_in, width_in * shape[0] / shape[1]
        self._tops_in: list[float] = []
        bottom_in = 0.0
        for row, over in enumerate(above):
            self._tops_in.append(bottom_in + LINE_IN * over)
            bottom_in = self._tops_in[-1] + self._tall + LINE_IN * bool(below and below[row]) + GAP_IN
        across_in = columns * (width_in + GAP_IN)
        self._size_in = across_in, bottom_in
        self.figure = sheet(across_in + beside_in, bottom_in + 2 * LINE_IN)
        self._axes = self.figure.subplots()
        self._axes.set_axis_off()
        self._axes.set(xlim=(0, across_in), ylim=(bottom_in, 0), aspect="equal")

    def draw(
        self, row: int, column: int, picture: NDArray[Any], *, above: str = "", below: str = "", **colours: Any
    ) -> AxesImage:
        """Draw a picture (H, W), or (H, W, 3), at its place, with text; `colours` as `imshow` takes them."""
        left, top = column * (self._wide + GAP_IN), self._tops_in[row]
        extent = (left, left + self._wide, top + self._tall, top)
        image = self._axes.imshow(picture, extent=extent, interpolation="nearest", **colours)
        self._axes.add_patch(Rectangle((left, top), self._wide, self._tall, fill=False, ec=_FRAME, lw=0.6))
        for text, y, side in ((above, top - 0.02, "bottom"), (below, top + self._tall + 0.03, "top")):
            middle = left + self._wide / 2
            self._axes.text(middle, y, text, ha="center", va=side, size=SMALL, color=INK, in_layout=False)
        return image

    def name_row(self, row: int, name: str) -> None:
        """Write what a row's pictures are to their left."""
        middle = self._tops_in[row] + self._tall / 2
        self._axes.text(-0.06, middle, name, ha="right", va="center", rotation=90, size=NORMAL, color=INK)

    def add_bar(self, image: AxesImage, label: str, ticks: Sequence[float] | None = None) -> None:
        """Say at the right what a picture's colours mean."""
        across_in, down_in = self._size_in
        bar = self.figure.colorbar(
            image, ax=self._axes, fraction=BAR_IN / across_in, aspect=down_in / BAR_IN, pad=0.1 / across_in, ticks=ticks
        )
        bar.ax.tick_params(labelsize=SMALL)
        bar.set_label(label, size=NORMAL)
