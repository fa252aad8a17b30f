"""One design's estimate: accuracy with its interval, and what it is held against."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from labonn.data import DataSet
from labonn.design import Design
from labonn.training.estimate.correction import Correction, Interval
from labonn.training.estimate.earlier import earlier_designs, kept_predictors
from labonn.training.estimate.predictors import Predictors, Settings

CONFIDENCE = 0.9


@dataclass(frozen=True)
class Estimate:
    """What a design will reach.

    Attributes
    ----------
    accuracy
        In per cent, on the test images, in simulation.
    predictors
        From which it follows.
    earlier
        By how many earlier designs it was corrected.
    seconds
        That it took: for the design itself, and for earlier ones of which nothing was kept.
    """

    accuracy: Interval
    predictors: Predictors
    earlier: int
    seconds: dict[str, float]


def estimate_design(
    lab_dir: Path,
    design: Design,
    data: DataSet,
    settings: Settings | None = None,
    *,
    most_earlier: int = 24,
    say: Callable[[str], None] = lambda text: None,
) -> Estimate:
    """Estimate what a design will reach when it is trained; the laboratory's earlier designs correct it.

    Parameters
    ----------
    lab_dir
        The laboratory's folder; what is computed is kept in ``estimates``.
    design
        Of a task whose images have one class each.
    data
        The data set of its task.
    settings
        How much is computed.
    most_earlier
        Earlier designs that are asked at most.
    say
        Told in words what takes long.

    Raises
    ------
    ConfigError
        If there is no estimate for its task.
    RecordError
        If a model's card or what was kept is damaged.
    """
    settings = settings or Settings()
    began_s = time.perf_counter()
    predictors = kept_predictors(lab_dir, design, data, settings)
    own_s = time.perf_counter() - began_s
    alone = settings.model_copy(update={"references": False})
    known = earlier_designs(lab_dir, design, data, alone, most=most_earlier, say=say)
    correction = Correction(known)
    seconds = {"design": own_s, "earlier": time.perf_counter() - began_s - own_s}
    return Estimate(correction.predict(predictors, CONFIDENCE), predictors, len(known), seconds)
