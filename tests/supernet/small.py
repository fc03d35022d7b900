"""A space, data and a recipe that train in milliseconds, also for processes of their own."""

from __future__ import annotations

import lightning
import optuna
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import optuna_nas as nas

X = torch.randn(96, 6, generator=torch.Generator().manual_seed(0))
Y = (X[:, 0] + X[:, 1] > 0).long()


class Data(lightning.LightningDataModule):
    """A user's data, which knows no stage but that of a fit, shuffled by the global generator."""

    outputs = 2

    def setup(self, stage):
        if stage == "fit":
            self.train = TensorDataset(X[:64], Y[:64])
            self.valid = TensorDataset(X[64:], Y[64:])

    def train_dataloader(self):
        return DataLoader(self.train, 16, shuffle=True)

    def val_dataloader(self):
        return DataLoader(self.valid, 32)


class Recipe(lightning.LightningModule):
    """A user's module."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network, self.dropout = network, nn.Dropout(0.1)

    def training_step(self, batch, batch_idx):
        return nn.functional.cross_entropy(self.network(self.dropout(batch[0])), batch[1])

    def validation_step(self, batch, batch_idx):
        logits = self.network(batch[0])
        self.log("val_loss", nn.functional.cross_entropy(logits, batch[1]))
        self.log("val_accuracy", (logits.argmax(1) == batch[1]).float().mean())
        self.log("val_own", logits.abs().mean())

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=0.02)


def space(trial: optuna.Trial) -> nas.Architecture:
    layers = []
    for number in range(trial.suggest_int("depth", 1, 2)):
        width = 4 * trial.suggest_int(f"hidden{number}.width", 1, 6)
        layers.append((f"hidden{number}", "linear", {"features": width}))
    return nas.Architecture.chain([*layers, ("head", "classify", {})])


def modules(trial: optuna.Trial) -> nn.Module:
    width = trial.suggest_int("width", 4, 9)
    return nn.Sequential(nn.Linear(6, width), nn.BatchNorm1d(width), nn.Linear(width, 2))


OWN = nas.objectives.Metric(name="own", unit="", direction="minimize", monitor="val_own")


def search(**changes) -> nas.Search:
    return nas.Search(
        **{
            "name": "shared",
            "space": space,
            "data": Data(),
            "module": Recipe,
            "objectives": ["validation_loss", "parameters"],
            "constraints": ["accuracy", OWN],
            "estimator": nas.supernet.OneShot(epochs=4),
            "trainer": {"accelerator": "cpu"},
            **changes,
        }
    )
