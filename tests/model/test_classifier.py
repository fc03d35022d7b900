"""The recipe: exact metrics, a schedule without an end, and no training on NaN."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from lightning.pytorch import Callback, LightningModule, Trainer, seed_everything
from torch import nn
from torch.nn.functional import cross_entropy

from optuna_nas.blocks import add_auxiliary_loss
from optuna_nas.datasets import ArrayDataModule
from optuna_nas.exceptions import DescriptionError, TrainingError
from optuna_nas.model import Classifier

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*does not have many workers.*"),
    pytest.mark.filterwarnings("ignore:.*smaller than the logging interval.*"),
]


def blobs(seed: int = 0) -> ArrayDataModule:
    """Two classes that a line can separate."""
    generator = np.random.default_rng(seed)
    y = np.arange(120) % 2
    x = generator.normal(size=(120, 4)) + 3 * y[:, None]
    return ArrayDataModule(x, y, batch_size=10)


def train(
    module: LightningModule, data: ArrayDataModule, epochs: int, *callbacks: Callback
) -> Any:
    trainer = Trainer(
        accelerator="cpu",
        max_epochs=epochs,
        callbacks=list(callbacks),
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
    )
    trainer.fit(module, datamodule=data)
    return trainer


class Rates(Callback):
    """Notes the learning rate of every step."""

    def __init__(self) -> None:
        self.seen: list[float] = []

    def on_train_batch_start(self, trainer: Trainer, *_: Any) -> None:
        self.seen.append(trainer.optimizers[0].param_groups[0]["lr"])


def test_learns_and_logs_what_a_second_look_finds() -> None:
    seed_everything(0, verbose=False)
    module, data = Classifier(nn.Linear(4, 2), learning_rate=0.1), blobs()
    trainer = train(module, data, 3)
    x, y = data.val_dataloader().dataset[:]
    with torch.no_grad():
        logits = module.eval()(x)
    metrics = trainer.callback_metrics
    assert set(metrics) == {"val_loss", "val_accuracy"}
    torch.testing.assert_close(metrics["val_loss"], cross_entropy(logits, y))
    accuracy = (logits.argmax(1) == y).float().mean()
    torch.testing.assert_close(metrics["val_accuracy"], accuracy)
    assert accuracy > 0.9


def test_logs_further_metrics_where_asked_over_the_whole_validation_set() -> None:
    seed_everything(0, verbose=False)
    module, data = Classifier(nn.Linear(4, 2), metrics=["recall", "f1"]), blobs()
    module.log_also(["calibration_error"])
    metrics = train(module, data, 2).callback_metrics
    names = {"val_loss", "val_accuracy", "val_recall", "val_f1", "val_calibration_error"}
    assert set(metrics) == names
    x, y = data.val_dataloader().dataset[:]
    with torch.no_grad():
        confidence, predicted = module.eval()(x).softmax(1).max(1)
    hits = predicted == y
    found = [hits[y == c].float().mean() for c in (0, 1)]
    torch.testing.assert_close(metrics["val_recall"], torch.stack(found).mean())
    precise = [hits[predicted == c].float().mean() for c in (0, 1)]
    f1 = [2 * p * r / (p + r) for p, r in zip(precise, found, strict=True)]
    torch.testing.assert_close(metrics["val_f1"], torch.stack(f1).mean())
    bins = (confidence * 15).long()
    gaps = [(hits[bins == b].float() - confidence[bins == b]).sum().abs() for b in range(15)]
    torch.testing.assert_close(metrics["val_calibration_error"], sum(gaps) / len(y))


def test_a_metric_that_there_is_not_is_refused() -> None:
    with pytest.raises(DescriptionError, match=r"calibration_error, f1, recall, got 'recal'"):
        Classifier(nn.Linear(4, 2), metrics=["recal"])


def test_the_schedule_does_not_know_when_training_ends() -> None:
    seen = []
    for epochs in (1, 4):
        rates = Rates()
        train(Classifier(nn.Linear(4, 2), warmup_steps=5), blobs(), epochs, rates)
        seen.append(rates.seen)
    assert seen[0] == seen[1][: len(seen[0])]
    assert np.argmax(seen[1]) == 4
    assert max(seen[1]) == Classifier(nn.Linear(4, 2)).learning_rate


def test_the_seed_decides_the_training() -> None:
    weights = []
    for _ in range(2):
        seed_everything(5, verbose=False)
        module = Classifier(nn.Linear(4, 2))
        train(module, blobs(), 2)
        weights.append(module.network.weight.detach().clone())
    assert torch.equal(*weights)


class Poisoned(nn.Linear):
    """Returns a value from the given forward pass in training on."""

    def __init__(self, value: float, after: int) -> None:
        super().__init__(4, 2)
        self.value, self.left = value, after

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.left -= self.training
        spoiled = self.training and self.left < 0
        return super().forward(x) * self.value if spoiled else super().forward(x)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_loss_that_is_not_finite_ends_the_training(value: float) -> None:
    with pytest.raises(TrainingError, match=r"finite training loss, got nan in epoch 1; lower"):
        train(Classifier(Poisoned(value, after=9)), blobs(), 3)


def test_a_validation_loss_that_is_not_finite_ends_the_training() -> None:
    class Broken(nn.Linear):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return super().forward(x) * (1 if self.training else float("nan"))

    with pytest.raises(TrainingError, match="finite validation loss, got nan in epoch 0"):
        train(Classifier(Broken(4, 2)), blobs(), 1)


def test_what_blocks_add_to_the_loss_is_trained_and_not_validated() -> None:
    class Extra(nn.Linear):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            add_auxiliary_loss(self.weight.sum())
            return super().forward(x)

    torch.manual_seed(0)
    module, (x, y) = Classifier(Extra(4, 2)), (torch.randn(6, 4), torch.arange(6) % 2)
    found = module.training_step((x, y), 0)
    expected = cross_entropy(module(x), y) + module.network.weight.sum()
    torch.testing.assert_close(found, expected)
    module.validation_step((x, y), 0)
    torch.testing.assert_close(module._sums[0][0], cross_entropy(module(x), y, reduction="sum"))
