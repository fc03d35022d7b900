"""The best networks of a small search, trained in full, tested once, and compared."""

from functools import partial

import optuna_nas as nas

search = nas.Search(
    name="finalists",
    space=nas.spaces.CNN(input_shape=(1, 8, 8), blocks=(1, 2), channels=(8, 16)),
    data=nas.datasets.Digits(validation=0.25, batch_size=128),
    module=partial(nas.model.Classifier, learning_rate=1e-2),
    objectives=["accuracy", "parameters"],
    fidelity=nas.Budget(epochs=(1, 2)),
)

if __name__ == "__main__":
    study = search.run(trials=8)
    chosen = nas.finalists.choose_finalists(search, study, 1, rule="knee")
    recipe = nas.finalists.Retraining(epochs=2, seeds=2)
    finals = nas.finalists.run_finals(search, study, chosen, recipe, progress=print)
    print(finals.verdict)
    for network in finals.as_json():
        print({key: network[key] for key in ("name", "digest", "values", "test")})
