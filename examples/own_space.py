"""Three spaces of your own: a function that returns a module, one of blocks, and a class."""

from dataclasses import dataclass

from torch import nn

import optuna_nas as nas


def modules(trial):
    """A plain function that returns a module."""
    width = trial.suggest_int("width", 8, 64, log=True)
    layers = [nn.Flatten(), nn.Linear(64, width), nn.ReLU()]
    for _ in range(trial.suggest_int("depth", 0, 3)):
        layers += [nn.Linear(width, width), nn.ReLU()]
    return nn.Sequential(*layers, nn.Linear(width, 10))


def blocks(trial):
    """A function that composes blocks: a graph that is stored, drawn and told from its equals."""
    channels = 8 * trial.suggest_int("channels_by_8", 1, 4)
    sides = []
    for name in ("left", "right"):
        operator = nas.scope(trial, name).suggest_categorical("operator", ["conv", "separable"])
        kernel = nas.scope(trial, name).suggest_int("kernel", 3, 5, step=2)
        args = {"channels": channels, "kernel": kernel}
        sides.append(nas.Node(name, operator, args, ("input",)))
    add = nas.Node("sum", "add", {}, ("left", "right"))
    return nas.Architecture((*sides, add, nas.Node("head", "classify", {}, ("sum",))))


@dataclass(frozen=True)
class Stages:
    """A class, whose arguments bound the choices."""

    stages: int = 2
    most: int = 3

    def __call__(self, trial):
        nodes = []
        for name in (f"stage{number}" for number in range(1, self.stages + 1)):
            stage = nas.scope(trial, name)
            args = {"channels": 8 * stage.suggest_int("channels_by_8", 1, 4), "kernel": 3}
            for block in range(stage.suggest_int("depth", 1, self.most)):
                nodes.append((f"{name}_{block}", "conv", {**args, "stride": 1 if block else 2}))
        return nas.Architecture.chain([*nodes, ("head", "classify", {})])


if __name__ == "__main__":
    for name, space in {"modules": modules, "blocks": blocks, "stages": Stages(most=2)}.items():
        search = nas.Search(
            name=name,
            space=space,
            data=nas.datasets.Digits(),
            objectives=["accuracy", "parameters"],
            fidelity=nas.Budget(epochs=(1, 3)),
        )
        print(nas.reporting.front_json(search.run(trials=5)))
