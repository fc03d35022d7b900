"""Trials whose network, data or machine misbehaves end soon, and teach the sampler."""

import math
import os
import signal
import time
from dataclasses import replace

import numpy as np
import optuna
import pytest
import torch
from optuna.trial import TrialState

import optuna_nas as nas
from optuna_nas.exceptions import DescriptionError, TrainingError
from optuna_nas.model import Classifier
from optuna_nas.study.folder import Folder
from optuna_nas.study.mishaps import in_smaller_steps, is_out_of_memory, within

X = np.random.default_rng(0).normal(size=(120, 6)).astype("float32")
Y = (X[:, 0] + X[:, 1] > 0).astype("int64")


def space(trial: optuna.Trial) -> nas.Architecture:
    width = 4 * trial.suggest_int("width", 1, 50)
    return nas.Architecture.chain(
        [("hidden", "linear", {"features": width}), ("head", "classify", {})]
    )


@pytest.fixture
def search() -> nas.Search:
    return nas.Search(
        name="mishaps",
        space=space,
        data=nas.datasets.ArrayDataModule(X, Y, batch_size=32),
        objectives=["accuracy", "flops"],
        fidelity=nas.Budget(epochs=(1, 2)),
        trainer={"accelerator": "cpu"},
        checkpoints=None,
    )


def one_trial(search: nas.Search) -> optuna.trial.FrozenTrial:
    return search.run(trials=1, storage=optuna.storages.InMemoryStorage()).trials[0]


class Greedy(Classifier):
    """Has memory for batches of so many samples."""

    room = 16
    sizes: list[int] = []

    def training_step(self, batch, batch_idx):
        self.sizes.append(len(batch[0]))
        if len(batch[0]) > self.room:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
        return super().training_step(batch, batch_idx)


class Greedier(Greedy):
    room = 1


def test_what_ran_out_of_memory_is_trained_in_half_the_batches(search) -> None:
    Greedy.sizes.clear()
    trial = one_trial(replace(search, module=Greedy))
    assert trial.state == TrialState.COMPLETE
    assert trial.user_attrs["retried"]["batch_size"] == 16
    assert Greedy.sizes[0] == 32
    assert max(Greedy.sizes[1:]) == 16


def test_what_runs_out_of_memory_again_is_learned_from(search) -> None:
    trial = one_trial(replace(search, module=Greedier))
    assert trial.state == TrialState.PRUNED
    assert trial.constraints == {"memory": 1.0}
    assert "out of memory" in trial.user_attrs["ended"]


@pytest.mark.parametrize(
    ("error", "is_memory"),
    [
        (MemoryError(), True),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried 9 bytes"), True),
        (RuntimeError("CUDA error: out of memory"), True),
        (RuntimeError("shapes do not match"), False),
        (ValueError("out of memory"), False),
    ],
)
def test_memory_errors_are_told_from_others(error: Exception, is_memory: bool) -> None:
    assert is_out_of_memory(error) == is_memory


def test_smaller_steps_are_the_same_training() -> None:
    data = nas.datasets.ArrayDataModule(X, Y, batch_size=32)
    smaller = in_smaller_steps(data, {"accumulate_grad_batches": 2})
    assert smaller is not None
    assert (smaller[0].batch_size, data.batch_size) == (16, 32)
    assert smaller[1]["accumulate_grad_batches"] == 4
    assert in_smaller_steps(nas.datasets.ArrayDataModule(X, Y, batch_size=7), {}) is None


class Diverging(Classifier):
    seen: list[int] = []

    def training_step(self, batch, batch_idx):
        self.seen.append(batch_idx)
        return super().training_step(batch, batch_idx) * math.nan


def test_a_training_that_diverges_ends_early_and_is_learned_from(search) -> None:
    Diverging.seen.clear()
    long = replace(search, module=Diverging, fidelity=nas.Budget(100), pruner="none")
    trial = one_trial(long)
    assert trial.state == TrialState.PRUNED
    assert trial.constraints == {"finite loss": 1.0}
    assert "diverged" in trial.user_attrs["ended"]
    assert len(Diverging.seen) < 10


class Hanging(nas.datasets.ArrayDataModule):
    def train_dataloader(self):
        time.sleep(1000)


def test_a_loader_that_hangs_ends_with_the_time_of_its_trial(search) -> None:
    trial = one_trial(replace(search, data=Hanging(X, Y, batch_size=32), time_limit=2.0))
    assert trial.state == TrialState.FAIL
    assert "at most 2 s" in trial.user_attrs["ended"]


@pytest.mark.parametrize("name", ["quota", "time_limit"])
def test_a_bound_that_nothing_keeps_is_refused(search, name: str) -> None:
    with pytest.raises(DescriptionError, match=f"{name} > 0"):
        replace(search, **{name: 0})


def test_the_oldest_checkpoints_go_where_they_take_too_much(tmp_path, caplog) -> None:
    for age, name in enumerate(["latest", "young", "old"]):
        path = tmp_path / f"{name}.ckpt"
        path.write_bytes(b"x" * 100)
        os.utime(path, (1e9 - age, 1e9 - age))
    Folder(tmp_path).evict("latest.ckpt", 250)
    assert {path.stem for path in tmp_path.glob("*.ckpt")} == {"latest", "young"}
    Folder(tmp_path).evict("latest.ckpt", 50)
    assert not list(tmp_path.glob("*.ckpt"))
    assert "more than the quota" in caplog.text


def test_an_alarm_never_ends_what_a_storage_is_at() -> None:
    work = "for _ in range(3):\n    alarm()\ndone.append(True)"
    code = compile(work, "/x/optuna/storages/s.py", "exec")
    done: list[bool] = []
    with pytest.raises(TrainingError, match="to take at most"), within(1000):
        exec(code, {"alarm": lambda: signal.raise_signal(signal.SIGALRM), "done": done})
        time.sleep(1000)  # the alarm that was put off ends it
    assert done == [True]
