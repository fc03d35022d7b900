"""Three ways to write a space: blocks in a function, a function that returns a module, a class."""

from dataclasses import dataclass

import torch

import optuna_nas as nas


def blocks(trial):
    """Blocks, named and chained; shapes are found when the network is built."""
    nodes = []
    for number in range(trial.suggest_int("depth", 1, 3)):
        with nas.scope(trial, f"block{number}") as inside:
            channels = inside.suggest_int("channels", 8, 32, step=8)
            kind = inside.suggest_categorical("kind", ["conv", "separable"])
        nodes.append((f"block{number}", kind, {"channels": channels, "stride": 2}))
    return nas.Architecture.chain([*nodes, ("classify", "classify", {})])


def module(trial):
    """Any torch module."""
    width = trial.suggest_int("width", 8, 64, log=True)
    layers = [torch.nn.Flatten(), torch.nn.Linear(64, width), torch.nn.ReLU()]
    return torch.nn.Sequential(*layers, torch.nn.Linear(width, 10))


@dataclass(frozen=True)
class Residual:
    """A class whose arguments bound the choices."""

    largest: int = 32

    def __call__(self, trial):
        channels = trial.suggest_int("channels", 8, self.largest, step=8)
        first = nas.Node("first", "conv", {"channels": channels}, ("input",))
        second = nas.Node("second", "conv", {"channels": channels}, ("first",))
        total = nas.Node("total", "add", {}, ("first", "second"))
        return nas.Architecture(
            (first, second, total, nas.Node("end", "classify", {}, ("total",)))
        )


for space in (blocks, module, Residual(largest=16)):
    search = nas.Search(
        name="own",
        space=space,
        data=nas.datasets.Digits(),
        objectives=["accuracy", "parameters"],
        fidelity=nas.Budget(epochs=(1, 2)),
    )
    study = search.run(trials=3, storage=f"sqlite:///own-{getattr(space, '__name__', 'class')}.db")
    print(nas.reporting.front_json(study))
