"""What all tests share."""

import os

import pytest
from hypothesis import settings

pytest.register_assert_rewrite("optuna_nas.testing")

# How long an example takes says more about the machine than about the code.
settings.register_profile("optuna_nas", deadline=None)
settings.load_profile("optuna_nas")

os.environ.setdefault("OMP_NUM_THREADS", "1")


@pytest.fixture(autouse=True, scope="session")
def one_thread() -> None:
    import torch

    torch.set_num_threads(1)
