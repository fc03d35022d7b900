"""Objectives of your own: one that is known before training, and one that your module logs."""

from dataclasses import dataclass
from functools import partial

import torch
from torchmetrics.classification import MulticlassCohenKappa

import optuna_nas as nas


@dataclass(frozen=True, kw_only=True)
class Layers(nas.objectives.Objective):
    """Convolutions and linear layers. Nothing is trained of a network over its cap."""

    name: str = "layers"
    unit: str = ""
    direction: str = "minimize"
    stage = "architecture"

    def __call__(self, candidate):
        weighted = torch.nn.Conv2d | torch.nn.Linear
        count = sum(isinstance(m, weighted) for m in candidate.skeleton.modules())
        return nas.objectives.Measurement(count)


search = nas.Search(
    name="own_objective",
    space=nas.spaces.CNN(input_shape=(1, 8, 8), blocks=(1, 3), channels=(8, 16)),
    data=nas.datasets.Digits(),
    module=partial(nas.model.Classifier, metrics={"kappa": MulticlassCohenKappa}),
    objectives=[
        nas.objectives.Metric(name="kappa", unit="", direction="maximize", monitor="val_kappa"),
        Layers(max=8),
    ],
    fidelity=nas.Budget(epochs=(1, 3)),
)

if __name__ == "__main__":
    print(nas.reporting.front_json(search.run(trials=5)))
