"""A light's own watchdog, where its dialect has one: it turns itself off when it is no longer fed."""

import logging
import threading

from labonn.errors import InstrumentError
from labonn.instruments.light import Light

logger = logging.getLogger(__name__)

LIMIT_S = 1.5
_FEED_S = 0.4


class OwnWatchdog:
    """Feeds the light's watchdog for as long as the bench is open; stands in for `watchdog.Watchdog`."""

    def __init__(self, light: Light) -> None:
        self._light = light
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._feed, name=f"feeding the watchdog of {light.name}", daemon=True)

    def start(self) -> None:
        """Start to feed it: it runs since it was told its limit."""
        self._thread.start()

    def arm(self) -> None:
        """Go on feeding it."""

    def disarm(self) -> None:
        """Go on feeding it: the light may stay on behind a closed shutter."""

    def stop(self) -> None:
        """Feed it no more; may be called twice."""
        self._ended.set()

    def _feed(self) -> None:
        while not self._ended.wait(_FEED_S):
            try:
                self._light.feed_own_watchdog()
            except InstrumentError as error:
                logger.warning("%s", error)
