"""Networks judged by the weights of one training for all; the front trained, and compared."""

import torch

import optuna_nas as nas


def space(trial):
    """Any torch module will do: no layer has to know that its weights are shared."""
    width = trial.suggest_int("width", 8, 64, log=True)
    layers = [torch.nn.Flatten(), torch.nn.Linear(64, width), torch.nn.ReLU()]
    for _ in range(trial.suggest_int("depth", 0, 3)):
        layers += [torch.nn.Linear(width, width), torch.nn.ReLU()]
    return torch.nn.Sequential(*layers, torch.nn.Linear(width, 10))


search = nas.Search(
    name="one_shot",
    space=space,
    data=nas.datasets.Digits(),
    objectives=["validation_loss", "parameters"],
    estimator=nas.supernet.OneShot(epochs=10),
)

if __name__ == "__main__":
    study = search.run(trials=20)
    budget = nas.Budget(epochs=5)
    scratch = nas.finalists.follow_up(search, study, budget, count=6)
    tuned = nas.finalists.follow_up(search, study, budget, fine_tune=True, count=6)
    print(nas.finalists.compare(study, scratch.run(), tuned.run()))
    print(nas.reporting.front_json(scratch.study))
