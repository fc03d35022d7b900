"""Judging networks by the weights that they inherit from a supernet, instead of training them.

Source: Bender et al. 2018, proceedings.mlr.press/v80/bender18a; Guo et al. 2020 (SPOS),
arXiv:1904.00420.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from itertools import islice
from typing import TYPE_CHECKING, Any, ClassVar
from weakref import WeakKeyDictionary
from zlib import crc32

import optuna
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback
from optuna.pruners import NopPruner
from optuna.storages import BaseStorage
from torch import Tensor, nn

from optuna_nas.architecture import Architecture
from optuna_nas.exceptions import DataError, DescriptionError, StudyError
from optuna_nas.locks import host_lock
from optuna_nas.objectives import STAGES, Candidate
from optuna_nas.samplers.proposing import check_least
from optuna_nas.spaces import Joint
from optuna_nas.spaces.draws import random_trials
from optuna_nas.study.checkpoints import folder_of
from optuna_nas.study.description import describe
from optuna_nas.study.estimator import Estimation, Estimator
from optuna_nas.study.record import INHERITED, SUPERNET
from optuna_nas.study.training import OnEpoch, seeded, seeded_setup, validate
from optuna_nas.supernet.drawing import Drawing
from optuna_nas.supernet.scoring import recalibrate
from optuna_nas.supernet.store import SharedWeights
from optuna_nas.supernet.training import Trained, drawing_of, train

if TYPE_CHECKING:
    from optuna_nas.study.search import Search
    from optuna_nas.study.trial import TrialRun

__all__ = ["OneShot", "shared_weights"]


@dataclass(frozen=True, kw_only=True)
class OneShot(Estimator):
    """Trains one supernet for a study; a trial is then a pass over the validation data.

    The supernet is trained before the first trial, once for all workers; it stays beside the
    study, in the folder of its checkpoints. Each network inherits its weights, with the statistics
    of batch norm computed anew; objectives of stage `trained` are what the module logs in
    validation with them. Such values order networks, and are not what training them would give:
    no study mixes both. Networks are told apart better by the loss (`ValidationLoss`) than by the
    accuracy. Nothing is pruned, since there are no curves.

    Args:
        epochs: Epochs that the supernet is trained for.
        drawing: Which networks learn in a step: `uniform`, `fair`, `sandwich`, `shrinking`, or a
            `supernet.Drawing`.
        paths: Networks in a step.
        batches: Training batches that batch norm is computed anew on.
        module: Makes the LightningModule that trains the supernet; that of the search by default.
        trainer: Arguments of the Trainer that trains it, over those of the search.

    Raises:
        DescriptionError: A number below 1, or no such drawing.
    """

    epochs: int = 30
    drawing: Drawing | str = "uniform"
    paths: int = 2
    batches: int = 8
    module: Callable[..., LightningModule] | None = None
    trainer: Mapping[str, Any] = field(default_factory=dict)
    pruner: ClassVar[str] = "none"

    def __post_init__(self) -> None:
        for name in ("epochs", "paths", "batches"):
            check_least(name, getattr(self, name), 1)
        drawing_of(self.drawing)

    @property
    def smoke(self) -> Mapping[str, Any]:
        return {"trials": 12, "estimator": replace(self, epochs=2)}

    def check(self, search: Search) -> None:
        if search.fidelity is not None:
            raise DescriptionError(
                "expected no fidelity beside OneShot, which does not train networks one by one, "
                f"got {search.fidelity}; leave it out, and give OneShot(epochs=...)"
            )
        if not isinstance(search.make_pruner(), NopPruner):
            raise DescriptionError(
                "expected no pruner beside OneShot, whose networks have no learning curves, got "
                f"{search.pruner!r}; leave it out"
            )
        if isinstance(search.space, Joint):
            raise DescriptionError(
                "expected a space of networks beside OneShot, got one that draws hyperparameters "
                "of training too; a supernet is trained by one recipe: leave Joint out"
            )
        if all(o.stage != STAGES[-1] for o in search.measured):
            raise DescriptionError(
                "expected an objective that hangs on the weights beside OneShot, such as "
                f"'validation_loss', got {', '.join(o.name for o in search.measured)}"
            )

    def describe(self, search: Search) -> dict[str, Any]:
        return {"estimator": describe(self)}

    def prepare(self, search: Search, study: optuna.Study, on_epoch: OnEpoch | None) -> None:
        """Train the supernet of a study, or load it.

        Raises:
            StudyError: It is another one than that of the study's trials.
            TrainingError: A loss or a weight is NaN or infinite.
        """
        known = self._inherited.setdefault(study._storage, {})
        stored = study.user_attrs.get(SUPERNET, {}).get("weights")
        if study._study_id in known and known[study._study_id].fingerprint == stored:
            return
        store = shared_weights(search)
        folder = folder_of(search.checkpoints, study.study_name, study._storage)
        trained = train(
            store,
            search.data,
            self.module or search.module,
            epochs=self.epochs,
            drawing=self.drawing,
            paths=self.paths,
            seed=search.seed,
            trainer={**search.trainer, **self.trainer},
            threads=search.threads,
            folder=folder,
            on_epoch=None if on_epoch is None else partial(on_epoch, None),
        )
        inherited = _Inherited(store, store.fingerprint, self.batches)
        _hold_to(study, inherited.fingerprint, trained)
        known[study._study_id] = inherited

    def begin(self, run: TrialRun, identity: str) -> Estimation:
        study = run.trial.study
        return _Scoring(run, self._inherited[study._storage][study._study_id])

    @cached_property
    def _inherited(self) -> WeakKeyDictionary[BaseStorage, dict[int, _Inherited]]:
        """The weights of each study that was prepared in this process."""
        return WeakKeyDictionary()


class _Inherited:
    """Weights to inherit, and the batches that batch norm is computed anew on.

    Args:
        store: The weights.
        fingerprint: Of them.
        batches: How many batches.
    """

    def __init__(self, store: SharedWeights, fingerprint: str, batches: int) -> None:
        self.store = store
        self.fingerprint = fingerprint
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


class _Scoring(Estimation):
    """A network with inherited weights on the validation data.

    Args:
        run: The trial.
        inherited: The weights.
    """

    outcome: ClassVar[str] = "scored"
    details: ClassVar[Mapping[str, Any]] = {"weights": INHERITED}
    ended = "scored with inherited weights"

    def __init__(self, run: TrialRun, inherited: _Inherited) -> None:
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


def _hold_to(study: optuna.Study, fingerprint: str, trained: Trained) -> None:
    """Note which weights the trials of a study inherit, or hold them to it.

    Raises:
        StudyError: They are others.
    """
    with host_lock(f"inherited-{crc32(study.study_name.encode()):x}", timeout=60.0):
        stored = study.user_attrs.get(SUPERNET)
        if stored is None:
            file = None if trained.file is None else trained.file.name
            found = {"weights": fingerprint, **trained._asdict(), "file": file}
            study.set_user_attr(SUPERNET, found)
        elif stored["weights"] != fingerprint:
            raise StudyError(
                f"expected the supernet of study {study.study_name!r} with the weights "
                f"{stored['weights'][:12]}, got {fingerprint[:12]}, trained anew: its file is "
                "gone, or on another machine; put that back into the folder of the checkpoints, "
                "or give the search a new name"
            )


def shared_weights(search: Search) -> SharedWeights:
    """The weights that all networks of a search's space share, untrained.

    Raises:
        SpaceError: They do not nest; names the node.
        DataError: The data does not say how many outputs a network needs.
    """
    return SharedWeights(search.space, search.input_shape, _outputs(search), search.seed)


def _outputs(search: Search) -> int:
    """Outputs of a network; of a module of the user's own, which brings its own, any number."""
    if search.outputs is not None:
        return search.outputs
    drawn = seeded(search.space, search.seed, next(random_trials(search.seed)))
    if isinstance(drawn, Architecture):
        raise DataError(
            "expected the data to say how many outputs a network needs, got "
            f"{type(search.data).__name__} without an attribute `outputs`; add it, for example "
            "the number of classes"
        )
    return 1
