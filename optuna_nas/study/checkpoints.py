"""Checkpoints of trainings, so that a network taken up again goes on from its latest one.

Lightning writes them: weights, optimisers, schedules, loops and callbacks. Added here are the
random numbers, what was logged, and a name that says which training it is: the first trial of the
network's lineage and the identity of its training. Checkpoints of what is trained to the end are
removed: a front's networks are trained once more, from scratch, before they are used, and the
weights of hundreds of trials would fill disks.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Checkpoint
from optuna.exceptions import StorageInternalError

from optuna_nas.exceptions import TrainingError
from optuna_nas.pruners.callback import PruningCallback
from optuna_nas.study.folder import CHECKPOINT, Folder
from optuna_nas.study.random_state import RandomState

__all__ = ["Checkpoints", "Resumed", "Saved"]

KEY = "optuna_nas"
EVERY_SECONDS = 5.0
"""Least time between two checkpoints of a training that goes on."""
SHARE = 0.02
"""Most of its time that a training spends on such checkpoints."""
DOUBLED_SECONDS = 0.1
"""Least time between two checkpoints of a training that is twice as long as at the last."""
DOUBLED_SHARE = 0.1
"""Most of the time since the last checkpoint that such a checkpoint takes."""

_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Resumed:
    """What a training goes on from.

    Args:
        epochs: Epochs trained before; 0 where it begins anew.
        reason: Why it begins anew; empty where it does not.
        path: The checkpoint.
        metrics: What the training had logged last.
    """

    epochs: int = 0
    reason: str = ""
    path: Path | None = None
    metrics: Mapping[str, float] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """What the trial's record says of it."""
        return {"epochs": self.epochs} | ({"reason": self.reason} if self.reason else {})


@dataclass(frozen=True)
class Saved:
    """The latest checkpoint of a training, there or not.

    Args:
        place: Where checkpoints are.
        name: Name of the file, without its suffix: different for different trainings.
        training: Identity of the training.
    """

    place: Folder
    name: str
    training: str

    def __str__(self) -> str:
        return f"{self.place}/{self.file}"

    @property
    def file(self) -> str:
        """Name of the file."""
        return f"{self.name}{CHECKPOINT}"

    def read(self) -> Resumed:
        """Where the training can go on; a damaged checkpoint is removed, with a warning.

        Raises:
            StorageInternalError: It is there, but cannot be read now.
        """
        try:
            path = self.place.fetch(self.file)
            if path is None:
                return Resumed(reason=f"no checkpoint {self.file} in {self.place}")
            with ZipFile(path) as parts:  # torch does not look at every checksum
                if damaged := parts.testzip():
                    raise ValueError(f"the checksum of {damaged} is wrong")
            stored = torch.load(path, map_location="cpu", weights_only=True)
            ours = stored[KEY]
            if ours["training"] != self.training:
                raise ValueError("it belongs to another training")
            return Resumed(ours["epochs"], path=path, metrics=ours["metrics"])
        except StorageInternalError:
            raise
        except (OSError, MemoryError) as error:  # it may be read another time
            raise StorageInternalError(f"cannot read checkpoint {self}: {error}") from error
        except Exception as error:  # whatever damaged bytes do to a reader
            reason = f"checkpoint {self} is damaged: {type(error).__name__}: {error}"[:500]
            _logger.warning(f"{reason}; training from the start")
            self.remove()
            return Resumed(reason=reason)

    def remove(self) -> None:
        """Remove it, and the folder if it was the last one."""
        self.place.remove(self.file)


class Checkpoints(Checkpoint):
    """Saves a training at the end of an epoch, and restores what Lightning leaves out.

    It saves where the pruner pauses the training, and else now and then: so seldom that it costs
    no more than `SHARE` of the time. Where a training is short, or costly to save, it saves
    whenever the epochs trained have doubled, unless that takes more than `DOUBLED_SHARE`: a
    process that dies takes no more than half of a training with it, and that is at most what
    lies between two rungs, at whichever epochs a pruner has them. What cannot be saved goes on
    unsaved, with a warning.

    Args:
        saved: Where to.
        pruning: Says whether the trial is stopped.
        pauses: Whether what the pruner stops may be taken up again.
        resumed: What the training goes on from.
        quota: Bytes that all checkpoints in the place may take; None for as many as there are.
    """

    def __init__(
        self,
        saved: Saved,
        pruning: PruningCallback,
        pauses: bool,
        resumed: Resumed,
        quota: int | None = None,
    ) -> None:
        self.resumed = resumed
        self._quota = quota
        self._saved = saved
        self._pruning = pruning
        self._pauses = pauses
        self._at = time.monotonic()
        self._cost = 0.0
        self._epochs = resumed.epochs  # at the last checkpoint
        self._random = RandomState()
        self._stored: dict[str, Any] = {}

    def served(self, loaders: Any) -> Any:
        """Training loaders, just before their first batch: the place for stored random numbers."""
        self._random.watch(loaders, self._stored.get("epochs", 0))
        if "random" in self._stored:
            self._random.restore(self._stored.pop("random"))
        return loaders

    def on_load_checkpoint(
        self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Take what `on_save_checkpoint` added."""
        self._stored = checkpoint[KEY]

    def on_save_checkpoint(
        self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Add the random numbers, what was logged, and which training it is."""
        checkpoint[KEY] = {
            "training": self._saved.training,
            "epochs": trainer.current_epoch + 1,
            "metrics": {k: float(v) for k, v in trainer.callback_metrics.items()},
            "stopped": trainer.should_stop and not self._pruning.pruned,
            "random": self._random.state(),
        }

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Stop at once what had stopped by itself."""
        trainer.should_stop = trainer.should_stop or self._stored.get("stopped", False)

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Take the one step of schedulers on metrics that Lightning takes after it has saved."""
        for config in trainer.lr_scheduler_configs if self._stored else ():
            due = config.interval == "epoch" and self._stored["epochs"] % config.frequency == 0
            metric = self._stored["metrics"].get(config.monitor)
            if config.reduce_on_plateau and due and metric is not None:
                pl_module.lr_scheduler_step(config.scheduler, metric)
        if trainer.is_global_zero:
            self._saved.place.forget(self._saved.file)
        self._at = time.monotonic()

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Save, where it is worth it."""
        since, epochs = time.monotonic() - self._at, trainer.current_epoch + 1
        due = since > max(EVERY_SECONDS, self._cost / SHARE)
        if epochs >= 2 * self._epochs:
            due |= since > max(DOUBLED_SECONDS, self._cost / DOUBLED_SHARE)
        if trainer.strategy.broadcast(self._pauses if self._pruning.pruned else due):
            self._save(trainer, epochs)

    def _save(self, trainer: Trainer, epochs: int) -> None:
        started = time.monotonic()
        place, file = self._saved.place, self._saved.file
        try:
            place.path.mkdir(parents=True, exist_ok=True)
            trainer.save_checkpoint(place.part(file))
            if trainer.is_global_zero:
                place.put(file)  # whoever dies leaves the one before
                if self._quota is not None:
                    place.evict(file, self._quota)
            self._epochs = epochs
        except TrainingError:  # such as one that says that the trial's time is over
            raise
        except Exception as error:  # a full disk, or a state of the user's that cannot be pickled
            _logger.warning(
                f"cannot save {self._saved}: {type(error).__name__}: {error}; going on"
            )
            place.part(file).unlink(missing_ok=True)  # it takes room that others need
        self._at = time.monotonic()
        self._cost = self._at - started
