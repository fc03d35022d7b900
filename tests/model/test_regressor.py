"""The recipe of regressions: any unit, exact metrics."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from lightning.pytorch import Trainer, seed_everything
from torch import nn

import optuna_nas as nas
from optuna_nas.datasets import ArrayDataModule
from optuna_nas.exceptions import DescriptionError, TrainingError
from optuna_nas.model import Regressor
from optuna_nas.spaces import MLP

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*does not have many workers.*"),
    pytest.mark.filterwarnings("ignore:.*smaller than the logging interval.*"),
]


def plane(values: int = 0) -> ArrayDataModule:
    """Targets far from 0, on a plane; one value a sample, or a column of several."""
    generator = np.random.default_rng(0)
    x = generator.normal(size=(200, 4))
    y = 3000 + x @ generator.normal(size=(4, max(values, 1))) * 500
    return ArrayDataModule(x, y if values else y[:, 0], batch_size=20)


def train(module: Regressor, data: ArrayDataModule, epochs: int) -> Trainer:
    trainer = Trainer(
        accelerator="cpu",
        max_epochs=epochs,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
    )
    trainer.fit(module, datamodule=data)
    return trainer


@pytest.mark.parametrize("values", [0, 2])
@pytest.mark.parametrize("options", [{}, {"loss": "huber"}, {"loss": "mae", "optimiser": "sgd"}])
def test_learns_in_the_unit_of_the_targets_and_logs_what_a_second_look_finds(
    values: int, options: dict[str, str]
) -> None:
    seed_everything(0, verbose=False)
    module = Regressor(nn.Linear(4, max(values, 1)), learning_rate=0.05, **options)
    data = plane(values)
    metrics = train(module, data, 30).callback_metrics
    x, y = data.val_dataloader().dataset[:]
    with torch.no_grad():
        found = module.eval()(x).reshape(y.shape)
    assert set(metrics) == {"val_loss", "val_mae", "val_r2"}
    torch.testing.assert_close(metrics["val_loss"], (found - y).square().mean())
    torch.testing.assert_close(metrics["val_mae"], (found - y).abs().mean())
    unexplained = (found - y).square().sum(0) / (y - y.mean(0)).square().sum(0)
    torch.testing.assert_close(metrics["val_r2"], 1 - unexplained.mean(), rtol=1e-4, atol=1e-4)
    assert metrics["val_r2"] > 0.98


def test_a_checkpoint_keeps_the_unit() -> None:
    module, data = Regressor(nn.Linear(4, 1)), plane()
    train(module, data, 1)
    twin = Regressor(nn.Linear(4, 1))
    twin.load_state_dict(module.state_dict())
    x = torch.randn(3, 4)
    torch.testing.assert_close(twin(x), module(x))
    mean, deviation = data.target_statistics
    assert module.mean == pytest.approx(float(mean))
    assert module.deviation == pytest.approx(float(deviation))


def test_a_loss_that_is_not_finite_ends_the_training() -> None:
    network = nn.Linear(4, 1)
    nn.init.constant_(network.bias, torch.inf)
    with pytest.raises(TrainingError, match="finite training loss"):
        train(Regressor(network), plane(), 1)


def test_unknown_names_are_refused() -> None:
    with pytest.raises(DescriptionError, match="loss among huber, mae, mse"):
        Regressor(nn.Linear(4, 1), loss="rmse")
    with pytest.raises(DescriptionError, match="optimiser among adamw, sgd"):
        Regressor(nn.Linear(4, 1), optimiser="adam")


def test_a_search_judges_regressions(tmp_path) -> None:
    search = nas.Search(
        name="plane",
        space=MLP(layers=(1, 2), widths=(8, 16)),
        data=plane(),
        module=nas.model.Regressor,
        objectives=["mae", "parameters"],
        constraints=["r2"],
        fidelity=nas.Budget(epochs=(1, 2)),
    )
    study = search.run(trials=4, storage=f"sqlite:///{tmp_path}/s.db")
    trained = [t for t in study.trials if t.user_attrs["outcome"] == "trained"]
    assert trained
    for trial in trained:
        assert trial.user_attrs["measurements"]["mae"]["value"] == trial.values[0] > 0
        assert trial.user_attrs["measurements"]["r2"]["value"] < 1
