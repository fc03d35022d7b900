"""Error against parameters of small networks that predict the progression of diabetes.

442 patients with nine measurements and their sex, a category, which come with scikit-learn:
nothing is downloaded. How networks are trained is searched with them. A linear regression reaches
about 43, in the unit of the target. One to two minutes on two cores.

    optuna-nas run studies/diabetes_mlp.py

Source: Efron et al. 2004, arXiv:math/0406456.
"""

from optuna.distributions import FloatDistribution
from sklearn.datasets import load_diabetes

import optuna_nas as nas

SEX = 1
x, y = load_diabetes(return_X_y=True, scaled=False)
x[:, SEX] -= 1  # categories are numbered from 0
data = nas.datasets.ArrayDataModule(x, y, validation=0.3, categorical=[SEX])

search = nas.Search(
    name="diabetes_mlp",
    space=nas.spaces.Joint(
        nas.spaces.MLP(
            layers=(1, 2, 3),
            widths=(4, 8, 16, 32, 64),
            categories=data.categories,
            embeddings=(1, 2),
        ),
        learning_rate=FloatDistribution(1e-3, 1e-1, log=True),
        weight_decay=FloatDistribution(1e-4, 1.0, log=True),
        batch_size=(16, 32, 64),
    ),
    data=data,
    module=nas.model.Regressor,
    objectives=["mae", "parameters"],
    constraints=["r2"],
    fidelity=nas.Budget(epochs=(3, 27)),
    threads=1,
    trials=100,
    smoke={"fidelity": nas.Budget(epochs=(1, 3)), "pruner": "none", "trials": 15},
)
