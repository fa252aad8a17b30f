"""What the simulated laboratory's Micro-Manager devices share: a line to the world."""

from typing import Any, ClassVar

from pymmcore_plus.experimental.unicore.devices._device_base import Device

from sim.link import Link


class Client(Device):
    """What all clients share: a line to the world, and the properties that choose it and its patience."""

    _timeout_ms: ClassVar[float] = 10_000.0

    def __init__(self) -> None:
        super().__init__()
        self._link = Link(type(self).__name__)
        self._patience_ms = self._timeout_ms
        self.register_property(
            "World", default_value="", property_type=str, getter=lambda d: d._link.world, setter=_set_world
        )
        self.register_property(
            "Timeout_ms",
            default_value=self._patience_ms,
            property_type=float,
            limits=(1.0, 600_000.0),
            getter=lambda d: d._patience_ms,
            setter=_set_patience_ms,
        )

    def shutdown(self) -> None:
        """Hang up."""
        self._link.close()

    def _ask(self, op: str, beyond_ms: float = 0.0, **fields: Any) -> dict[str, Any]:
        return self._link.request(op, (self._patience_ms + beyond_ms) / 1e3, **fields)


def _set_world(client: Client, name: str) -> None:
    client._link.close()
    client._link.world = name


def _set_patience_ms(client: Client, milliseconds: float) -> None:
    client._patience_ms = float(milliseconds)
