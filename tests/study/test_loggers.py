"""A Lightning logger for each trial, whichever it is."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from lightning.pytorch.loggers import CSVLogger
from lightning.pytorch.loggers.logger import DummyExperiment, Logger

import optuna_nas as nas
from optuna_nas.exceptions import DescriptionError


class Remembering(Logger):
    """Keeps what it was told, by study and trial, as a server of experiments does."""

    told: dict[tuple[str, int], list[Any]] = {}
    ended: list[int] = []

    def __init__(self, study: str, trial: int) -> None:
        super().__init__()
        self._trial = trial
        self._told = self.told.setdefault((study, trial), [])

    name, version = "remembering", 0

    @property
    def experiment(self) -> Any:
        experiment = DummyExperiment()
        experiment.finish = lambda: self.ended.append(self._trial)  # as W&B has it
        return experiment

    def log_hyperparams(self, params: Any, *args: Any, **kwargs: Any) -> None:
        self._told.append(dict(params))

    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        self._told.append((step, dict(metrics)))


@pytest.fixture
def remembered() -> type[Remembering]:
    Remembering.told, Remembering.ended = {}, []
    return Remembering


def search(**options: Any) -> nas.Search:
    x = np.random.default_rng(0).normal(size=(120, 6)).astype("float32")
    return nas.Search(
        name="logged",
        space=nas.spaces.MLP(layers=(1,), widths=(4, 8, 16, 32)),
        data=nas.datasets.ArrayDataModule(x, (x[:, 0] > 0).astype("int64"), batch_size=32),
        objectives=["accuracy", "flops"],
        fidelity=nas.Budget(epochs=(1, 3)),
        pruner="none",
        **options,
    )


def test_each_trial_has_a_logger_in_the_group_of_its_study(tmp_path: Path) -> None:
    def logger(study: str, trial: int) -> Logger:
        return CSVLogger(tmp_path, study, f"trial{trial}", flush_logs_every_n_steps=1)

    study = search(logger=logger, trainer={"log_every_n_steps": 1}).run(2, "sqlite:///:memory:")
    assert {path.name for path in (tmp_path / "logged").iterdir()} == {"trial0", "trial1"}
    with (tmp_path / "logged" / "trial0" / "metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    accuracies = [float(row["val_accuracy"]) for row in rows if row.get("val_accuracy")]
    assert accuracies[-1] == pytest.approx(study.trials[0].values[0], abs=1e-4)
    flops = [float(row["measured/flops"]) for row in rows if row.get("measured/flops")]
    assert flops == [study.trials[0].values[1]]


def test_a_trial_taken_up_again_goes_on_in_the_log_of_its_first(
    remembered: type[Remembering], tmp_path: Path
) -> None:
    """Interrupted after an epoch; the run after it has the same logger, and goes on behind."""
    url = f"sqlite:///{tmp_path / 'logged.db'}"
    asked: list[int] = []

    def interrupt(trial: int | None, epoch: int, values: Mapping[str, float]) -> None:
        asked.append(epoch)
        if len(asked) == 2:
            raise KeyboardInterrupt

    described = search(logger=remembered)
    with pytest.raises(KeyboardInterrupt):
        described.run(1, url, on_epoch=interrupt)
    study = described.run(1, url)
    assert study.trials[1].user_attrs["continues"] == 0
    assert set(remembered.told) == {("logged", 0)}
    assert [told["trial"] for told in remembered.told["logged", 0] if "trial" in told] == [0, 1]
    assert remembered.ended == [0, 0]


@pytest.mark.filterwarnings("ignore:Experiment logs directory")
def test_a_table_of_a_trial_taken_up_again_keeps_its_beginning(tmp_path: Path) -> None:
    def logger(study: str, trial: int) -> Logger:
        return CSVLogger(tmp_path, study, f"trial{trial}", flush_logs_every_n_steps=1)

    def interrupt(trial: int | None, epoch: int, values: Mapping[str, float]) -> None:
        if epoch == 2:
            raise KeyboardInterrupt

    described = search(logger=logger, trainer={"log_every_n_steps": 1})
    file = tmp_path / "logged" / "trial0" / "metrics.csv"
    for url in (f"sqlite:///{tmp_path / name}.db" for name in ("first", "second")):
        with pytest.raises(KeyboardInterrupt):
            described.run(1, url, on_epoch=interrupt)
        before = list(csv.DictReader(file.read_text().splitlines()))
        described.run(1, url)
        after = list(csv.DictReader(file.read_text().splitlines()))
        epochs = [row["epoch"] for row in after if row.get("val_accuracy")]
        assert epochs[:2] == ["0", "1"] and epochs[-1] == "2"
        assert epochs.count("0") <= 2  # of this study alone
        kept = [{name: row[name] for name in before[0]} for row in after[: len(before)]]
        assert kept == before


def test_a_logger_is_no_part_of_what_a_study_is_held_to(
    remembered: type[Remembering], tmp_path: Path
) -> None:
    url = f"sqlite:///{tmp_path / 'logged.db'}"
    search(logger=remembered).run(1, url)
    assert len(search().run(1, url).trials) == 2
    assert set(remembered.told) == {("logged", 0)}


def test_what_is_no_logger_is_refused() -> None:
    with pytest.raises(DescriptionError, match="expected logger as a function"):
        search(logger="tensorboard")
    study = search(logger=lambda study, trial: "tensorboard").run(1, "sqlite:///:memory:")
    assert "to return a Lightning Logger, got str" in study.trials[0].user_attrs["ended"]
