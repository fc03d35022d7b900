"""Networks that the noise does not tell apart, and what values belong to."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from typing import Any

import optuna
import pytest
from rich.console import Console
from synthetic import make_study, make_trial, study_of

from optuna_nas.reporting import feasibility_table, front, front_json, front_table, write_report
from optuna_nas.reporting.noise import tied, uncertainty
from optuna_nas.reporting.text import percent, short
from optuna_nas.reporting.trust import conditions, headings
from optuna_nas.study.record import records

FEASIBILITY = {
    "samples": 200,
    "failed": 2,
    "failure": "RuntimeError: <b>no</b>",
    "share": 0.0123,
    "reachable": True,
    "warning": "about 1.2 % of the space",
    "quantities": [
        {
            "name": "parameters",
            "unit": "",
            "samples": 198,
            "range": [1e3, 2e4, 3e5, 4e6, 5e9],
            "max": 3e4,
            "min": None,
            "share": 0.25,
            "nearest": None,
        }
    ],
}
REMEASURED = {
    "date": "2026-11-22 12:00 UTC",
    "rounds": 5,
    "device": {},
    "objectives": [
        {
            "name": "latency",
            "unit": "ms",
            "backend": "onnxruntime",
            "tau": 0.5,
            "swapped": [[0, 1]],
            "members": [],
        }
    ],
}


def timed(
    accuracy: float, latency: float, spread: float | None, name: str = "latency", **how: Any
) -> optuna.trial.FrozenTrial:
    measured = {name: {"value": latency, "unit": "ms", "spread": spread, **how}}
    return make_trial((accuracy, latency), network=f"net{accuracy}", measurements=measured)


def near_and_far() -> optuna.Study:
    """On the front by accuracy: 0 and 1 within their noise, 2 far from both."""
    return study_of(
        [
            timed(0.9, 1.00, 0.04, passes=4),
            timed(0.8, 0.95, 0.04, passes=4),
            timed(0.7, 0.50, 0.04, passes=4),
        ]
    )


@pytest.mark.parametrize(
    ("how", "half"),
    [
        ({"uncertainty": 0.3, "passes": 4}, 0.3),
        ({"passes": 25}, 1.57 * 0.1 / 5),
        ({}, 0.05),
    ],
    ids=["recorded", "by the passes", "by the spread"],
)
def test_the_confidence_interval_is_the_best_that_is_known(
    how: Mapping[str, float], half: float
) -> None:
    (record,) = records(study_of([timed(0.9, 1.0, 0.1, **how)]))
    assert uncertainty(record, "latency") == pytest.approx(half)
    assert uncertainty(record, "accuracy") is None


def test_what_has_no_spread_is_exact() -> None:
    (record,) = records(study_of([timed(0.9, 1.0, None, passes=9)]))
    assert uncertainty(record, "latency") is None
    assert tied([record]) == {0: []}


def test_members_within_their_noise_are_tied() -> None:
    study = near_and_far()
    assert tied(front(study)) == {0: [1], 1: [0], 2: []}
    assert {item["number"]: item["tied_with"] for item in front_json(study)} == tied(front(study))


def test_exact_objectives_alone_tie_nobody() -> None:
    study = study_of([timed(0.9, 1.0, None), timed(0.8, 0.999, None)])
    assert tied(front(study)) == {0: [], 1: []}


def test_several_noisy_objectives_must_all_be_within_the_noise() -> None:
    names, directions = ("latency (ms)", "energy (mJ)"), ("minimize", "minimize")

    def member(latency: float, energy: float) -> optuna.trial.FrozenTrial:
        measured = {
            "latency": {"value": latency, "unit": "ms", "spread": 0.1},
            "energy": {"value": energy, "unit": "mJ", "spread": 0.1},
        }
        return make_trial((latency, energy), network=f"{latency}", measurements=measured)

    trials = [member(1.0, 2.0), member(1.05, 1.95), member(1.1, 1.0)]
    assert tied(front(study_of(trials, names=names, directions=directions))) == {
        0: [1],
        1: [0],
        2: [],
    }


def printed(table: Any, width: int = 100) -> str:
    console = Console(width=width, file=io.StringIO())
    console.print(table)
    return str(console.file.getvalue())


def test_the_table_has_a_column_of_ties_where_there_are_any() -> None:
    text = printed(front_table(near_and_far()))
    assert "tied" in text
    (row,) = [line for line in text.splitlines() if "net0.9" in line]
    assert row.split()[:5] == ["0", "0.9000", "1.000", "±", "0.040"] and row.split()[5] == "1"
    assert "tied" not in printed(front_table(study_of([timed(0.9, 1.0, None)])))


@pytest.mark.parametrize(
    ("measurement", "text"),
    [
        ({"backend": "eager", "threads": 1, "batch": 1, "precision": "fp32"}, "eager, 1 thread"),
        ({"backend": "onnxruntime", "threads": 2}, "onnxruntime, 2 threads"),
        (
            {"backend": "compile", "threads": 1, "batch": 8, "precision": "bf16"},
            "compile, 1 thread, batch 8, bf16",
        ),
        ({"value": 1.0}, ""),
    ],
)
def test_what_a_value_belongs_to_is_said(measurement: Mapping[str, Any], text: str) -> None:
    assert conditions(measurement) == text


def test_headings_name_the_most_frequent_backend() -> None:
    trials = [timed(0.9, 1.0, 0.1, backend=b) for b in ("eager", "compile", "compile")]
    study = study_of(trials)
    assert headings(study, records(study)) == {
        "accuracy": "accuracy (fraction)",
        "latency": "latency (ms, compile)",
    }
    assert headings(study, []) == {"accuracy": "accuracy (fraction)", "latency": "latency (ms)"}


def test_json_of_the_front_names_the_backend_and_what_follows() -> None:
    (item,) = front_json(study_of([timed(0.5, 2.0, 0.1, backend="eager", batch=4)]))
    assert item["backend"] == {"accuracy": None, "latency": "eager"}
    assert item["derived"] == {"latency per accuracy": {"value": 0.01, "unit": "ms per point"}}
    assert json.loads(json.dumps(item)) == item


def test_energy_per_inference_is_reported_where_it_was_measured() -> None:
    trial = make_trial(
        (0.5, 2.0), measurements={"energy": {"value": 3.5, "unit": "mJ", "spread": 0.1}}
    )
    (item,) = front_json(study_of([trial]))
    assert item["derived"]["energy per inference"] == {"value": 3.5, "unit": "mJ"}


def test_the_html_report_marks_ties_and_names_the_backend(tmp_path) -> None:
    study = study_of(
        [timed(0.9, 1.0, 0.2, backend="eager"), timed(0.8, 0.95, 0.2, backend="eager")]
    )
    study.set_user_attr("feasibility", FEASIBILITY)
    study.set_user_attr("remeasured", REMEASURED)
    write_report(study, tmp_path / "report.html")
    page = (tmp_path / "report.html").read_text()
    assert '<th class="number">tied with</th>' in page
    assert '<td class="number tied">1</td>' in page
    assert '<th class="number">latency (ms, eager)</th>' in page
    assert "lowest latency (ms, eager)" in page
    assert "latency per accuracy (ms per point)" in page
    assert "1.2 % of it keeps all caps" in page and "&lt;b&gt;no&lt;/b&gt;" in page
    assert "latency (onnxruntime) of the front was measured again" in page
    assert "0 and 1" in page


def test_the_feasibility_of_a_study_is_a_table() -> None:
    study = make_study()
    assert feasibility_table(study) is None
    study.set_user_attr("feasibility", FEASIBILITY)
    text = printed(feasibility_table(study), 80)
    assert "1.2 % of the space keeps all caps" in text and "2 failed" in text
    (row,) = [line for line in text.splitlines() if "parameters" in line]
    assert row.split() == [
        *("parameters", "198", "1k", "20k", "300k", "4M", "5G", "≤", "30k", "25", "%")
    ]


def test_numbers_are_short() -> None:
    assert [short(v) for v in (0.12345, 999, 1e3, -2.5e6, 3e9, 1e15)] == [
        *("0.123", "999", "1k", "-2.5M", "3G", "1e+15")
    ]
    assert [percent(v) for v in (0, 0.0123, 0.5, 1.0)] == ["0 %", "1.2 %", "50 %", "100 %"]
