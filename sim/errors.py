"""What the simulated laboratory raises on purpose."""


class SimulationError(Exception):
    """A file, a request or a value that the simulated laboratory cannot accept; the message says what and why."""


class WorldUnreachable(SimulationError):
    """No simulated laboratory answers: none runs, it has ended, or it did not answer in time."""
