"""Accuracy against measured latency of small CNNs on scikit-learn's handwritten digits.

1,797 real images of 8x8 pixels that come with scikit-learn: nothing is downloaded. Three to five
minutes on two cores.

    optuna-nas run studies/digits_cnn.py
"""

from functools import partial

import optuna_nas as nas

search = nas.Search(
    name="digits_cnn",
    space=nas.spaces.CNN(
        input_shape=(1, 8, 8), blocks=(1, 5), channels=(8, 16, 32, 64), kernels=(3, 5)
    ),
    data=nas.datasets.Digits(validation=0.25, batch_size=64),
    module=partial(nas.model.Classifier, learning_rate=1e-2, warmup_steps=100),
    objectives=[nas.objectives.Accuracy(), nas.objectives.Latency(limit=0.4)],
    constraints=[nas.objectives.FLOPs(max=3e6)],
    fidelity=nas.Budget(epochs=(2, 18)),
    threads=1,
    trials=110,
    smoke={
        "objectives": [nas.objectives.Accuracy(), nas.objectives.Latency(limit=0.1)],
        "fidelity": nas.Budget(epochs=(1, 3)),
        "pruner": "none",
        "samples": 50,
        "trials": 20,
    },
)
