"""What every effect's table in a world file has in common."""

from typing import Annotated

from pydantic import Field

from sim.frozen import Frozen

Fraction = Annotated[float, Field(ge=0.0, le=1.0)]


class Effect(Frozen):
    """Something that a real laboratory does and an ideal one does not."""

    on: bool = True
