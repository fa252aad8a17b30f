"""One name for what a design is, so that two can be told apart."""

import hashlib
import json

from labonn.design.design import Design

_BUILT = {"task", "optic", "sensor", "backend"}


def design_hash(design: Design) -> str:
    """SHA-256 of what a design builds: its task, optic, sensor and backend, not how it is trained.

    Keys that are left at their defaults do not count, so that a later version, which knows more keys, says the same.
    """
    built = design.model_dump(mode="json", include=_BUILT, exclude_defaults=True)
    return hashlib.sha256(json.dumps(built, sort_keys=True).encode()).hexdigest()
