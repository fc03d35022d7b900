"""Several processes on one study: what each is given, and what a crash of one costs."""

import logging
import os
import signal
from pathlib import Path

import numpy as np
import pytest
import torch
from optuna.trial import TrialState

import optuna_nas as nas
from optuna_nas.exceptions import DescriptionError, SearchStopped
from optuna_nas.study import workers as module
from optuna_nas.study.lease import LEASE
from optuna_nas.study.workers import Workers


class Crashing:
    """A recipe that takes its process with it: once, or, without a file, always."""

    def __init__(self, file: Path | None = None) -> None:
        self.file = file

    def __call__(self, network: torch.nn.Module) -> nas.model.Classifier:
        if self.file is None or not self.file.exists():
            if self.file is not None:
                self.file.touch()
            os.kill(os.getpid(), signal.SIGSEGV)
        return nas.model.Classifier(network)


def tiny(**changed) -> nas.Search:
    x = np.random.default_rng(0).normal(size=(60, 6)).astype("float32")
    return nas.Search(
        name="tiny",
        space=nas.spaces.MLP(layers=(1, 2), widths=(4, 8, 16)),
        data=nas.datasets.ArrayDataModule(x, (x[:, 0] > 0).astype("int64"), batch_size=32),
        objectives=["accuracy", "flops"],
        fidelity=nas.Budget(epochs=(1, 1)),
        **changed,
    )


def test_a_crash_costs_its_worker_and_nothing_else(tmp_path, caplog) -> None:
    """Two workers, one of which dies by a real SIGSEGV: replaced, and its trial taken up again."""
    epochs, ended = [], []
    with caplog.at_level(logging.WARNING):
        study = tiny(module=Crashing(tmp_path / "crashed")).run(
            trials=6,
            storage=f"sqlite:///{tmp_path}/s.db",
            workers=2,
            callbacks=[lambda study, trial: ended.append(trial.number)],
            on_epoch=lambda *told: epochs.append(told),
        )
    (lost,) = [t for t in study.trials if t.state == TrialState.FAIL]
    assert lost.user_attrs["outcome"] == "lost"
    (again,) = [t for t in study.trials if t.user_attrs.get("continues") == lost.number]
    assert again.params == lost.params and again.state == TrialState.COMPLETE
    assert "SIGSEGV" in caplog.text
    done = [t.number for t in study.trials if t.state == TrialState.COMPLETE]
    assert sorted(ended) == done and len(done) == 6
    assert {number for number, *_ in epochs} <= {*done, lost.number}
    processes = {t.system_attrs[LEASE]["pid"] for t in study.trials}
    assert os.getpid() not in processes and len(processes) >= 2


def test_a_search_whose_workers_only_die_stops(tmp_path) -> None:
    search = tiny(module=Crashing(), max_failures=0)
    with pytest.raises(SearchStopped, match=r"1 workers died in a row.*SIGSEGV"):
        search.run(trials=3, storage=f"sqlite:///{tmp_path}/s.db", workers=1)


def test_workers_need_a_storage_that_all_can_open() -> None:
    with pytest.raises(DescriptionError, match="in memory"):
        tiny().run(trials=1, storage="sqlite:///:memory:", workers=2)


def test_each_worker_has_a_gpu_and_threads_of_its_own(monkeypatch) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr(module, "cores", lambda: 8)
    monkeypatch.setattr(module, "gpus", lambda: ["0", "GPU-2f"])
    given = Workers(3, per_device=2).environments({}, None)
    assert [e["CUDA_VISIBLE_DEVICES"] for e in given] == ["0", "GPU-2f", "0"]
    assert {e["OMP_NUM_THREADS"] for e in given} == {"2"}
    with pytest.raises(DescriptionError, match=r"at most 2 workers for 2 GPUs.*--per-device 2"):
        Workers(3).environments({}, None)
    assert Workers(3).environments({"accelerator": "cpu"}, 5) == [{"OMP_NUM_THREADS": "5"}] * 3


def test_without_a_gpu_workers_share_the_cores(monkeypatch) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr(module, "cores", lambda: 8)
    monkeypatch.setattr(module, "gpus", list)
    assert Workers(3).environments({}, None) == [{"OMP_NUM_THREADS": "2"}] * 3
    assert Workers(16).environments({}, None) == [{"OMP_NUM_THREADS": "1"}] * 16


def test_the_gpus_that_were_given_are_those_shared(monkeypatch) -> None:
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3,5")
    assert module.gpus() == ["3", "5"]
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    assert module.gpus() == ["0", "1"]


@pytest.mark.parametrize("wrong", [{"count": 0}, {"count": 1, "per_device": 0}])
def test_a_number_below_one_is_refused(wrong) -> None:
    with pytest.raises(DescriptionError, match=r"expected .* >= 1, got 0"):
        Workers(**wrong)
