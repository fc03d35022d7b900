from __future__ import annotations

import base64
import json
import re
from typing import Any

import numpy as np
import optuna
import plotly.graph_objects as go
import pytest
from optuna_dashboard import get_note
from optuna_dashboard._custom_plot_data import get_plotly_graph_objects
from synthetic import make_search, make_study, make_trial, study_of

from optuna_nas import reporting
from optuna_nas.reporting import Panels, annotated, artifacts, front, notes, panels
from optuna_nas.study import lease
from optuna_nas.study.record import records

UNITS = {"accuracy": "fraction", "latency": "ms"}


class Clock:
    """Seconds that pass only when told."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def attrs(study: optuna.Study) -> dict[str, Any]:
    return dict(study._storage.get_study_system_attrs(study._study_id))


def drawn(study: optuna.Study) -> dict[str, str]:
    return dict(get_plotly_graph_objects(attrs(study)))


def values(column: Any) -> list[float]:
    """A column of a trace as Plotly writes it."""
    if isinstance(column, list):
        return column
    return list(np.frombuffer(base64.b64decode(column["bdata"]), column["dtype"]))


@pytest.fixture
def writes(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many trials there were, at each time at which panels were drawn."""
    seen: list[int] = []
    monkeypatch.setattr(panels, "write", lambda study: seen.append(len(study.trials)))
    return seen


def test_a_study_carries_every_panel_each_under_64_kB() -> None:
    study = make_search(700)
    panels.write(study)
    assert set(drawn(study)) == {name for name, _ in panels.PANELS}
    for text in drawn(study).values():
        assert len(text) <= panels.LIMIT == 64_000
        assert json.loads(text)["data"]


def test_thinning_keeps_the_front_and_the_ends_of_curves() -> None:
    study = make_search(700)
    numbers = {record.number for record in front(study)}
    text = panels.compact(reporting.plot_front(study), numbers)
    shown = json.loads(text or "{}")["data"]
    assert set(values(shown[-1]["customdata"])) == numbers
    tried = next(trace for trace in shown if trace["name"] == "dominated")
    assert 0 < len(values(tried["x"])) == len(tried["text"]) < 700


def test_what_cannot_be_thinned_is_not_drawn() -> None:
    assert panels.compact(go.Figure(go.Scatter(text=["x" * 70_000])), ()) is None


def test_panels_wait_a_minute_and_a_tenth_of_growth(writes: list[int]) -> None:
    study, clock = make_search(20), Clock()
    refresh = Panels(clock)
    for seconds, added, expected in (
        (59, 0, []),  # the first minute is not over
        (60, 0, [20]),
        (121, 1, [20]),  # one more is less than a tenth
        (122, 1, [20]),  # looked a second ago
        (182, 0, [20, 22]),
    ):
        clock.now = seconds
        study.add_trials([make_trial((0.5, 1.0))] * added)
        refresh(study, study.trials[-1])
        assert writes == expected
    study.add_trial(make_trial((0.5, 1.0)))
    refresh.end(study)
    assert writes == [20, 22, 23]


def test_one_worker_at_a_time_draws_them(
    writes: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    study, ours = make_search(5), lease.lease_for
    assert lease.take(study, panels.LEASE)
    monkeypatch.setattr(lease, "lease_for", lambda seconds: ours(seconds) | {"pid": 1})
    other = Panels(Clock())
    other.end(study)
    assert writes == []
    monkeypatch.undo()
    lease.release(study, panels.LEASE)
    assert attrs(study)[panels.LEASE] is None


def test_panels_that_fail_do_not_end_a_run(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    study = make_search(5)
    monkeypatch.setattr(panels, "write", lambda study: 1 / 0)
    Panels().end(study)
    assert "could not draw the panels of 'digits_cnn'" in caplog.text


def test_networks_of_the_front_have_a_note_and_their_architecture() -> None:
    network = {"name": "head", "kind": "classify", "args": {}, "inputs": ["input"]}
    graph = {"format": 1, "nodes": [network], "output": "head"}
    study = study_of([make_trial((0.9, 1.0), architecture=graph), make_trial((0.8, 2.0))])
    panels.write(study)
    panels.write(study)
    best, other = study.trials
    note = get_note(_Shown(study, best))
    assert "conv" in note and "0.9000" in note and "trained" in note
    assert get_note(_Shown(study, other)) == ""
    found = [json.loads(v) for k, v in attrs(study).items() if k.startswith("dashboard:artifacts")]
    assert {a["filename"] for a in found} >= {"architecture.json"}
    (text,) = [a for a in found if a["filename"] == "architecture.json"]
    with artifacts.artifact_store(study).open_reader(text["artifact_id"]) as file:
        assert json.load(file) == graph


class _Shown:
    """A trial as optuna-dashboard's `get_note` wants one."""

    def __init__(self, study: optuna.Study, trial: optuna.trial.FrozenTrial) -> None:
        self.study, self.storage, self._trial_id = study, study._storage, trial._trial_id


def test_a_note_shows_what_is_in_storage_as_text() -> None:
    hostile = "<img src=x> [a](javascript:b) | `c` # **d**"
    study = study_of([make_trial((0.5, 1.0), network=hostile, ended=f"trained {hostile}")])
    text = notes.note(records(study)[0], UNITS)
    assert not re.search(r"[<>`\[\]()]", text)
    assert text.count("**") == 2
    assert "| accuracy | 0.5000 | fraction |" in text


def test_whoever_looks_sees_a_note_for_every_finished_trial() -> None:
    rejected = make_trial(None, "rejected", constraints={"flops": 3.0}, ended="too many")
    study = study_of([make_trial((0.5, 1.0)), rejected])
    study.set_user_attr("search", {})
    before = attrs(study)
    shown = annotated.annotated(study._storage)
    (seen,) = shown.get_all_studies()
    keys = [f"dashboard:{trial._trial_id}:note_str:0" for trial in study.trials]
    assert "too many" in seen.system_attrs[keys[1]]
    assert set(keys) <= set(seen.system_attrs)
    violated = shown.get_all_trials(study._study_id)[1]
    assert violated.system_attrs["constraints"] == [3.0]
    assert attrs(study) == before  # the study itself is as it was


def test_studies_of_others_are_shown_as_they_are() -> None:
    study = make_study("plain")
    study.add_trial(make_trial((0.5, 1.0)))
    (seen,) = annotated.annotated(study._storage).get_all_studies()
    assert not [key for key in seen.system_attrs if "note" in key]
