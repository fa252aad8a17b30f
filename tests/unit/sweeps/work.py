"""What workers do in tests; by settings, so that they are handed over like those of a sweep."""

import os
import time

from labonn.sweeps.trial import Order, Outcome


def work(order: Order) -> Outcome:
    """Square a number; or misbehave as it is told."""
    value = order.settings["seed"]
    if value == "die":
        os._exit(7)
    if value == "eat":
        eaten = bytearray(700_000_000)
        eaten[::4096] = b"x" * len(eaten[::4096])
        time.sleep(30)
    if value == "sleep":
        time.sleep(30)
    if isinstance(value, float):
        time.sleep(value)
    figures = {"accuracy": 90.0 + float(order.number), "energy_mj": 1.0, "optic_mm2": float(order.number)}
    return Outcome(order.number, order.settings, "done", figures)


def die_once(order: Order) -> Outcome:
    """Take the worker down at the first attempt of one trial; a file says that this was it."""
    mark = os.path.join(order.lab, "died")  # noqa: PTH118 (nothing else of ours is needed in the worker)
    if order.number == 1 and not os.path.exists(mark):  # noqa: PTH110
        with open(mark, "w") as file:  # noqa: PTH123
            file.write("once")
        os._exit(9)
    return work(order)
