"""What forbids light: once tripped, nothing on the bench moves any more but towards dark."""

import logging
import threading
from collections.abc import Callable

from labonn.errors import LabonnError

logger = logging.getLogger(__name__)


def _nothing() -> None:
    pass


class Guard:
    """The one place through which a bench is stopped from elsewhere: an interlock, another shell, the operator's page.

    The first error that trips it is what every later act on an instrument raises, so that the run ends by it wherever
    it is. Safe to use from any thread.
    """

    def __init__(self) -> None:
        self._lock = threading.Condition()
        self._under_way = 0
        self._retired = False
        self._error: LabonnError | None = None
        self._darken: Callable[[], None] = _nothing
        self._before_light: Callable[[], None] = _nothing
        self._after_dark: Callable[[], None] = _nothing

    @property
    def error(self) -> LabonnError | None:
        """What tripped it; None while it has not tripped."""
        return self._error

    def set_up(
        self, darken: Callable[[], None], before_light: Callable[[], None], after_dark: Callable[[], None]
    ) -> None:
        """Say what makes the bench dark, and what must be done before it is lit and after it is proven dark."""
        self._darken, self._before_light, self._after_dark = darken, before_light, after_dark

    def trip(self, error: LabonnError) -> None:
        """Forbid everything but darkness from now on, and make the bench dark; returns when that has been tried.

        Nothing is tried on a bench that is `retire`d: it was made dark before.

        Raises
        ------
        InstrumentError
            If the bench could not be made dark.
        """
        with self._lock:
            self._error = self._error or error
            dark_already = self._retired
            self._under_way += not dark_already
        logger.error("%s", error)
        if dark_already:
            return
        try:
            self._darken()
        finally:
            with self._lock:
                self._under_way -= 1
                self._lock.notify_all()

    def retire(self, limit_s: float) -> None:
        """Wait until nobody makes the bench dark any more, at most so long: it is dark, and will be disconnected.

        Whoever trips the guard from now on finds a bench that is dark already.
        """
        with self._lock:
            self._retired = True
            self._lock.wait_for(lambda: not self._under_way, limit_s)

    def check(self) -> None:
        """Raise what tripped it, if anything has.

        Raises
        ------
        LabonnError
            What was given to `trip`.
        """
        if self._error is not None:
            # A fresh one each time: a traceback of its own, and notes that are not another's.
            raise type(self._error)(*self._error.args)

    def before_light(self) -> None:
        """Ask for leave to light the bench: for instruments, before they let light out.

        Raises
        ------
        LabonnError
            What tripped the guard, or why nothing would make the bench dark if this process were killed.
        """
        self.check()
        self._before_light()

    def after_dark(self) -> None:
        """Say that the bench is dark, proven: for the shutter, when it says that it is closed."""
        self._after_dark()
