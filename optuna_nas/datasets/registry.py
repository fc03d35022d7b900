"""The registry of ready-made datasets."""

from __future__ import annotations

from lightning.pytorch import LightningDataModule

from optuna_nas.names import registrar

__all__ = ["DATASETS", "register"]

DATASETS: dict[str, type[LightningDataModule]] = {}
"""Name -> class of a ready-made dataset."""

register = registrar("dataset", DATASETS)
"""Decorator `register(name)`: makes a class of datasets known under a name."""
