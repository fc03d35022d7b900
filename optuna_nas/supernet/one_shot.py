"""Judging networks by the weights that they inherit from a supernet, instead of training them.

Source: Bender et al. 2018, proceedings.mlr.press/v80/bender18a; Guo et al. 2020 (SPOS),
arXiv:1904.00420.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, ClassVar
from weakref import WeakKeyDictionary
from zlib import crc32

import optuna
from lightning.pytorch import LightningModule
from optuna.pruners import NopPruner
from optuna.storages import BaseStorage

from optuna_nas.architecture import Architecture
from optuna_nas.exceptions import DataError, DescriptionError, StudyError
from optuna_nas.locks import host_lock
from optuna_nas.objectives import STAGES
from optuna_nas.samplers.proposing import check_least
from optuna_nas.spaces import Joint
from optuna_nas.spaces.draws import random_trials
from optuna_nas.study.bucket import place_of
from optuna_nas.study.description import describe
from optuna_nas.study.estimator import Estimation, Estimator
from optuna_nas.study.feasibility import caps
from optuna_nas.study.record import SUPERNET
from optuna_nas.study.training import OnEpoch, seeded
from optuna_nas.supernet.alternation import Alternation, Params, rewarding
from optuna_nas.supernet.drawing import Drawing
from optuna_nas.supernet.inherited import Inherited, Scoring
from optuna_nas.supernet.store import SharedWeights
from optuna_nas.supernet.training import Trained, drawing_of, train

if TYPE_CHECKING:
    from optuna_nas.study.definition import Definition
    from optuna_nas.study.search import Search
    from optuna_nas.study.trial import TrialRun

__all__ = ["OneShot", "shared_weights"]


@dataclass(frozen=True, kw_only=True)
class OneShot(Estimator):
    """Trains one supernet for a study; a trial is then a pass over the validation data.

    The supernet is trained before the first trial, once for all workers, and on networks that keep
    the caps on what an architecture alone tells, such as FLOPs; it stays beside the study, in the
    folder of its checkpoints. Each network inherits its weights, with the statistics
    of batch norm computed anew; objectives of stage `trained` are what the module logs in
    validation with them. Such values order networks, and are not what training them would give:
    no study mixes both. Networks are told apart better by the loss (`ValidationLoss`) than by the
    accuracy. Nothing is pruned, since there are no curves.

    Args:
        epochs: Epochs that the supernet is trained for.
        drawing: Which networks learn in a step: `uniform`, `fair`, `sandwich`, `shrinking`, or a
            `supernet.Drawing`.
        paths: Networks in a step.
        alternate: How sampler and supernet are trained in turn then, as in ENAS.
        batches: Training batches that batch norm is computed anew on.
        module: Makes the LightningModule that trains the supernet; that of the search by default.
        trainer: Arguments of the Trainer that trains it, over those of the search.

    Raises:
        DescriptionError: A number below 1, or no such drawing.
    """

    epochs: int = 30
    drawing: Drawing | str = "uniform"
    paths: int = 2
    alternate: Alternation | None = None
    batches: int = 8
    module: Callable[..., LightningModule] | None = None
    trainer: Mapping[str, Any] = field(default_factory=dict)
    pruner: ClassVar[str] = "none"

    def __post_init__(self) -> None:
        for name in ("epochs", "paths", "batches"):
            check_least(name, getattr(self, name), 1)
        drawing_of(self.drawing)

    def __getstate__(self) -> dict[str, Any]:
        return {key: value for key, value in vars(self).items() if key != "_inherited"}

    @property
    def smoke(self) -> Mapping[str, Any]:
        alternate = self.alternate and Alternation(rounds=1, trials=4, epochs=1)
        return {"trials": 12, "estimator": replace(self, epochs=2, alternate=alternate)}

    def check(self, search: Definition) -> None:
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

    def describe(self, search: Definition) -> dict[str, Any]:
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
        learn = partial(
            train,
            store,
            search.data,
            self.module or search.module,
            paths=self.paths,
            seed=search.seed,
            caps=[cap for cap in caps(search) if cap.stage == STAGES[0] and not cap.on_device],
            trainer={**search.trainer, **self.trainer},
            threads=search.threads,
            folder=place_of(search.checkpoints, study.study_name, study._storage),
            on_epoch=None if on_epoch is None else partial(on_epoch, None),
        )
        trained = learn(epochs=self.epochs, drawing=self.drawing)
        proposed: list[Params] = []
        if self.alternate is not None:
            rewarded = rewarding(search, study, store, self.batches)
            trained, proposed = self.alternate(rewarded, learn, trained)
        inherited = Inherited(store, self.batches)
        _hold_to(study, inherited.fingerprint, trained, proposed)
        known[study._study_id] = inherited

    def begin(self, run: TrialRun, identity: str) -> Estimation:
        study = run.trial.study
        return Scoring(run, self._inherited[study._storage][study._study_id])

    @cached_property
    def _inherited(self) -> WeakKeyDictionary[BaseStorage, dict[int, Inherited]]:
        """The weights of each study that was prepared in this process."""
        return WeakKeyDictionary()


def _hold_to(
    study: optuna.Study, fingerprint: str, trained: Trained, proposed: Sequence[Params]
) -> None:
    """Note which weights the trials of a study inherit, or hold them to it.

    In a new study, the networks that were proposed meanwhile wait to be the first.

    Raises:
        StudyError: They are others.
    """
    with host_lock(f"inherited-{crc32(study.study_name.encode()):x}", timeout=60.0):
        stored = study.user_attrs.get(SUPERNET)
        if stored is None:
            for params in proposed:
                study.enqueue_trial(dict(params))
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
