r"""How a liquid-crystal panel goes from one picture to the next.

A panel that is told at t_i to show u_i answers, after its latency L, as a first-order system:

    dy/dt = (u(t) - y) / tau,    u(t) = u_i for t_i + L <= t < t_(i+1) + L

Everything is linear in the pictures, so what is shown at any moment, and what a camera sees in the mean of an exposure,
is a mixture of them. This module computes the mixture's weights; it never touches a pixel.
"""

from math import exp, expm1


class Panel:
    """A panel's history: which pictures are on it, with which weights, at any moment from now on.

    Parameters
    ----------
    first
        Key of the picture that has been shown for ever.
    tau_s, latency_s
        Time constant (0: a step) and delay before the response begins, in seconds.
    negligible
        A picture with less weight than this is forgotten.
    """

    def __init__(self, first: str, tau_s: float, latency_s: float, negligible: float = 1e-4) -> None:
        self._tau_s = tau_s
        self._latency_s = latency_s
        self._negligible = negligible
        self._weights = {first: 1.0}
        self._target = first
        self._at_s = float("-inf")
        self._pending: list[tuple[float, str]] = []

    def retune(self, tau_s: float, latency_s: float) -> None:
        """Give the panel another response from now on; what it was already told keeps its latency."""
        self._tau_s, self._latency_s = tau_s, latency_s

    @property
    def told(self) -> str:
        """Key of the picture that was last asked for."""
        return self._pending[-1][1] if self._pending else self._target

    def keys(self) -> set[str]:
        """Keys of all pictures that may still be needed."""
        return {*self._weights, self._target, *(key for _, key in self._pending)}

    def show(self, key: str, now_s: float, late_s: float = 0.0) -> None:
        """Ask for another picture at `now_s`; its response begins `late_s` later than it should, never out of order."""
        begins_s = now_s + max(0.0, self._latency_s + late_s)
        if late_s and self._pending:
            begins_s = max(begins_s, self._pending[-1][0])
        self._pending.append((begins_s, key))

    def weights(self, start_s: float, stop_s: float) -> dict[str, float]:
        """Return the mean weight of each picture between two moments; they sum to one.

        Forgets what was before `start_s`: ask in the order of time.
        """
        self._advance(start_s)
        if stop_s <= start_s:
            return self._pruned(self._weights)
        mean: dict[str, float] = {}
        state, target, at_s = dict(self._weights), self._target, start_s
        switches = [(when, key) for when, key in self._pending if when < stop_s]
        for when, key in [*switches, (stop_s, "")]:
            share = (when - at_s) / (stop_s - start_s)
            for picture, weight in self._mean(state, target, when - at_s).items():
                mean[picture] = mean.get(picture, 0.0) + share * weight
            state, target, at_s = self._relaxed(state, target, when - at_s), key, when
        return self._pruned(mean)

    def _advance(self, to_s: float) -> None:
        while self._pending and self._pending[0][0] <= to_s:
            when, key = self._pending.pop(0)
            self._weights = self._pruned(self._relaxed(self._weights, self._target, when - self._at_s))
            self._target, self._at_s = key, when
        if to_s > self._at_s:
            self._weights = self._pruned(self._relaxed(self._weights, self._target, to_s - self._at_s))
            self._at_s = to_s

    def _relaxed(self, state: dict[str, float], target: str, for_s: float) -> dict[str, float]:
        return self._towards(state, target, exp(-for_s / self._tau_s) if self._tau_s > 0 else float(for_s <= 0))

    def _mean(self, state: dict[str, float], target: str, for_s: float) -> dict[str, float]:
        if self._tau_s <= 0 or for_s <= 0:
            return self._towards(state, target, float(for_s <= 0))
        return self._towards(state, target, -expm1(-for_s / self._tau_s) * self._tau_s / for_s)

    @staticmethod
    def _towards(state: dict[str, float], target: str, left: float) -> dict[str, float]:
        mixture = {key: weight * left for key, weight in state.items()}
        mixture[target] = mixture.get(target, 0.0) + (1.0 - left)
        return mixture

    def _pruned(self, weights: dict[str, float]) -> dict[str, float]:
        kept = {key: weight for key, weight in weights.items() if weight >= self._negligible}
        total = sum(kept.values())
        return {key: weight / total for key, weight in kept.items()}
