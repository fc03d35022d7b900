"""Learning curves of real trainings."""

import pytest

from optuna_nas.bench.pruner import real_curves


@pytest.fixture(scope="session")
def real(absent, data_folder):
    """Validation accuracies (N, 200) in % and latencies (N,) in ms."""
    found = real_curves(data_folder)
    if found is None:
        absent(f"no published learning curves in {data_folder}")
    return found
