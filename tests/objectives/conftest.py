"""A trained candidate and counters of energy, for the tests of objectives."""

from pathlib import Path

import pytest
import torch
from consuming import Consuming
from torch import nn
from torch.nn.functional import cross_entropy

from optuna_nas.datasets import Digits
from optuna_nas.objectives import Candidate

LOGGED = {
    "val_accuracy": 0.9,
    "val_calibration_error": 0.05,
    "val_f1": 0.88,
    "val_loss": 0.3,
    "val_mae": 12.0,
    "val_r2": 0.7,
    "val_recall": 0.87,
}


@pytest.fixture(scope="session")
def trained() -> Candidate:
    """A small CNN after some epochs of the digits."""
    torch.manual_seed(0)
    network = nn.Sequential(
        nn.Conv2d(1, 8, 3, padding=1, bias=False),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.Conv2d(8, 16, 3, stride=2, padding=1),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(16 * 16, 10),
    )
    data = Digits()
    candidate = Candidate(network, (1, 8, 8), 10, data=data, metrics=LOGGED)
    optimizer = torch.optim.Adam(network.parameters(), 1e-2)
    for _ in range(3):
        for x, y in candidate.batches("train"):
            optimizer.zero_grad()
            cross_entropy(network(x), y).backward()
            optimizer.step()
    return candidate


@pytest.fixture
def powercap(tmp_path: Path) -> Path:
    """Linux's counters of energy of one processor package, which stand still by themselves."""
    zone = tmp_path / "intel-rapl:0"
    zone.mkdir()
    for name, content in (("name", "package-0"), ("max_energy_range_uj", 100_000_000)):
        (zone / name).write_text(f"{content}\n")
    (zone / "energy_uj").write_text("99990000\n")
    return tmp_path


@pytest.fixture
def consuming(powercap: Path) -> Candidate:
    """A network that takes 5 mJ a forward pass by the counter."""
    return Candidate(Consuming(powercap, 5_000), (4,), 4)
