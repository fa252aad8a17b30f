"""The cameras' newest frames, as pictures: encoded once for all who look, and asked for only while somebody does."""

import asyncio
import io
import logging
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from labonn.instruments.feed import Seen, newest_frame, watch

logger = logging.getLogger(__name__)

_LOOK_S = 0.02
_ASK_S = 0.5
_QUALITY = 80
_BINS = 64
_STALE_S = 2.0


@dataclass(frozen=True)
class Picture:
    """A frame, ready to be shown."""

    seen: Seen
    jpeg: bytes
    counts: NDArray[np.int64]
    """Histogram over the camera's whole range, (64,)."""
    saturated_px: int
    highest: int


class Cameras:
    """The pictures of all benches."""

    def __init__(self) -> None:
        self._sources: dict[str, Source] = {}

    def of(self, bench: str) -> "Source":
        """Give the pictures of a bench."""
        return self._sources.setdefault(bench, Source(bench))


class Source:
    """The pictures of one bench's camera.

    Parameters
    ----------
    bench
        The bench's name.
    """

    def __init__(self, bench: str) -> None:
        self._bench = bench
        self._viewers = 0
        self._task: asyncio.Task[None] | None = None
        self._changed = asyncio.Condition()
        self.picture: Picture | None = None
        """The newest one while somebody looks."""
        self.delivered = 0
        """Pictures made since the page's server began."""

    @property
    def viewers(self) -> int:
        """How many look."""
        return self._viewers

    async def pictures(self) -> AsyncIterator[Picture]:
        """Give each new picture; those that come while nobody waits are let go."""
        self._viewers += 1
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._follow())
        last: Picture | None = None
        try:
            while True:
                async with self._changed:
                    if self.picture is None or self.picture is last:
                        await self._changed.wait()
                        continue
                    last = self.picture
                yield last
        finally:
            self._viewers -= 1

    async def _follow(self) -> None:
        asked_s, number, came_s = 0.0, -1, time.monotonic()
        while self._viewers:
            now_s = time.monotonic()
            if now_s - asked_s > _ASK_S:
                asked_s = now_s
                try:
                    watch(self._bench)
                except OSError as error:
                    logger.warning("no frames can be asked for: %s", error)
            picture = None
            try:
                seen = newest_frame(self._bench, after=number)
                if seen is not None:
                    number = seen.number
                    if time.time() - seen.taken_unix_s < _STALE_S:  # else of a run that was killed
                        came_s = now_s
                        picture = await asyncio.to_thread(picture_of, seen)
            except ValueError as error:
                logger.debug("%s", error)
            if picture is not None or (self.picture is not None and now_s - came_s > _STALE_S):
                async with self._changed:
                    self.picture = picture
                    self.delivered += picture is not None
                    self._changed.notify_all()
            await asyncio.sleep(_LOOK_S)
        self.picture = None


def picture_of(seen: Seen) -> Picture:
    """Make a picture of a frame: 8 of its bits, the darkest half of them stretched as a square root does."""
    pixels, saturation = seen.pixels, seen.saturation
    greys, bins = _tables(saturation)
    buffer = io.BytesIO()
    Image.fromarray(np.take(greys, pixels)).save(buffer, "JPEG", quality=_QUALITY)
    counts = np.bincount(np.take(bins, pixels).ravel(), minlength=_BINS)
    return Picture(
        seen, buffer.getvalue(), counts, int(np.count_nonzero(pixels >= saturation)), int(pixels.max(initial=0))
    )


@lru_cache(maxsize=8)
def _tables(saturation: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """From any count to its grey, as most of a frame is dim, and to its place in the histogram; (65536,) each."""
    share = np.minimum(np.arange(1 << 16) / saturation, 1.0)
    greys = (255 * np.sqrt(share)).astype(np.uint8)
    bins = np.minimum(np.arange(1 << 16) * _BINS // (saturation + 1), _BINS - 1).astype(np.uint8)
    return greys, bins
