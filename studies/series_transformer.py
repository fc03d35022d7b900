"""Accuracy against FLOPs of Transformers that read scikit-learn's handwritten digits in strips.

Each of the 1,797 images is a sequence of 16 vectors: its eight lines from top to bottom, each in
two halves of four pixels. The data comes with scikit-learn: nothing is downloaded. About ten
minutes on two cores.

    optuna-nas run studies/series_transformer.py
"""

from functools import partial

from sklearn.datasets import load_digits

import optuna_nas as nas

images, labels = load_digits(return_X_y=True)

search = nas.Search(
    name="series_transformer",
    space=nas.spaces.Transformer(
        input_shape=(16, 4),
        decoder=False,
        contexts=(12, 16),
        layers=(2, 4),
        widths=(16, 32, 48),
        heads=(1, 2, 4),
        windows=(3, 5),
        strides=(3, 5),
        ratios=(2, 4),
    ),
    data=nas.datasets.ArrayDataModule(
        images.reshape(-1, 16, 4) / 8 - 1, labels, standardise=False, batch_size=64
    ),
    module=partial(nas.model.Classifier, learning_rate=3e-3, warmup_steps=50),
    objectives=[nas.objectives.Accuracy(), nas.objectives.FLOPs()],
    constraints=["parameters"],
    fidelity=nas.Budget(epochs=(2, 18)),
    threads=1,
    trials=60,
    smoke={
        "fidelity": nas.Budget(epochs=(1, 2)),
        "pruner": "none",
        "samples": 20,
        "trials": 4,
    },
)
