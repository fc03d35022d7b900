"""A first search: accuracy and size of small CNNs on handwritten digits, in a minute.

python examples/first_search.py, and again to go on; or optuna-nas run examples/first_search.py
"""

import optuna_nas as nas

search = nas.Search(
    name="first_search",
    space=nas.spaces.CNN(input_shape=(1, 8, 8), blocks=(1, 3), channels=(8, 16, 32)),
    data=nas.datasets.Digits(),
    objectives=["accuracy", "parameters"],
    constraints=[nas.objectives.FLOPs(max=2e6)],  # over this, a network is never trained
    fidelity=nas.Budget(epochs=(1, 9)),
    threads=1,
)

if __name__ == "__main__":
    study = search.run(trials=15)
    for network in nas.reporting.front_json(study):
        print({key: network[key] for key in ("digest", "values", "network")})
    nas.reporting.write_report(study, "first_search.html")
