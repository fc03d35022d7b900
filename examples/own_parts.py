"""A search with a space and a LightningModule of your own; a LightningDataModule goes in alike."""

import lightning
import torch
from torch.nn.functional import cross_entropy

import optuna_nas as nas


def space(trial):
    width = trial.suggest_int("width", 8, 64, log=True)
    hidden = torch.nn.Linear(64, width), torch.nn.ReLU()
    return torch.nn.Sequential(torch.nn.Flatten(), *hidden, torch.nn.Linear(width, 10))


class Recipe(lightning.LightningModule):
    def __init__(self, network):
        super().__init__()
        self.network = network

    def training_step(self, batch, batch_idx):
        return cross_entropy(self.network(batch[0]), batch[1])

    def validation_step(self, batch, batch_idx):
        hits = self.network(batch[0]).argmax(1) == batch[1]
        self.log("val_accuracy", hits.float().mean())

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=3e-3)


search = nas.Search(
    name="own_parts",
    space=space,
    module=Recipe,
    data=nas.datasets.Digits(),
    objectives=["accuracy", "latency"],  # nas.objectives.Metric judges by whatever is logged
)
if __name__ == "__main__":
    print(nas.reporting.front_json(search.run(trials=10)))
