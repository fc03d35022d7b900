"""Recall of the defects of magnetic tiles against measured latency, MobileNets of six stages.

1,344 photographs, of which seven in ten show no defect: the loss weighs classes by how rare they
are, and recall is the mean over the five kinds of defect. Pictures of one tile are in one split.
One image must take at most 2 ms on one core. `OPTUNA_NAS_DATA` names the folder with
`magtile_64x64.npz`. Half an hour on two cores.

    OPTUNA_NAS_DATA=data optuna-nas run studies/tiles_mobilenet.py
"""

from functools import partial

import optuna_nas as nas

DEFECTS = nas.datasets.MagneticTiles.DEFECTS

search = nas.Search(
    name="tiles_mobilenet",
    space=nas.spaces.MobileNet(
        input_shape=(1, 64, 64),
        depths=(1, 2),
        expands=(3, 4),
        kernels=(3, 5),
        widths=(8, 16, 24, 32),
        stem=(8,),
        head=(128,),
    ),
    data=nas.datasets.MagneticTiles(batch_size=32),
    module=partial(nas.model.Classifier, learning_rate=5e-3, class_weights="balanced"),
    objectives=[nas.objectives.Recall(classes=DEFECTS), nas.objectives.Latency(max=2.0)],
    constraints=[nas.objectives.FLOPs(max=10e6)],
    fidelity=nas.Budget(epochs=(3, 27)),
    threads=1,
    trials=80,
    smoke={
        "space": nas.spaces.MobileNet(
            input_shape=(1, 64, 64),
            depths=(1, 1),
            expands=(3,),
            widths=(8, 16, 24, 32),
            stem=(8,),
            head=(64,),
        ),
        "objectives": [
            nas.objectives.Recall(classes=DEFECTS),
            nas.objectives.Latency(max=4.0, limit=0.1),
            nas.objectives.Parameters(),
        ],
        "constraints": [nas.objectives.FLOPs(max=4e6)],
        "fidelity": nas.Budget(epochs=(1, 2)),
        "pruner": "none",
        "samples": 50,
        "trials": 24,
    },
)
