"""An estimate as a laboratory makes it: kept, corrected by what was trained there, refused where there is none."""

from math import exp

import pytest

from labonn.data import DataSet, digits
from labonn.design import load_design
from labonn.errors import ConfigError, RecordError
from labonn.records import save_model
from labonn.training.estimate import Settings, earlier_designs, estimate_design, predict
from labonn.training.estimate import earlier as earlier_module
from labonn.training.estimate.correction import ABOVE

SETTINGS = Settings(images=120, initialisations=1)


@pytest.fixture(scope="module")
def data():
    whole = digits.read()
    return DataSet("digits", whole.classes, whole.train.first(200), whole.validation, whole.test)


def design(kernels=2, hidden=8):
    shipped = load_design("digits-mono")
    return shipped.model_copy(
        update={
            "name": f"k{kernels}",
            "optic": shipped.optic.model_copy(update={"kernels": kernels}),
            "backend": shipped.backend.model_copy(update={"hidden": hidden, "pool": 7}),
        }
    )


def keep(lab, made, accuracy, labelled=200):
    described = {
        "design": made.model_dump(mode="json", by_alias=True),
        "accuracy": {"simulated": accuracy},
        "labelled": labelled,
    }
    return save_model(lab, design=made.name, weights={"student": {}}, description=described)


def test_more_kernels_and_less_noise_are_told_apart(data):
    few, many = (predict(design(kernels), data, SETTINGS) for kernels in (1, 8))
    assert many.ntk > few.ntk
    assert many.infinite_kernels == few.infinite_kernels
    assert many.random_kernels > few.random_kernels
    noisy = design(8).model_copy(update={"sensor": design().sensor.model_copy(update={"read_noise_e": 20_000.0})})
    assert predict(noisy, data, SETTINGS.model_copy(update={"references": False})).ntk < many.ntk - 5


def test_it_is_kept_and_corrected_by_what_the_laboratory_trained(data, tmp_path, monkeypatch):
    first = estimate_design(tmp_path, design(4), data, SETTINGS)
    assert first.earlier == 0
    single = first.predictors.random_kernels
    both = sorted((first.predictors.ntk, 100 / (1 + (100 - single) / single * exp(-ABOVE["drawn"]))))
    assert both[0] < first.accuracy.value < both[1]
    keep(tmp_path, design(4), 12.0)  # of itself nothing is learnt
    keep(tmp_path, design(2), 55.0)
    keep(tmp_path, design(2), 57.0)
    keep(tmp_path, design(3), 12.0, labelled=10)  # learnt from few labels: another matter
    (known,) = earlier_designs(tmp_path, design(4), data, SETTINGS, most=5)
    assert known.accuracy == 56.0
    second = estimate_design(tmp_path, design(4), data, SETTINGS)
    assert second.predictors == first.predictors
    assert second.earlier == 1
    assert second.accuracy.value < first.accuracy.value
    monkeypatch.setattr(earlier_module, "predict", None)  # nothing is computed again
    assert estimate_design(tmp_path, design(4), data, SETTINGS).accuracy == second.accuracy
    for file in (tmp_path / "estimates").iterdir():
        file.write_text("{")
    with pytest.raises(RecordError, match="remove it, and it is computed again"):
        estimate_design(tmp_path, design(4), data, SETTINGS)


def test_what_cannot_be_estimated_is_refused(data):
    with pytest.raises(ConfigError, match="no accuracy is estimated before training"):
        predict(load_design("carvana-poly"), data, SETTINGS)
    with pytest.raises(ConfigError, match="needs 64 training images"):
        predict(design(), data, SETTINGS.model_copy(update={"images": 10}))
