"""What a second worker brings: the figures, from studies whose times are known."""

from datetime import datetime, timedelta

import optuna
import pytest
from optuna.trial import TrialState, create_trial
from rich.console import Console

from optuna_nas.bench import workers


def made(seconds: float, measuring: float) -> optuna.Study:
    study = optuna.create_study(directions=["maximize", "minimize"])
    for number in range(5):
        ended = datetime(2026, 1, 1) + timedelta(seconds=100 + number * seconds)
        trial = create_trial(
            state=TrialState.COMPLETE,
            values=[0.5, 1.0],
            user_attrs={"spent": {"epochs": 1, "seconds": 10.0, "measuring": measuring}},
        )
        trial.datetime_complete = ended
        study.add_trial(trial)
    return study


def test_the_ratio_stands_beside_what_measuring_allows(monkeypatch) -> None:
    monkeypatch.setattr(
        workers, "_study", lambda search, trials, count: made(10.0 / count, measuring=1.0)
    )
    result = workers.run(trials=5)
    for figures in result["searches"].values():
        assert figures["trials_per_hour_1"] == pytest.approx(360)
        assert figures["ratio"] == pytest.approx(2.0)
        assert figures["serial_share"] == pytest.approx(0.1)
        assert figures["ratio_possible"] == pytest.approx(1 / 0.55)
    console = Console(width=200, record=True)
    console.print(workers.table(result))
    assert "10.0%" in console.export_text()
