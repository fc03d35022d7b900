"""Cells in a search: what is drawn trains, and a published cell can be enqueued."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from cells import GENOTYPE, INCEPTION

import optuna_nas as nas
from optuna_nas import backends
from optuna_nas.spaces import DARTS, NASBench101
from optuna_nas.testing.backends import relative_error, standardise

SHAPE = (1, 8, 8)
CELLS = [
    (DARTS(input_shape=SHAPE, layers=3, channels=4), GENOTYPE),
    (NASBench101(input_shape=SHAPE, stacks=2, cells=1, channels=10), INCEPTION),
]


@pytest.mark.parametrize(("space", "cell"), CELLS, ids=["darts", "nasbench101"])
def test_a_search_trains_networks_of_the_digits(space: Any, cell: Any, tmp_path: Path) -> None:
    search = nas.Search(
        name="cells",
        space=space,
        data=nas.datasets.Digits(validation=0.25, batch_size=128),
        objectives=["accuracy", "parameters"],
        fidelity=nas.Budget(epochs=(1, 1)),
        sampler="random",
        pruner="none",
        checkpoints=tmp_path,
    )
    storage = f"sqlite:///{tmp_path}/study.db"
    search.run(trials=1, storage=storage).enqueue_trial(space.parameters(cell))
    trials = search.run(trials=1, storage=storage).trials
    assert [trial.state.name for trial in trials] == ["COMPLETE"] * 2
    assert trials[1].user_attrs["digest"] == space.architecture(cell).digest


@pytest.mark.usefixtures("onnxruntime")
@pytest.mark.parametrize(("space", "cell"), CELLS, ids=["darts", "nasbench101"])
def test_published_cells_compute_the_same_in_onnx_runtime(space: Any, cell: Any) -> None:
    torch.manual_seed(0)
    network = nas.build(space.architecture(cell), SHAPE, 10)
    standardise(network, torch.randn(64, *SHAPE))
    file = backends.export_onnx(network.eval(), torch.zeros(2, *SHAPE), dynamic_batch=True)
    x = torch.randn(3, *SHAPE)
    (output,) = backends.session(file).run(None, {"input": x.numpy()})
    assert relative_error(torch.from_numpy(output), network(x).detach()) <= 1e-4
