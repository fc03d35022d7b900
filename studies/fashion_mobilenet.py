"""Accuracy against measured latency of MobileNets on Fashion-MNIST.

10,000 images of clothes for training and 2,000 for validation, drawn from the 60,000 of the
published training file; the published test stays sealed. `OPTUNA_NAS_DATA` names the folder with
`fashion_mnist_train.npz` and `fashion_mnist_test.npz`. About an hour on two cores.

    OPTUNA_NAS_DATA=data optuna-nas run studies/fashion_mobilenet.py
"""

from functools import partial

import optuna_nas as nas

search = nas.Search(
    name="fashion_mobilenet",
    space=nas.spaces.MobileNet(
        input_shape=(1, 28, 28), stages=4, depths=(1, 2), stem=(8, 16), head=(128,)
    ),
    data=nas.datasets.FashionMNIST(size=12_000, batch_size=128),
    module=partial(nas.model.Classifier, learning_rate=5e-3, warmup_steps=100),
    objectives=[nas.objectives.Accuracy(), nas.objectives.Latency()],
    constraints=[nas.objectives.FLOPs(max=6e6)],
    fidelity=nas.Budget(epochs=(1, 9)),
    threads=1,
    trials=60,
    smoke={
        "data": nas.datasets.FashionMNIST(size=1_000, validation=0.2, batch_size=32),
        "module": partial(nas.model.Classifier, learning_rate=1e-2, warmup_steps=20),
        "objectives": [
            nas.objectives.Accuracy(),
            nas.objectives.Latency(limit=0.1),
            nas.objectives.Parameters(),
            nas.objectives.FLOPs(max=5e6),
        ],
        "constraints": [],
        "fidelity": nas.Budget(epochs=(1, 2)),
        "pruner": "none",
        "samples": 50,
        "trials": 8,
    },
)
