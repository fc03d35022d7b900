from __future__ import annotations

import io

import optuna
import pytest
from rich.console import Console
from synthetic import make_search, make_study, make_trial, study_of

from optuna_nas.reporting import front, front_table
from optuna_nas.reporting.text import duration, one_line, quantity, with_spread


def printed(study: optuna.Study, width: int) -> str:
    console = Console(width=width, file=io.StringIO())
    console.print(front_table(study))
    text = console.file.getvalue()
    assert max(map(len, text.splitlines())) <= width
    return text


@pytest.mark.parametrize("width", [80, 200])
def test_every_number_is_printed_whole(search: optuna.Study, width: int) -> None:
    text = printed(search, width)
    for record in front(search):
        assert f" {record.number} " in text
        for name, value in record.values.items():
            assert f" {with_spread(value, record.spread(name))} " in text
        assert f" {quantity(record.parameters)} " in text
    assert "(ms, eager" in text and "thread)" in text and "(fraction)" in text


def test_a_wide_terminal_shows_each_network_on_one_line(search: optuna.Study) -> None:
    text = printed(search, 200)
    assert all(record.network in text for record in front(search))


def test_a_network_with_markup_or_escapes_is_printed_as_text() -> None:
    text = printed(study_of([make_trial((0.5, 1.0), network="[red]x[/] \x1b[31mred")]), 120)
    assert "[red]x[/] [31mred" in text and "\x1b" not in text


def test_one_objective_and_no_attributes_are_enough() -> None:
    study = make_study(names=None, directions=["minimize"])
    study.optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=3)
    assert quantity(study.best_value) in printed(study, 80)
    printed(make_search(0), 80)


@pytest.mark.parametrize(
    ("value", "spread", "text"),
    [
        (0.41234, 0.0112, "0.412 ± 0.011"),
        (0.41234, None, "0.4123"),
        (0.41234, 0.0, "0.4123"),
        (1234.5, 120.0, "1,234 ± 120"),
        (12345, None, "12,345"),
        (float("inf"), 0.1, "inf"),
        (1.5e-9, None, "1.500e-09"),
    ],
)
def test_numbers_are_rounded_to_their_spread(
    value: float, spread: float | None, text: str
) -> None:
    assert with_spread(value, spread) == text


def test_durations_and_lines() -> None:
    assert [duration(s) for s in (0.4, 75, 3725, 180000)] == [
        "0:00",
        "1:15",
        "1:02:05",
        "2 d 2:00:00",
    ]
    assert one_line(["a\nb\x1b", "", "c"]) == "a b  c"
