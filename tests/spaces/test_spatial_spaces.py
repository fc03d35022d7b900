"""Inputs of any proportions, and of no other rank; what is drawn can be exported and trained."""

from __future__ import annotations

from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import optuna_nas as nas
from optuna_nas import backends
from optuna_nas.exceptions import SpaceError
from optuna_nas.spaces import SPACES
from optuna_nas.spaces.draws import random_trials
from optuna_nas.testing.backends import relative_error, standardise

SPATIAL = ("cnn", "hybrid", "macro", "mobilenet")


@pytest.fixture(params=SPATIAL)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.mark.parametrize("shape", [(3, 480, 640), (1, 1, 9), (4, 7, 3), (2, 16000), (6, 5)])
def test_images_need_not_be_square_and_signals_are_taken(
    name: str, shape: tuple[int, ...]
) -> None:
    space = SPACES[name](input_shape=shape)
    for trial in islice(random_trials(seed=0), 8):
        network = nas.build(space(trial), shape, 10, device="meta")
        assert network(torch.zeros(2, *shape, device="meta")).shape == (2, 10)


@pytest.mark.parametrize("shape", [(8, 12, 16), (8, 24)])
def test_inputs_of_another_rank_are_refused(name: str, shape: tuple[int, ...]) -> None:
    drawn = SPACES[name](input_shape=shape)(next(random_trials(seed=0)))
    with pytest.raises(
        SpaceError, match=r"expected an input of shape \(C, L\) or \(C, H, W\), got \(8,\)"
    ):
        nas.build(drawn, (8,), 10)


@pytest.mark.usefixtures("onnxruntime")
def test_a_sample_computes_the_same_in_onnx_runtime(name: str) -> None:
    """Within 1e-4, with batches of another size than was exported."""
    torch.manual_seed(0)
    shape = (3, 9, 16)
    drawn = map(SPACES[name](input_shape=shape), islice(random_trials(seed=1), 12))
    network = nas.build(min(drawn, key=lambda a: len(a.alive)), shape, 10)
    standardise(network, torch.randn(32, *shape))
    file = backends.export_onnx(network.eval(), torch.zeros(2, *shape), dynamic_batch=True)
    x = torch.randn(3, *shape)
    (output,) = backends.session(file).run(None, {"input": x.numpy()})
    assert relative_error(torch.from_numpy(output), network(x).detach()) <= 1e-4


SMALL: dict[str, Any] = {
    "depths": (1, 1),
    "stages": 2,
    "widths": (16, 32),
    "heads": (2, 4),
    "stem": (16,),
    "head": (64,),
}


@pytest.mark.parametrize("bounds", [{}, {"convolutional": (1, 1)}], ids=["macro", "hybrid"])
def test_a_search_trains_networks_of_the_digits(bounds: dict[str, Any], tmp_path: Path) -> None:
    kind = nas.spaces.Hybrid if bounds else nas.spaces.Macro
    search = nas.Search(
        name="digits",
        space=kind(input_shape=(1, 8, 8), **SMALL, **bounds),
        data=nas.datasets.Digits(),
        objectives=[nas.objectives.Accuracy(), nas.objectives.Parameters()],
        fidelity=nas.Budget(epochs=(2, 2)),
        trials=3,
    )
    study = search.run(storage=f"sqlite:///{tmp_path}/s.db")
    assert max(trial.values[0] for trial in study.best_trials) > 0.8


def test_a_search_trains_convolutions_over_signals(tmp_path: Path) -> None:
    """Which of two sounds it is, a rising or a falling one, in noise and at any phase."""
    rng = np.random.default_rng(0)
    y = np.arange(400) % 2
    time = np.linspace(0, 1, 64)
    rise = np.where(y == 1, 12, -12)[:, None]
    phase = rng.uniform(0, 2 * np.pi, size=(400, 1))
    x = np.sin(2 * np.pi * (14 * time + rise * (time - 0.5) ** 2 / 2) + phase)
    x = (x + rng.normal(0, 0.2, size=x.shape))[:, None]
    search = nas.Search(
        name="signals",
        space=nas.spaces.CNN(input_shape=(1, 64), blocks=(3, 4), channels=(8, 16)),
        data=nas.datasets.ArrayDataModule(x.astype("float32"), y, batch_size=32),
        objectives=[nas.objectives.Accuracy(), nas.objectives.Parameters()],
        fidelity=nas.Budget(epochs=(8, 8)),
        trials=3,
    )
    study = search.run(storage=f"sqlite:///{tmp_path}/s.db")
    assert max(trial.values[0] for trial in study.best_trials) > 0.9
