"""The bundled images of digits."""

from __future__ import annotations

import torch

from optuna_nas.datasets import DATASETS, Digits


def test_has_all_images_in_ten_classes() -> None:
    data = DATASETS["digits"]()
    assert isinstance(data, Digits)
    assert (data.input_shape, data.outputs) == ((1, 8, 8), 10)
    data.setup("fit")
    data.setup("test")
    loaders = (data.train_dataloader(), data.val_dataloader(), data.test_dataloader())
    assert sum(len(loader.dataset) for loader in loaders) == 1797


def test_options_reach_the_data_module() -> None:
    data = Digits(batch_size=10, standardise=False)
    data.setup("fit")
    x, y = next(iter(data.train_dataloader()))
    assert x.shape == (10, 1, 8, 8)
    assert y.dtype == torch.int64
    assert 0 <= x.min() < x.max() <= 1
