"""The report of a training: one page in its model folder."""

from collections.abc import Mapping, Sequence
from typing import Any

from labonn.report import Page, flatten
from labonn.training.pictures import Picture


def model_page(described: Mapping[str, Any], pictures: Sequence[Picture]) -> bytes:
    """Put what is known of a model and its pictures onto a page, as HTML in UTF-8.

    Parameters
    ----------
    described
        What the model's card says.
    pictures
        In their order.
    """
    design = described["design"]
    page = Page(f"{design['name']}, trained by {described['method']}, seed {described['seed']}")
    if "miou" in described:
        overlap, both = described["miou"]["simulated"], described["miou_of_all_classes"]
        said = f"the test images' mean overlap is {overlap:.2f} %, of all classes {both:.2f} %, in simulation"
    else:
        said = f"{described['accuracy']['simulated']:.2f} % of the test images, in simulation"
    page.banner("neutral", said)
    page.facts(flatten({key: value for key, value in described.items() if key not in ("design", "epochs")}))
    page.heading("Pictures")
    for picture in pictures:
        page.figure(picture.png, picture.title, picture.caption)
    epochs = described["epochs"]
    page.heading("Epochs")
    page.table(
        [
            {"epoch": number + 1, **{name: round(values[number], 4) for name, values in epochs.items()}}
            for number in range(min((len(values) for values in epochs.values()), default=0))
        ]
    )
    page.folded("The design", design)
    return page.html().encode("utf-8")
