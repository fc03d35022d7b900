"""Networks with inherited weights on validation data.

Source: batch-norm statistics computed anew for each network, Guo et al. 2020 (SPOS),
arXiv:1904.00420, section 3.3.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing
from itertools import islice
from typing import TYPE_CHECKING, Any, ClassVar

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback
from torch import Tensor, nn

from optuna_nas.objectives import Candidate
from optuna_nas.study.estimator import Estimation
from optuna_nas.study.record import INHERITED
from optuna_nas.study.training import seeded, seeded_setup, validate
from optuna_nas.supernet.scoring import recalibrate
from optuna_nas.supernet.store import SharedWeights

if TYPE_CHECKING:
    from optuna_nas.study.search import Search
    from optuna_nas.study.trial import TrialRun

__all__ = ["Inherited", "Scoring"]


class Inherited:
    """Weights to inherit, and the batches that batch norm is computed anew on.

    Args:
        store: The weights.
        batches: How many batches.

    Attributes:
        fingerprint: SHA-256 of the weights, in hexadecimal.
    """

    def __init__(self, store: SharedWeights, batches: int) -> None:
        self.store = store
        self.fingerprint = store.fingerprint
        self._count = batches
        self._batches: list[tuple[Tensor, Tensor]] = []

    def batches(self, search: Search, candidate: Candidate) -> list[tuple[Tensor, Tensor]]:
        """The same training batches for every network."""
        if not self._batches:
            with seeded_setup(search.data, search.seed):
                self._batches = seeded(self._first, search.seed, candidate)
        return self._batches

    def _first(self, candidate: Candidate) -> list[tuple[Tensor, Tensor]]:
        with closing(candidate.batches("train")) as batches:
            return list(islice(batches, self._count))


class Scoring(Estimation):
    """A network with inherited weights on the validation data.

    Args:
        run: The trial.
        inherited: The weights.
    """

    outcome: ClassVar[str] = "scored"
    details: ClassVar[Mapping[str, Any]] = {"weights": INHERITED}
    ended = "scored with inherited weights"

    def __init__(self, run: TrialRun, inherited: Inherited) -> None:
        self._run = run
        self._inherited = inherited
        run.note("estimator", {"name": "one-shot", "weights": inherited.fingerprint})

    def __call__(self, candidate: Candidate) -> Mapping[str, float]:
        search = self._run.search
        candidate.network = self._inherited.store.extract(candidate.drawn)
        batches = self._inherited.batches(search, candidate)
        return validate(
            search.make_module,
            candidate.network,
            search.data,
            search.seed,
            search.trainer,
            search.threads,
            beside=[_Recalibration(candidate.network, batches)],
        )

    def end(self, outcome: str) -> None:
        """Nothing: the supernet is for all trials."""


class _Recalibration(Callback):
    """Computes the statistics of batch norm anew, where the network and its precision are."""

    def __init__(self, network: nn.Module, batches: list[tuple[Tensor, Tensor]]) -> None:
        self._network = network
        self._batches = batches

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Compute them."""
        with trainer.precision_plugin.val_step_context():
            recalibrate(self._network, self._batches)
