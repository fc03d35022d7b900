"""Error against size of networks that foretell the course of diabetes, a regression on a table.

442 patients, nine measured columns and one category (the sex), from scikit-learn: nothing is
downloaded. The target is the progress of the disease within a year, 25 to 346; a mean absolute
error of 43 is what a linear regression reaches on the same split. About a minute on two cores.

    optuna-nas run studies/diabetes_mlp.py
"""

from functools import partial

from sklearn.datasets import load_diabetes

import optuna_nas as nas

SEX = 1
table, progress = load_diabetes(return_X_y=True, scaled=False)
table[:, SEX] -= 1  # categories are counted from 0

data = nas.datasets.ArrayDataModule(table, progress, categorical=(SEX,), batch_size=32)
search = nas.Search(
    name="diabetes_mlp",
    space=nas.spaces.MLP(
        layers=(1, 2, 3), widths=(4, 8, 16, 32, 64), categories=data.categories, embeddings=(1, 2)
    ),
    data=data,
    module=partial(nas.model.Regressor, learning_rate=1e-2),
    objectives=["mae", "parameters"],
    fidelity=nas.Budget(epochs=(3, 27)),
    threads=1,
    trials=80,
    smoke={"fidelity": nas.Budget(epochs=(1, 2)), "pruner": "none", "trials": 20},
)
