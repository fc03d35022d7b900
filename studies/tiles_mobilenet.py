"""Recall of the defects of magnetic tiles against measured latency, MobileNets of six stages.

1,344 photographs, of which seven in ten show no defect: the loss weighs classes by how rare they
are, and recall is the mean over the five kinds of defect. Pictures of one tile are in one split,
and there are some ten tiles of each defect to learn from. That is hard: networks learn them by
heart, and local contrast, flips and shifts help only some above chance (1/6). Validation has five
to two dozen pictures of a defect, so a recall is uncertain by a tenth or more. One image must take
at most 2 ms on one core. `OPTUNA_NAS_DATA` names the folder with `magtile_64x64.npz`. Half an hour
on two cores; tiles_oneshot.py is the same with inherited weights, and what came of both, trained
in full beside networks made by hand, is in records/tiles.md.

    OPTUNA_NAS_DATA=data optuna-nas run studies/tiles_mobilenet.py
    OPTUNA_NAS_DATA=data optuna-nas finalists studies/tiles_mobilenet.py --distil
"""

from functools import partial

import torch
from torch import Tensor
from torch.nn.functional import pad

import optuna_nas as nas

SHIFT = 8
DEFECTS = nas.datasets.MagneticTiles.DEFECTS


class Augmented(nas.model.Classifier):
    """Trains on images that are flipped, and moved by up to 8 pixels."""

    def training_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> Tensor:
        return super().training_step((augmented(batch[0]), batch[1]), batch_idx)


def augmented(x: Tensor) -> Tensor:
    """(B, 1, H, W) -> (B, 1, H, W)."""
    one_each = (len(x), 1, 1, 1)
    for side in (2, 3):
        x = torch.where(torch.rand(one_each, device=x.device) < 0.5, x.flip(side), x)
    down, right = torch.randint(2 * SHIFT + 1, (2,)).tolist()
    height, width = x.shape[2:]
    return pad(x, (SHIFT,) * 4, mode="reflect")[..., down : down + height, right : right + width]


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
    data=nas.datasets.MagneticTiles(local_contrast=13, batch_size=32),
    module=partial(Augmented, weight_decay=0.05, label_smoothing=0.1, class_weights="balanced"),
    objectives=[nas.objectives.Recall(classes=DEFECTS), nas.objectives.Latency(max=2.0)],
    constraints=[nas.objectives.FLOPs(max=10e6)],
    fidelity=nas.Budget(epochs=(3, 24)),
    threads=1,
    trials=60,
    smoke={
        "space": nas.spaces.MobileNet(
            input_shape=(1, 64, 64),
            depths=(1, 1),
            expands=(3,),
            widths=(8, 16, 24, 32),
            stem=(8,),
            head=(64,),
        ),
        "data": nas.datasets.MagneticTiles(
            local_contrast=13, validation=0.4, test=0.4, batch_size=32
        ),
        "objectives": [
            nas.objectives.Recall(classes=DEFECTS),
            nas.objectives.Latency(max=4.0, limit=0.1),
            nas.objectives.Parameters(),
            nas.objectives.FLOPs(max=4e6),
        ],
        "constraints": [],
        "fidelity": nas.Budget(epochs=(1, 2)),
        "pruner": "none",
        "samples": 50,
        "trials": 8,
    },
)
retraining = nas.finalists.Retraining(epochs=24)
