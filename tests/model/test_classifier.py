"""The recipe: exact metrics, a schedule without an end, and no training on NaN."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from lightning.pytorch import Callback, LightningModule, Trainer, seed_everything
from torch import nn
from torch.nn.functional import cross_entropy
from torchmetrics.classification import MulticlassPrecision

from optuna_nas.blocks import add_auxiliary_loss
from optuna_nas.datasets import ArrayDataModule
from optuna_nas.exceptions import DescriptionError, TrainingError
from optuna_nas.model import Classifier
from optuna_nas.model.focal import focal_loss
from optuna_nas.model.metrics import RecallOf

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


def test_logs_metrics_of_torchmetrics_by_a_name_of_ones_own() -> None:
    precision = {"mine": partial(MulticlassPrecision, average="micro")}
    metrics = train(Classifier(nn.Linear(4, 2), metrics=precision), blobs(), 1).callback_metrics
    assert metrics["val_mine"] == metrics["val_accuracy"]


def test_a_metric_that_there_is_not_is_refused() -> None:
    with pytest.raises(DescriptionError, match=r"calibration_error, f1, recall, got 'recal'"):
        Classifier(nn.Linear(4, 2), metrics=["recal"])


def unbalanced() -> ArrayDataModule:
    """Two overlapping classes, nine to one."""
    generator = np.random.default_rng(0)
    y = (np.arange(400) % 10 == 0).astype(int)
    return ArrayDataModule(generator.normal(size=(400, 4)) + y[:, None], y, batch_size=40)


def recall_of_the_rare(**options: Any) -> float:
    seed_everything(0, verbose=False)
    module = Classifier(nn.Linear(4, 2), learning_rate=0.05, **options)
    module.log_also({"rare": partial(RecallOf, (1,))})
    return float(train(module, unbalanced(), 10).callback_metrics["val_rare"])


def test_class_weights_find_more_of_a_rare_class() -> None:
    assert recall_of_the_rare(class_weights="balanced") > recall_of_the_rare() + 0.2


def test_balanced_weights_are_those_of_the_training_split() -> None:
    data = unbalanced()
    frequent, rare = data.class_counts
    numbers = [len(data._splits.train) / (2 * count) for count in (frequent, rare)]
    found = {recall_of_the_rare(class_weights=weights) for weights in ("balanced", numbers)}
    assert len(found) == 1
    assert rare * numbers[1] == pytest.approx(frequent * numbers[0])


def test_weights_are_for_training_only_and_weigh_each_position() -> None:
    module = Classifier(nn.Identity(), class_weights=[1.0, 3.0])
    module._weight = torch.tensor([1.0, 3.0])
    logits = torch.randn(5, 2, 7, generator=torch.Generator().manual_seed(0))
    y = (torch.arange(35) % 2).view(5, 7)
    expected = cross_entropy(logits, y, weight=torch.tensor([1.0, 3.0]))
    torch.testing.assert_close(module.training_step((logits, y), 0), expected)
    module.validation_step((logits, y), 0)
    torch.testing.assert_close(module._sums[0][0], cross_entropy(logits, y, reduction="sum"))


@pytest.mark.parametrize("weights", ["equal", [], [1.0, 0.0], [1.0, float("inf")], [-1.0, 2.0]])
def test_weights_that_are_none_are_refused_at_once(weights: Any) -> None:
    with pytest.raises(DescriptionError, match="class_weights='balanced' or a number above 0"):
        Classifier(nn.Linear(4, 2), class_weights=weights)


def test_weights_that_do_not_fit_the_data_are_refused_before_the_first_step() -> None:
    with pytest.raises(DescriptionError, match="for 2 classes, got 3 numbers"):
        train(Classifier(nn.Linear(4, 2), class_weights=[1, 1, 1]), blobs(), 1)
    data = blobs()
    vars(data)["classes"] = None
    with pytest.raises(DescriptionError, match=r"`class_counts`.*got none; or give the weights"):
        train(Classifier(nn.Linear(4, 2), class_weights="balanced"), data, 1)


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


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ({"loss": "focl"}, "loss among cross_entropy, focal, got 'focl'; did you mean 'focal'"),
        ({"optimiser": "adam"}, "optimiser among adamw, sgd, got 'adam'"),
        ({"learning_rate": 0.0}, "learning_rate above 0, got learning_rate=0.0"),
        ({"weight_decay": -0.1}, "weight_decay from 0"),
        ({"warmup_steps": 0}, "warmup_steps from 1"),
        ({"label_smoothing": 1.0}, r"label_smoothing in \[0, 1\)"),
        ({"augmentation": 1.5}, "augmentation from 0 to 1"),
    ],
)
def test_options_out_of_range_are_refused_at_once(option: Any, message: str) -> None:
    with pytest.raises(DescriptionError, match=message):
        Classifier(nn.Linear(4, 2), **option)


def test_another_loss_is_minimised_and_the_cross_entropy_logged() -> None:
    module = Classifier(nn.Identity(), loss="focal")
    logits, y = torch.tensor([[3.0, 0.0], [0.0, 1.0]]), torch.tensor([0, 0])
    torch.testing.assert_close(module.training_step((logits, y), 0), focal_loss(logits, y))
    module.validation_step((logits, y), 0)
    torch.testing.assert_close(module._sums[0][0], cross_entropy(logits, y, reduction="sum"))


class Watched(nn.Module):
    """Notes the images that it gets in training and in validation."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(64, 2)
        self.seen: dict[bool, list[torch.Tensor]] = {True: [], False: []}

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.seen[self.training].append(x)
        return self.linear(x.flatten(1))


@pytest.mark.parametrize("options", [{"augmentation": 1.0}, {"flip": True}])
def test_images_are_augmented_in_training_only_and_by_the_seed(options: Any) -> None:
    x = np.random.default_rng(0).normal(size=(60, 1, 8, 8)).astype("float32")
    trained = []
    for _ in range(2):
        seed_everything(0, verbose=False)
        data = ArrayDataModule(x, np.arange(60) % 2, standardise=False, batch_size=60)
        network = Watched()
        train(Classifier(network, **options), data, 2)
        (validated, _) = network.seen[False]
        assert torch.equal(validated, data.val_dataloader().dataset[:][0])
        trained.append(torch.stack(network.seen[True]))
    assert torch.equal(*trained)
    whole = data.train_dataloader().dataset[:][0]
    same = (trained[0][0][:, None] == whole[None]).flatten(2).all(2).any(1)
    assert same.float().mean() < 0.8
