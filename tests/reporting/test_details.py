"""What the browser is given of each trial."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import optuna
import pytest
from synthetic import make_search, make_trial, study_of

from optuna_nas.reporting import front
from optuna_nas.reporting.sections import details as module
from optuna_nas.reporting.sections.details import details
from optuna_nas.reporting.sections.seen import see


def test_the_front_has_diagrams_before_others(search: optuna.Study, monkeypatch) -> None:
    found = {record.number for record in front(search)}
    monkeypatch.setattr(module, "NODES", 5 * len(found) + 10)
    told = details(see(search, None))
    drawn = {trial["number"] for trial in told if trial["diagram"]}
    assert found < drawn and len(drawn) < 32
    for trial in told:
        if trial["diagram"]:
            assert "classify" in "".join(ElementTree.fromstring(trial["diagram"]).itertext())


def test_without_matplotlib_there_are_no_diagrams(search: optuna.Study, monkeypatch) -> None:
    monkeypatch.setattr(module, "find_spec", lambda name: None)
    assert not any(trial["diagram"] for trial in details(see(search, None)))


def test_a_trial_is_told_in_full_and_as_json() -> None:
    first = make_trial(None, "lost", curve={1: (0.1, 1.0)}, epochs=1)
    second = make_trial(
        (0.9, 1.0),
        curve={2: (0.9, 1.0)},
        continues=0,
        measurements={"latency": {"value": 1.0, "unit": "ms", "spread": 0.1, "threads": 2}},
        mine={"deep": [1]},
    )
    lost, told = details(see(study_of([first, second]), None))
    assert told["curve"] == {"step": [1.0, 2.0], "accuracy": [0.1, 0.9]}  # latency is the same
    (measured,) = told["measured"]
    assert (measured["name"], measured["how"]) == ("latency (ms)", "2 threads")
    assert told["attributes"] == {"mine": '{"deep": [1]}'}
    assert told["continues"] == 0 and told["front"] and told["final"] and not lost["final"]
    assert json.loads(json.dumps([lost, told])) == [lost, told]


@pytest.mark.parametrize("value", [float("inf"), float("nan")])
def test_numbers_that_json_lacks_are_left_out(value: float, tmp_path: Path) -> None:
    measured = {"energy": {"value": value, "unit": "mJ"}}
    curve = {1: (value, 1.0), 2: (0.9, 1.0)}
    trial = make_trial((0.9, 1.0), curve=curve, measurements=measured)
    (told,) = details(see(study_of([trial]), None))
    assert told["curve"]["accuracy"] == [None, 0.9]
    json.dumps(told, allow_nan=False)


def test_long_curves_are_thinned(tmp_path: Path) -> None:
    study = make_search(1, epochs=500)
    (told,) = details(see(study, None))
    assert len(told["curve"].get("step", [])) <= 2 * module.POINTS
