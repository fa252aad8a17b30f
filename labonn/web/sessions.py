"""Who is at the page now: sessions that expire, and failed attempts that make the next one wait."""

import secrets
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field

from labonn.web.users import Person

LONGEST_S = 12 * 3600.0
"""A session ends after a shift, whatever was done in it."""
IDLE_S = 2 * 3600.0
"""And after two hours in which no page of it was open."""
_MOST_SESSIONS = 1_000
_FREE_TRIES = 3
_LONGEST_WAIT_S = 300.0
_MOST_REMEMBERED = 10_000


@dataclass
class Session:
    """Somebody at the page."""

    person: Person
    begun_s: float
    seen_s: float
    key: str = field(repr=False, default="")
    ended: bool = False


class Sessions:
    """The sessions that go on. They are kept in memory only: when the server ends, everybody logs in again."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._open: OrderedDict[str, Session] = OrderedDict()

    def begin(self, person: Person) -> Session:
        """Let somebody in; the session's key is theirs to keep."""
        now_s = self._clock()
        session = Session(person, now_s, now_s, secrets.token_urlsafe(32))
        self._open[session.key] = session
        while len(self._open) > _MOST_SESSIONS:
            self._open.popitem(last=False)[1].ended = True
        return session

    def find(self, key: str | None) -> Session | None:
        """Give the session of a key, and note that it is used; None where there is none, or it has expired."""
        session = self._open.get(key or "")
        if session is None or not self.goes_on(session):
            return None
        session.seen_s = self._clock()
        return session

    def goes_on(self, session: Session) -> bool:
        """Whether a session has neither ended nor expired."""
        now_s = self._clock()
        if not session.ended and now_s - session.begun_s <= LONGEST_S and now_s - session.seen_s <= IDLE_S:
            return True
        self.end(session)
        return False

    def end(self, session: Session) -> None:
        """Log somebody out."""
        session.ended = True
        self._open.pop(session.key, None)


class SlowDown:
    """Makes whoever fails wait: three tries are free, then each failure doubles the wait, to five minutes."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._failures: OrderedDict[str, tuple[int, float]] = OrderedDict()

    def wait_s(self, *who: str) -> float:
        """Say how long they must wait; `who` are the names that a failure is counted under."""
        now_s = self._clock()
        return max(0.0, *(self._until(one) - now_s for one in who))

    def failed(self, *who: str) -> None:
        """Count a failure."""
        for one in who:
            count, _ = self._failures.pop(one, (0, 0.0))
            self._failures[one] = (count + 1, self._clock())
        while len(self._failures) > _MOST_REMEMBERED:
            self._failures.popitem(last=False)

    def succeeded(self, *who: str) -> None:
        """Forget their failures."""
        for one in who:
            self._failures.pop(one, None)

    def _until(self, one: str) -> float:
        count, last_s = self._failures.get(one, (0, 0.0))
        if count < _FREE_TRIES:
            return 0.0
        return last_s + min(2.0 ** (count - _FREE_TRIES), _LONGEST_WAIT_S)
