"""What training logs as an objective: a search has its module log what it is judged by."""

from functools import partial

import numpy as np
import optuna
import pytest
import torch

import optuna_nas as nas
from optuna_nas.exceptions import DescriptionError, NASError, TrainingError
from optuna_nas.objectives import Candidate
from optuna_nas.study.record import records

X = np.random.default_rng(0).normal(size=(120, 6)).astype("float32")
Y = (X[:, 0] + X[:, 1] > 0).astype("int64")


def space(trial) -> nas.Architecture:
    width = 4 * trial.suggest_int("width", 1, 50)
    return nas.Architecture.chain(
        [("hidden", "linear", {"features": width}), ("head", "classify", {})]
    )


def search(objectives, **arguments) -> nas.Search:
    return nas.Search(
        name="metrics",
        space=space,
        data=nas.datasets.ArrayDataModule(X, Y, batch_size=32),
        objectives=objectives,
        fidelity=nas.Budget(epochs=(1, 4)),
        trials=5,
        **arguments,
    )


@pytest.mark.parametrize(
    "module",
    [nas.model.Classifier, partial(nas.model.Classifier, learning_rate=1e-2)],
    ids=["class", "partial"],
)
def test_a_search_judges_by_metrics_that_nobody_told_its_module_of(module, tmp_path) -> None:
    made = search(
        ["recall", "validation_loss", "parameters"],
        constraints=[nas.objectives.CalibrationError(max=1.0), nas.objectives.F1(min=0.0)],
        module=module,
    )
    study = made.run(storage=f"sqlite:///{tmp_path}/s.db")
    assert study.metric_names == ["recall (fraction)", "validation_loss", "parameters"]
    for record in records(study):
        if record.outcome == "reused":
            continue
        assert record.outcome in ("trained", "pruned")
        assert record.epochs == len(record.curve) > 0
        assert all(0 <= values["recall"] <= 1 for values in record.curve.values())
        assert all(values["validation_loss"] > 0 for values in record.curve.values())
    trained = [record for record in records(study) if record.outcome == "trained"]
    assert trained
    for record in trained:
        assert 0 <= record.measurements["calibration_error"]["value"] <= 1
        assert 0 < record.measurements["f1"]["value"] <= 1
        assert record.values["recall"] == record.curve[4]["recall"]


@pytest.mark.usefixtures("onnxruntime")
def test_costs_and_the_loss_by_quantisation_are_measured_in_a_search(tmp_path) -> None:
    made = search(["accuracy", "quantization_drop", "peak_memory"])
    study = made.run(trials=2, storage=f"sqlite:///{tmp_path}/s.db")
    trained = [record for record in records(study) if record.outcome == "trained"]
    assert trained
    for record in trained:
        drop, memory = (record.measurements[n] for n in ("quantization_drop", "peak_memory"))
        assert drop["accuracy_fp32"] == pytest.approx(record.values["accuracy"])
        assert drop["value"] == record.values["quantization_drop"]
        assert memory["value"] == memory["weights"] + memory["activations"]
        assert memory["weights"] == 4 * record.parameters


def test_energy_without_a_counter_is_refused_before_the_first_trial(tmp_path) -> None:
    storage = optuna.storages.InMemoryStorage()
    made = search(["accuracy", nas.objectives.Energy(powercap=str(tmp_path))])
    with pytest.raises(NASError, match=r"energy.*RAPL.*found 0 zones"):
        made.run(storage=storage)
    assert not optuna.load_study(study_name="metrics", storage=storage).trials


def test_what_nobody_asks_for_is_not_computed(tmp_path) -> None:
    made = search(["accuracy"])
    network = Candidate(space(made.study(f"sqlite:///{tmp_path}/s.db").ask()), (6,), 2).network
    assert not made.make_module(network)._wanted
    wanting = search(["accuracy", "f1"])
    assert set(wanting.make_module(network)._wanted) == {"f1"}


def test_a_metric_that_was_not_logged_says_how_to() -> None:
    candidate = Candidate(nas.Architecture.chain([("head", "classify", {})]), (4,), 2)
    candidate.metrics = {"val_loss": 1.0}
    message = r"'val_recall', got val_loss.*Classifier\(metrics=.* or Regressor, which logs (.*)"
    with pytest.raises(TrainingError, match=message) as raised:
        nas.objectives.Recall()(candidate)
    logged = str(raised.value).rpartition("which logs ")[2].split(", ")
    assert logged == sorted(nas.model.Regressor(torch.nn.Linear(4, 1))._metrics)


def test_recall_of_chosen_classes_is_logged_beside_that_of_all(tmp_path) -> None:
    chosen = nas.objectives.Recall(name="recall_of_one", classes=[1])
    made = search(["recall", chosen, "accuracy"], pruner="none")
    study = made.run(trials=1, storage=f"sqlite:///{tmp_path}/s.db")
    (record,) = records(study)
    (both, one, accuracy) = (record.values[n] for n in ("recall", "recall_of_one", "accuracy"))
    share = Y[made.data._splits.validation].mean()
    assert accuracy == pytest.approx(share * one + (1 - share) * (2 * both - one))
    assert record.curve[4]["recall_of_one"] == one


def test_another_choice_of_classes_or_weights_is_another_search() -> None:
    plain, chosen = search(["recall"]), search([nas.objectives.Recall(classes=(0, 1))])
    assert plain.description["objectives"] != chosen.description["objectives"]
    module = partial(nas.model.Classifier, class_weights="balanced")
    weighted = search(["recall"], module=module)
    assert weighted.description["module"] != plain.description["module"]
    assert weighted.training_description != plain.training_description


@pytest.mark.parametrize("classes", [[-1], [0.5], [1, 1], ["Crack"]])
def test_classes_that_are_no_numbers_are_refused(classes) -> None:
    with pytest.raises(DescriptionError, match="different whole numbers from 0"):
        nas.objectives.Recall(classes=classes)


def test_a_class_that_the_data_has_not_is_refused_before_the_first_trial() -> None:
    with pytest.raises(DescriptionError, match="classes from 0 to 1 to recall, got 2"):
        search([nas.objectives.Recall(classes=[2])])
