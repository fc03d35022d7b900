"""Handwritten digits, bundled with scikit-learn.

Source: Alpaydin and Kaynak 1998, doi:10.24432/C50P49.
"""

from __future__ import annotations

from typing import Any

from sklearn.datasets import load_digits

from optuna_nas.datasets.arrays import ArrayDataModule
from optuna_nas.datasets.registry import register

__all__ = ["Digits"]


@register("digits")
class Digits(ArrayDataModule):
    """1,797 grey images of handwritten digits, (1, 8, 8), in ten classes.

    Args:
        **options: As for `ArrayDataModule`, for example `seed` or `batch_size`.
    """

    def __init__(self, **options: Any) -> None:
        data = load_digits()
        super().__init__(data.images[:, None] / 16, data.target, **options)
