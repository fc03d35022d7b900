"""What a finalist is exported as is judged by what its search judges by."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path

import lightning
import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

import optuna_nas as nas
from optuna_nas.finalists import choose_finalists, run_finals
from optuna_nas.finalists.callbacks import KeepBest
from optuna_nas.finalists.forms import _Beside, _shortcoming, _Written
from optuna_nas.objectives import Accuracy, Metric
from optuna_nas.study.training import seeded
from tests.finalists.conftest import RECIPE, describe_search

WRITTEN = _Written("onnx", "onnxruntime", "model.onnx", b"", nn.Identity())
LOSS = Metric(name="own", unit="", direction="minimize", monitor="val_own")


@pytest.mark.usefixtures("untimed")
def test_forms_of_a_regression_have_its_objectives(tmp_path: Path, onnxruntime: None) -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(300, 5)).astype(np.float32)
    search = describe_search(
        space=nas.spaces.MLP(layers=(1,), widths=(8, 16)),
        data=nas.datasets.ArrayDataModule(x, 40 + 9 * x[:, 0], batch_size=64),
        module=partial(nas.model.Regressor, learning_rate=1e-2, warmup_steps=5),
        objectives=["mae", "parameters"],
        constraints=["r2"],
    )
    study = search.run(trials=1, storage=f"sqlite:///{tmp_path}/values.db")
    chosen = choose_finalists(search, study, 1)
    (final,) = run_finals(search, study, chosen, replace(RECIPE, seeds=1), compare=False).finals
    assert [form.name for form in final.forms] == ["pytorch", "onnx", "onnx-int8"]
    trained = {name: final.retrained.values(name)[0] for name in ("mae", "r2")}
    for form in final.forms:
        close = 0.2 if form.name == "onnx-int8" else 1e-4
        assert form.values == pytest.approx(trained, rel=close, abs=close / 10)
    assert final.folder is not None
    np.savez(tmp_path / "all.npz", x=(x - x.mean(0)) / x.std(0), y=40 + 9 * x[:, 0])
    script = [sys.executable, "rebuild.py", str(tmp_path / "all.npz")]
    printed = subprocess.run(script, cwd=final.folder, timeout=280, stdout=subprocess.PIPE).stdout
    assert float(printed.split()[-1]) == pytest.approx(trained["mae"], rel=0.3)
    kept = final.forms[2].values["mae"] <= 1.01 * trained["mae"]
    assert final.forms[2].deployable == kept


@pytest.mark.parametrize(
    ("objective", "full", "int8", "said"),
    [
        (Accuracy(), 0.9, 0.89, ""),
        (Accuracy(), 0.9, 0.88, "int8 has accuracy 0.88, PyTorch 0.9: over 0.01 worse"),
        (Accuracy(), 0.9, 0.95, ""),
        (LOSS, 200.0, 201.0, ""),
        (LOSS, 200.0, 203.0, "int8 has own 203, PyTorch 200: over 2 worse"),
        (LOSS, 200.0, float("nan"), "int8 has own nan, PyTorch 200: over 2 worse"),
        ("parameters", 1.0, 1.0, "no trained objective by which int8 could be compared"),
    ],
)
def test_int8_may_lose_a_point_of_the_first_trained_objective(
    objective: Metric, full: float, int8: float, said: str
) -> None:
    search = describe_search(objectives=[objective])
    name = search.optimised[0].name
    assert _shortcoming("onnx-int8", 0.5, search, {name: int8}, {name: full}) == said


def test_outputs_that_are_not_finite_are_not_to_be_deployed() -> None:
    beside = _Beside(lambda x: x.log(), nn.Identity())
    for batch in (torch.ones(2, 3), -torch.ones(2, 3), torch.ones(2, 3)):
        beside(batch)
    assert beside.difference is None
    search = describe_search()
    for name in ("onnx", "onnx-int8"):
        said = _shortcoming(name, beside.difference, search, {"accuracy": 1}, {"accuracy": 1})
        assert said == "some of its outputs are not finite"


class AtRandom(lightning.LightningDataModule):
    """Splits anew in every setup; the first feature of a sample is its number."""

    outputs = 2

    def setup(self, stage: str | None = None) -> None:
        numbers = torch.randperm(200)
        x = torch.stack([numbers.float(), (numbers % 2).float()], 1)
        self.split = TensorDataset(x, numbers % 2)

    def train_dataloader(self) -> DataLoader[tuple[Tensor, ...]]:
        return DataLoader(TensorDataset(*self.split[:150]), batch_size=50)

    def val_dataloader(self) -> DataLoader[tuple[Tensor, ...]]:
        return DataLoader(TensorDataset(*self.split[150:]), batch_size=50)


@pytest.mark.usefixtures("untimed")
def test_samples_of_data_that_splits_at_random_are_validation_data_of_the_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And a form whose loss is not finite does not end it all."""
    data = AtRandom()
    space = nas.spaces.MLP(layers=(1,), widths=(8, 16))
    search = describe_search(space=space, data=data, seed=7)
    study = search.run(trials=1, storage=f"sqlite:///{tmp_path}/random.db")
    chosen = choose_finalists(search, study, 1)
    monkeypatch.setattr(
        "optuna_nas.finalists.forms._written",
        lambda network, *_: iter([WRITTEN._replace(predict=lambda x: network(x) * torch.nan)]),
    )
    (final,) = run_finals(search, study, chosen, replace(RECIPE, seeds=1), compare=False).finals
    assert final.folder is not None
    seeded(data.setup, 7)
    with np.load(final.folder / "sample.npz") as sample:
        assert sample["x"][:, 0].tolist() == data.split[150:][0][:, 0].tolist()
    (form,) = final.forms
    assert not form.deployable and form.values == {} and "finite" in form.note
    assert form.note in (final.folder / "card.md").read_text()


class Logged:
    sanity_checking = False

    def __init__(self, **logged: float) -> None:
        self.callback_metrics = {name: torch.tensor(value) for name, value in logged.items()}


@pytest.mark.parametrize("mode", ["max", "min"])
def test_any_epoch_is_better_than_one_without_a_number(mode: str) -> None:
    kept = KeepBest("val_own", mode)
    for value in (float("nan"), 0.5, float("nan")):
        kept.on_validation_end(Logged(val_own=value), nn.Identity())
    assert kept.state_dict()["logged"]["val_own"] == 0.5
