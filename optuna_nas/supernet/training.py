"""Training a supernet once, with checkpoints, whatever happens to the process."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple
from zlib import crc32

import torch
from lightning.pytorch import LightningDataModule, LightningModule, Trainer
from lightning.pytorch.callbacks import Callback
from optuna.exceptions import StorageInternalError

from optuna_nas import datasets
from optuna_nas.exceptions import TrainingError
from optuna_nas.locks import host_lock
from optuna_nas.model import Classifier
from optuna_nas.names import choose
from optuna_nas.objectives import Objective
from optuna_nas.pruners.callback import PruningCallback
from optuna_nas.study.acceleration import precision
from optuna_nas.study.budget import Budget
from optuna_nas.study.checkpoints import Checkpoints, Saved
from optuna_nas.study.description import describe, digest
from optuna_nas.study.folder import Folder
from optuna_nas.study.training import fit, seeded
from optuna_nas.supernet.drawing import DRAWINGS, Drawing
from optuna_nas.supernet.store import SharedWeights
from optuna_nas.supernet.supernet import Paths, Supernet

__all__ = ["Trained", "drawing_of", "train"]

CLIP = 1.0
"""Norm to which gradients are clipped: what networks of all sizes send differs widely."""
KEY = "optuna_nas_store"

_logger = logging.getLogger(__name__)

Report = Callable[[int, Mapping[str, float]], None]
"""Told the epochs trained, and the mean `loss` of the last."""


class Trained(NamedTuple):
    """What training a supernet took, and left.

    Args:
        epochs: Epochs.
        seconds: Seconds of training; what was lost with a process is not counted.
        file: Where the weights are, or pass through to a bucket; None for nowhere.
    """

    epochs: int
    seconds: float
    file: Path | None = None


def train(
    store: SharedWeights,
    data: LightningDataModule,
    module: Callable[..., LightningModule] = Classifier,
    *,
    epochs: int = 30,
    drawing: Drawing | str = "uniform",
    paths: int = 2,
    seed: int = 0,
    caps: Sequence[Objective] = (),
    trainer: Mapping[str, Any] = MappingProxyType({}),
    threads: int | None = None,
    folder: str | os.PathLike[str] | Folder | None = None,
    on_epoch: Report | None = None,
) -> Trained:
    """Train the weights of all networks of a space at once; where that is done, load them.

    Everything random follows from the seed. With a folder, the training leaves checkpoints there
    and goes on from the latest one, so that a killed one ends as one left alone; and once it has
    ended, the weights: the same training takes them, and waits for a process that is at it.

    Args:
        store: The weights, which are changed.
        data: The data; the validation split is not used.
        module: Makes the LightningModule to train from the supernet.
        epochs: How long.
        drawing: Which networks learn in a step, or the name of one of `DRAWINGS`.
        paths: Networks in a step.
        seed: Of everything random.
        caps: As for `Paths`.
        trainer: Further arguments of the Lightning Trainer. Gradients are clipped to a norm of 1
            where they say nothing else.
        threads: Threads that PyTorch may use; as many as it does by default.
        folder: Where checkpoints and weights go, such as a bucket; None for nowhere.
        on_epoch: Told of each epoch.

    Raises:
        SpaceError: No network is found that keeps the caps.
        TrainingError: A loss or a weight is NaN or infinite; says at which network. The store has
            the weights of the last checkpoint, where there is one.
    """
    drawing = drawing_of(drawing)
    arguments = {"gradient_clip_val": CLIP, **trainer, "limit_val_batches": 0}
    described = {
        "store": [store.identity, store.fingerprint],
        "data": seeded(datasets.fingerprint, seed, data),
        "module": describe(module),
        "trainer": [describe(arguments), precision(arguments)],
        "drawing": [describe(drawing), paths],
        "length": [epochs, seed],
        **({"caps": [describe(cap) for cap in caps]} if caps else {}),
    }
    identity = digest(described)
    place = Folder(Path(folder).absolute()) if isinstance(folder, str | os.PathLike) else folder
    name = f"supernet-{identity[:12]}"
    file = f"{name}.pt"
    with _alone(place):
        if place is not None and (there := place.fetch(file)) is not None:
            facts = store.load(there)
            place.forget(file)
            return Trained(int(facts["epochs"]), facts["seconds"], place.path / file)
        supernet = Supernet(store)
        watch = _Watch(supernet)
        steps = Paths(supernet, drawing, paths, seed, caps=caps)
        reporting = PruningCallback(None, {"loss": lambda _: steps.loss}, None, on_epoch)
        saved = None if place is None else Saved(place, name, identity)
        checkpoints = None
        if saved is not None:
            checkpoints = Checkpoints(saved, reporting, False, saved.read())
        try:
            fit(
                module,
                supernet,
                store.extent.input_shape,
                data,
                reporting,
                budget=Budget(epochs=epochs),
                seed=seed,
                data_seed=seed,
                arguments=arguments,
                threads=threads,
                checkpoints=checkpoints,
                beside=[steps, watch],
            )
        except TrainingError as error:
            raise TrainingError(f"{error}. {_back(store, saved)}") from error
        took = Trained(epochs, watch.seconds)
        if place is None or saved is None:
            return took
        store.save(place.part(file), epochs=epochs, seconds=took.seconds)
        try:
            place.put(file)
        except StorageInternalError as error:  # it can be trained on from its latest checkpoint
            _logger.warning(f"{error}; going on with weights that only this process has")
            return took
        saved.remove()
        return took._replace(file=place.path / file)


def drawing_of(drawing: Drawing | str) -> Drawing:
    """A way of drawing, given as such or by its name.

    Raises:
        DescriptionError: There is none of that name.
    """
    return choose("drawing", drawing, DRAWINGS)() if isinstance(drawing, str) else drawing


class _Watch(Callback):
    """Lets no checkpoint have weights that are no numbers, and counts seconds.

    Args:
        supernet: What is trained.
    """

    def __init__(self, supernet: Supernet) -> None:
        self._supernet = supernet
        self._earlier = 0.0
        self._began = time.monotonic()

    @property
    def seconds(self) -> float:
        """Seconds of training, those before an interruption among them."""
        return self._earlier + time.monotonic() - self._began

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Begin to count."""
        self._began = time.monotonic()

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Look at the weights.

        Raises:
            TrainingError: One is NaN or infinite.
        """
        self._check(trainer)

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint keeps of it."""
        return {"seconds": self.seconds}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from a checkpoint."""
        self._earlier = state_dict["seconds"]

    def on_save_checkpoint(
        self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Look at the weights again, and add where in the checkpoint the store is."""
        self._check(trainer)
        named = pl_module.named_modules()
        checkpoint[KEY] = next(name for name, part in named if part is self._supernet.store)

    def _check(self, trainer: Trainer) -> None:
        for key, tensor in self._supernet.store.state_dict().items():
            if not bool(torch.isfinite(tensor).all()):
                raise TrainingError(
                    f"expected finite weights of the supernet, got NaN or infinity in {key!r} "
                    f"after epoch {trainer.current_epoch + 1}, whose last step ended with "
                    f"{self._supernet.describe()}; lower the learning rate, or clip gradients "
                    "(gradient_clip_val)"
                )


def _back(store: SharedWeights, saved: Saved | None) -> str:
    """Put a store back to its last checkpoint, and say so."""
    path = None if saved is None else saved.place.fetch(saved.file)
    if path is None:
        return "There is no earlier checkpoint"
    stored = torch.load(path, map_location="cpu", weights_only=True)
    start = f"{stored[KEY]}."
    store.load_state_dict({key: stored["state_dict"][start + key] for key in store.state_dict()})
    return f"The weights are those of epoch {stored['epoch'] + 1}, the last good one, again"


@contextmanager
def _alone(place: Folder | None) -> Iterator[None]:
    """Let no other process of this host train into the same place."""
    if place is None:
        yield
        return
    with host_lock(f"supernet-{crc32(str(place).encode()):x}", float("inf")):
        yield
