"""A search of seconds, for tests of what is around it; also a process that runs it anywhere."""

import sys

import numpy as np

import optuna_nas as nas


def little(name: str, **changed) -> nas.Search:
    x = np.random.default_rng(0).normal(size=(60, 6)).astype("float32")
    arguments = {
        "name": name,
        "space": nas.spaces.MLP(layers=(1, 2), widths=(4, 8, 16)),
        "data": nas.datasets.ArrayDataModule(x, (x[:, 0] > 0).astype("int64"), batch_size=32),
        "objectives": ["accuracy", "flops"],
        "fidelity": nas.Budget(epochs=(1, 2)),
        "threads": 1,
        "checkpoints": None,
    }
    return nas.Search(**{**arguments, **changed})


if __name__ == "__main__":  # "NAME TRIALS URL" in a line: run it, and say so
    for line in sys.stdin:
        name, trials, url = line.split()
        little(name).run(trials=int(trials), storage=url)
        print("done", flush=True)
