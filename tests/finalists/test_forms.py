"""What a finalist is exported as is judged by what its search judges by."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest

import optuna_nas as nas
from optuna_nas.finalists import choose_finalists, run_finals
from optuna_nas.finalists.forms import _shortcoming
from optuna_nas.objectives import Accuracy, Metric
from tests.finalists.conftest import RECIPE, describe_search

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
