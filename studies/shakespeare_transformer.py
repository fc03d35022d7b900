"""Validation loss against measured latency of small Transformers that write like Shakespeare.

A character language model of 1.1 million characters (tinyshakespeare, public domain). The folder
with `tinyshakespeare.txt` or `tinyshakespeare.txt.gz` is named by the environment variable
OPTUNA_NAS_DATA; nothing is downloaded. About an hour on two cores: networks of 0.01 to 2.8 million
weights (half of them under 0.12), trained for 150 to 1,200 steps of 2,048 characters. One of 0.1
million trains in two minutes beside other work, to a loss of 1.82.

    OPTUNA_NAS_DATA=/path/to/folder optuna-nas run studies/shakespeare_transformer.py
"""

from functools import partial

import optuna_nas as nas

data = nas.datasets.Characters(context=64, batch_size=32)

search = nas.Search(
    name="shakespeare_transformer",
    space=nas.spaces.Transformer(
        input_shape=data.input_shape,
        vocabulary=data.outputs,
        contexts=(32, 64),
        layers=(2, 6),
        widths=(32, 64, 96),
        heads=(1, 2, 4),
        windows=(8, 16),
        strides=(8,),
        ratios=(2, 4),
    ),
    data=data,
    module=partial(nas.model.Classifier, learning_rate=3e-3, warmup_steps=100),
    objectives=[nas.objectives.ValidationLoss(), nas.objectives.Latency(limit=0.4)],
    constraints=["parameters"],
    fidelity=nas.Budget(steps=(150, 1200)),
    threads=1,
    trials=60,
    smoke={
        "space": nas.spaces.Transformer(
            input_shape=data.input_shape,
            vocabulary=data.outputs,
            layers=(2, 3),
            widths=(16, 32),
            heads=(1, 2),
            ratios=(2,),
        ),
        "objectives": [nas.objectives.ValidationLoss(), nas.objectives.Latency(limit=0.1)],
        "fidelity": nas.Budget(steps=(5, 10)),
        "pruner": "none",
        "samples": 10,
        "trials": 4,
    },
)
