"""NAS-Bench-201's cells on scikit-learn's handwritten digits: accuracy against measured latency.

Two cells of eight channels a stage, where the benchmark has five of sixteen. 1,797 real images of
8x8 pixels that come with scikit-learn: nothing is downloaded. Three to six minutes on two cores.

    optuna-nas run studies/nb201.py

Cells that build one network are trained once, and the published text of a trial's cell is
`search.space.genotype(nas.Architecture.from_json(trial.user_attrs["architecture"]))`.
"""

from functools import partial

import optuna_nas as nas

search = nas.Search(
    name="nb201",
    space=nas.spaces.NASBench201(input_shape=(1, 8, 8), cells=2, channels=8),
    data=nas.datasets.Digits(validation=0.25, batch_size=64),
    module=partial(nas.model.Classifier, learning_rate=1e-2, warmup_steps=100),
    objectives=[nas.objectives.Accuracy(), nas.objectives.Latency(limit=0.4)],
    fidelity=nas.Budget(epochs=(2, 18)),
    threads=1,
    trials=60,
    smoke={
        "space": nas.spaces.NASBench201(input_shape=(1, 8, 8), cells=1, channels=4),
        "objectives": [nas.objectives.Accuracy(), nas.objectives.FLOPs()],
        "fidelity": nas.Budget(epochs=(1, 3)),
        "pruner": "none",
        "trials": 12,
    },
)
