"""Who computes trials: the interface of the engines."""

from collections.abc import Callable, Sequence
from typing import Protocol

from labonn.sweeps.trial import Order, Outcome


class Engine(Protocol):
    """Computes orders, several at once, and says what came of each as soon as it is there."""

    def run(self, orders: Sequence[Order], done: Callable[[Outcome], None]) -> None:
        """Compute all of them; each is answered once, in whichever order they end."""

    def close(self) -> None:
        """End what it began; what is being computed is lost."""
