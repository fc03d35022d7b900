"""A search with a space, a LightningModule and a LightningDataModule of your own."""

import lightning
import torch
from torch.nn.functional import cross_entropy

import optuna_nas as nas


def space(trial):
    width = trial.suggest_int("width", 8, 64, log=True)
    layers = [torch.nn.Flatten(), torch.nn.Linear(64, width), torch.nn.ReLU()]
    for _ in range(trial.suggest_int("depth", 0, 3)):
        layers += [torch.nn.Linear(width, width), torch.nn.ReLU()]
    return torch.nn.Sequential(*layers, torch.nn.Linear(width, 10))


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
    objectives=["accuracy", "latency"],
    fidelity=nas.Budget(epochs=(1, 9)),
)

if __name__ == "__main__":
    study = search.run(trials=10)
    print(nas.reporting.front_json(study))
