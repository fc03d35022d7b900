"""What a search must know of a LightningDataModule, its own or the user's."""

from __future__ import annotations

import hashlib
import inspect
import json
from pathlib import Path
from typing import Any
from weakref import WeakSet

import numpy as np
import torch
from lightning.pytorch import LightningDataModule
from torch import Tensor
from torch.utils.data import Subset, TensorDataset

from optuna_nas.exceptions import DataError

__all__ = ["fingerprint", "input_shape", "outputs"]


def input_shape(datamodule: LightningDataModule) -> tuple[int, ...]:
    """Shape of one sample: the attribute `input_shape`, or that of the first training batch.

    Raises:
        DataError: A batch that does not begin with a tensor (B, ...).
    """
    declared = getattr(datamodule, "input_shape", None)
    if declared is not None:
        return tuple(declared)
    _prepare(datamodule)
    batch = next(iter(datamodule.train_dataloader()))
    x = batch[0] if isinstance(batch, (tuple, list)) else batch
    if not isinstance(x, Tensor) or x.ndim < 2:
        raise DataError(
            "expected batches (x, y) with a tensor x of shape (B, ...), got "
            f"{type(batch).__name__}; give {type(datamodule).__name__} an `input_shape`"
        )
    return tuple(x.shape[1:])


def outputs(datamodule: LightningDataModule) -> int | None:
    """Values per sample that a network must return: the attribute `outputs`, None if unknown."""
    declared = getattr(datamodule, "outputs", None)
    return None if declared is None else int(declared)


def fingerprint(datamodule: LightningDataModule) -> str:
    """Identity of the data and its splits, as 64 hexadecimal digits.

    The attribute `fingerprint` where there is one; otherwise a hash of the class's name and
    source text, and of those saved hyperparameters and public attributes that are JSON, paths,
    arrays or tensors after `setup("fit")`. Files that the class reads are not looked into: give
    it a `fingerprint` where they may change.

    Raises:
        DataError: A class without source text, such as one defined at a prompt.
    """
    declared = getattr(datamodule, "fingerprint", None)
    if declared is not None:
        return str(declared)
    kind = type(datamodule)
    try:
        source = inspect.getsource(kind)
    except (OSError, TypeError) as error:
        raise DataError(
            f"the source of {kind.__qualname__} cannot be read; give it a `fingerprint`, a string "
            "that changes when its data or splits do"
        ) from error
    _prepare(datamodule)
    public = {k: v for k, v in vars(datamodule).items() if not k.startswith("_")}
    known = {k: _plain(v) for k, v in {**public, **datamodule.hparams}.items()}
    parts = [kind.__module__, kind.__qualname__, source, known]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


_PREPARED: WeakSet[LightningDataModule] = WeakSet()


def _prepare(datamodule: LightningDataModule) -> None:
    """Set data up for training, once: what is read of it must not depend on who asked first."""
    if datamodule not in _PREPARED:
        datamodule.prepare_data()
        datamodule.setup("fit")
        _PREPARED.add(datamodule)


def _plain(value: Any) -> Any:
    """A value as JSON, arrays by their content; None for what cannot be told apart."""
    if isinstance(value, TensorDataset):
        return [_plain(tensor) for tensor in value.tensors]
    if isinstance(value, Subset):
        return [_plain(value.dataset), list(value.indices)]
    if isinstance(value, Tensor):
        kind, value = str(value.dtype), value.detach().cpu().contiguous()
        return [kind, list(value.shape), _plain(value.reshape(-1).view(torch.uint8).numpy())]
    if isinstance(value, np.ndarray):
        plain = value if value.dtype.kind in "biufcSU" else np.array(repr(value.tolist()))
        content = hashlib.sha256(np.ascontiguousarray(plain).data).hexdigest()
        return [str(value.dtype), list(value.shape), content]
    if isinstance(value, Path):
        return str(value)
    try:
        return json.loads(json.dumps(value))
    except (TypeError, ValueError):
        return None
