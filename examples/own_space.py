"""Two ways to write a space of your own: a function that returns a module, a class of blocks."""

from dataclasses import dataclass

import torch

import optuna_nas as nas


def module(trial):
    """Any torch module."""
    width = trial.suggest_int("width", 8, 64, log=True)
    hidden = torch.nn.Linear(64, width), torch.nn.ReLU()
    return torch.nn.Sequential(torch.nn.Flatten(), *hidden, torch.nn.Linear(width, 10))


@dataclass(frozen=True)
class Blocks:
    """Blocks, named and chained; the arguments of the class bound the choices."""

    deepest: int = 3

    def __call__(self, trial):
        nodes = []
        for number in range(trial.suggest_int("depth", 1, self.deepest)):
            inside = nas.scope(trial, f"block{number}")
            channels = inside.suggest_int("channels", 8, 32, step=8)
            kind = inside.suggest_categorical("kind", ["conv", "separable"])
            nodes.append((f"block{number}", kind, {"channels": channels, "stride": 2}))
        return nas.Architecture.chain([*nodes, ("classify", "classify", {})])


if __name__ == "__main__":
    data, budget = nas.datasets.Digits(), nas.Budget(epochs=(1, 2))
    judged = ["accuracy", "parameters"]
    for name, space in {"modules": module, "blocks": Blocks(deepest=2)}.items():
        search = nas.Search(name=name, space=space, data=data, objectives=judged, fidelity=budget)
        study = search.run(trials=3)
        print(nas.reporting.front_json(study))
