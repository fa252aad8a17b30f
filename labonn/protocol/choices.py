"""Kinds of parameters that a protocol may ask for, refused before anything is touched where they name nothing."""

from collections.abc import Callable
from typing import Annotated

from pydantic import AfterValidator

from labonn.capture.characterisation import KINDS
from labonn.compensation import check_methods
from labonn.design import load_design
from labonn.errors import ConfigError


def _known(check: Callable[[str], object]) -> AfterValidator:
    """Refuse what a reader refuses, as pydantic wants to be told."""

    def validate(text: str) -> str:
        try:
            check(text)
        except ConfigError as error:
            raise ValueError(str(error)) from error
        return text

    return AfterValidator(validate)


def calibrations(text: str) -> list[str]:
    """Give the kinds of calibration that a text names, in the right order; ``all`` means every one.

    Raises
    ------
    ConfigError
        If one is none.
    """
    if text.strip() == "all":
        return list(KINDS)
    names = {name.strip() for name in text.split(",") if name.strip()}
    if unknown := sorted(names - KINDS.keys()):
        raise ConfigError(f"{unknown[0]!r} is no calibration; there are: {', '.join(KINDS)}, or all")
    return [name for name in KINDS if name in names]


Calibrations = Annotated[str, _known(calibrations)]
"""Kinds of calibration, separated by commas, or all."""
DesignName = Annotated[str, _known(load_design)]
"""A design file, or the name of a shipped design."""
Methods = Annotated[str, _known(check_methods)]
"""Methods of compensation, separated by commas, or all."""
