"""Recall of the defects of magnetic tiles against measured latency, MobileNets of six stages.

1,344 photographs, of which seven in ten show no defect: the loss weighs classes by how rare they
are, and recall is the mean over the five kinds of defect. Pictures of one tile are in one split.
One image must take at most 8 ms on one core. `OPTUNA_NAS_DATA` names the folder with
`magtile_64x64.npz`. Forty to sixty minutes on two cores.

    OPTUNA_NAS_DATA=data optuna-nas run studies/tiles_mobilenet.py
"""

from functools import partial

import optuna_nas as nas

DEFECTS = nas.datasets.MagneticTiles.DEFECTS

search = nas.Search(
    name="tiles_mobilenet",
    space=nas.spaces.MobileNet(input_shape=(1, 64, 64)),
    data=nas.datasets.MagneticTiles(batch_size=32),
    module=partial(nas.model.Classifier, learning_rate=3e-3, class_weights="balanced"),
    objectives=[nas.objectives.Recall(classes=DEFECTS), nas.objectives.Latency(max=8.0)],
    constraints=[nas.objectives.FLOPs(max=40e6)],
    fidelity=nas.Budget(epochs=(4, 36)),
    threads=1,
    trials=60,
    smoke={
        "space": nas.spaces.MobileNet(input_shape=(1, 64, 64), depths=(1, 1), head=(64,)),
        "module": partial(
            nas.model.Classifier, learning_rate=1e-2, warmup_steps=20, class_weights="balanced"
        ),
        "objectives": [
            nas.objectives.Recall(classes=DEFECTS),
            nas.objectives.Latency(max=8.0, limit=0.1),
        ],
        "constraints": [nas.objectives.FLOPs(max=6e6)],
        "fidelity": nas.Budget(epochs=(1, 2)),
        "pruner": "none",
        "samples": 50,
        "trials": 16,
    },
)
