"""Laws that parts of your own can be tested by, as pytest classes to subclass.

    class TestMyBlock(BlockConformance):
        @pytest.fixture
        def block(self):
            return MyBlock

Samplers are tested by Optuna's own classes in `optuna.testing.pytest_samplers`.
"""

from optuna_nas.testing.backends import BackendConformance
from optuna_nas.testing.blocks import BlockConformance
from optuna_nas.testing.objectives import ObjectiveConformance
from optuna_nas.testing.predictors import PredictorConformance
from optuna_nas.testing.pruners import PrunerConformance
from optuna_nas.testing.spaces import SpaceConformance

__all__ = [
    "BackendConformance",
    "BlockConformance",
    "ObjectiveConformance",
    "PredictorConformance",
    "PrunerConformance",
    "SpaceConformance",
]
