"""The search of tiles_mobilenet.py with weights inherited from one supernet, for comparison.

Networks of the same space, on the same data: one supernet is trained for 50 epochs, then 200
networks are scored with its weights. A quarter of an hour on two cores.

    OPTUNA_NAS_DATA=data optuna-nas run studies/tiles_oneshot.py
    OPTUNA_NAS_DATA=data optuna-nas finalists studies/tiles_oneshot.py --no-baselines
"""

from dataclasses import replace

from tiles_mobilenet import retraining, search

import optuna_nas as nas

__all__ = ["retraining", "search"]

assert search.smoke is not None
shared = {"fidelity": None, "pruner": "none", "estimator": nas.supernet.OneShot(epochs=50)}
search = replace(
    search,
    name="tiles_oneshot",
    trials=200,
    smoke={**search.smoke, **shared, "estimator": nas.supernet.OneShot(epochs=1), "trials": 10},
    **shared,
)
