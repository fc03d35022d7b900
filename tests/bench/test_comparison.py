"""What is said of replays, by hand on a table of four networks, and how they are kept."""

import json
import math

import numpy as np
import pytest
import tables
from rich.console import Console

from optuna_nas.bench import quality, search
from optuna_nas.bench.comparison import compare
from optuna_nas.bench.kept import Kept
from optuna_nas.bench.ledger import LOOK, Ledger, Payment
from optuna_nas.bench.replay import Replay
from optuna_nas.bench.tables import load
from optuna_nas.exceptions import DescriptionError


@pytest.fixture
def path(tmp_path):
    np.savez(tmp_path / "t.npz", **tables.general())
    return tmp_path / "t.npz"


@pytest.fixture
def problem(tmp_path):
    """Networks at the corners of a square, and one beyond it: the front is the first three."""
    arrays = {
        "parameter.x": np.arange(5),
        "steps": np.array([2, 10]),
        "error": np.array([[5, 1], [4, 2], [3, 3], [3, 3.1], [9, 90]], dtype=float),
        "cost": np.exp([[2.0], [1.0], [0.0], [1.9], [5.0]]),
        "devices": np.array(["any"]),
    }
    np.savez(tmp_path / "square.npz", **arrays)
    return load(tmp_path / "square.npz", "any")


def paid(*rows):
    return Replay([[Payment(row, 10, 1) for row in rows]], 1.0)


def test_fractions_and_distances_by_hand(problem):
    # Scaled: (0, 1), (0.476, 0.5), (0.952, 0); only the middle one is not on the edge.
    alone = (1 - 1 / 2.1) * 0.5
    whole = alone + (2.1 - 2) / 2.1 * 0.5
    replay = paid(3, 1, 2)
    assert quality.fractions(problem, replay, [1, 2, 3]) == pytest.approx(
        [0, alone / whole, 1], abs=1e-9
    )
    first, *_, last = quality.distances(problem, replay, [2, 3])
    to_ends = [1 / 2.1, 0.5]
    assert first == pytest.approx(sum(to_ends) / 3)
    assert last == pytest.approx(to_ends[0] / 3)
    assert quality.distances(problem, replay, [0.5]) == [math.inf]


def test_short_trainings_and_looks_are_no_part_of_a_front(problem):
    ledger = Ledger(problem)
    cells = [problem.cell(row) for row in range(3)]
    for cell in cells:
        ledger.look(cell)
        ledger.look(cell)
        ledger.train(cell, 0)
    assert quality.fractions(problem, Replay([ledger.paid], 1.0), [5]) == [0]
    assert ledger.spent == pytest.approx(3 * (2 + 10 * LOOK))
    ledger.train(cells[1], 1)
    assert ledger.paid[-1] == (1, 10, 1)
    assert not ledger.exhausted


def test_what_goes_on_with_one_training_pays_the_difference(path):
    ledger = Ledger(load(path, "cpu"))
    cell = ledger.problem.cell(0)
    for rung in (0, 1, 0, 2, 1):
        ledger.train(cell, rung)
    assert [payment.steps for payment in ledger.paid] == [1, 2, 6]


def test_budgets_needed_and_savings(problem):
    replays = {
        "mine": [paid(1, 2, 0)] * 3,
        "optuna-a": [paid(3, 4, 1, 2)] * 2 + [paid(3)],
        "optuna-b": [paid(3)] * 3,
    }
    told = compare(problem, replays, [2, 4])
    assert json.loads(json.dumps(told)) == told
    assert told["reached"]["mine"]["0.85"] == 1
    assert told["reached"]["mine"]["0.99"] == 2
    assert told["reached"]["optuna-a"]["0.99"] == 4
    assert told["reached"]["optuna-b"]["0.99"] is None
    assert told["saving"]["mine"]["0.99"] == 2
    assert told["saving"]["optuna-a"]["0.99"] == 1
    assert told["median"]["mine"] == [pytest.approx(1)] * 2
    assert told["gap"]["mine"] == [pytest.approx(6)] * 2
    assert told["gap"]["optuna-b"] == [0, 0]
    assert told["against"] == "mine"
    difference, low, high = told["difference"]["optuna-a"][1]
    assert difference == pytest.approx(0)
    assert low == pytest.approx(-1) and high == pytest.approx(0)
    assert told["difference"]["optuna-b"][0] == [pytest.approx(-1)] * 3


def test_one_seed_has_no_interval(problem):
    told = compare(problem, {"a": [paid(1)], "b": [paid(2)]}, [1])
    assert told["difference"]["b"][0][1:] == [None, None]


def test_a_comparison_is_shown_drawn_and_written(path, tmp_path):
    output = tmp_path / "result.json"
    result = search.run(path, "cpu", 2, [1, 2], ["random", "nsga2"], 1, output)
    assert json.loads(output.read_text()) == result
    assert sorted(p.name for p in tmp_path.iterdir()) == ["result.json", "t.npz"]
    assert result["date"] and result["machine"]["cores"] and result["versions"]["optuna"]
    console = Console(record=True, width=150)
    console.print(search.table(result))
    shown = console.export_text()
    assert all(name in shown for name in ("random", "nsga2", "cost-only", "IGD+", "less that of"))
    lines = search.figure(result).data
    assert [line.name for line in lines] == list(result["median"])
    assert list(lines[0].y) == result["gap"]["random"]
    with pytest.raises(DescriptionError, match="there already"):
        search.run(path, "cpu", 2, [1, 2], ["random"], 1, output)
    with pytest.raises(DescriptionError, match="no folder"):
        search.run(path, "cpu", 2, [1, 2], ["random"], 1, tmp_path / "none" / "x.json")


def test_what_was_finished_is_taken_over(tmp_path):
    kept = Kept(tmp_path / "r.json", {"table": "t"})
    kept.add("random", 0, paid(1, 2))
    with (tmp_path / "r.json.part").open("a") as file:
        file.write('["random", 1, [[[')  # killed while it wrote
    again = Kept(tmp_path / "r.json", {"table": "t"})
    assert again.found == {("random", 0): paid(1, 2)}
    again.add("random", 1, paid(2))
    assert set(Kept(tmp_path / "r.json", {"table": "t"}).found) == {("random", 0), ("random", 1)}
    with pytest.raises(DescriptionError, match="of this comparison"):
        Kept(tmp_path / "r.json", {"table": "another"})
    assert not (tmp_path / "r.json").exists()


def test_a_search_takes_over_what_was_finished(path, tmp_path, monkeypatch):
    output, calls = tmp_path / "r.json", []

    def interrupted(tasks, jobs, kept):
        calls.append(len(tasks))
        for task in tasks[:3]:
            kept.add(task.method, task.seed, search._replay(task))
        if len(tasks) > 3:
            raise KeyboardInterrupt

    monkeypatch.setattr(search, "_replay_all", interrupted)
    monkeypatch.setattr(search, "ALWAYS", ())
    arguments = (path, "cpu", 3, [1, 2], ["random", "nsga2"], 1)
    with pytest.raises(KeyboardInterrupt):
        search.run(*arguments, output)
    result = search.run(*arguments, output)
    assert calls == [6, 3]
    assert [len(runs) for runs in result["runs"].values()] == [3, 3]
    assert [p.name for p in tmp_path.glob("r.json*")] == ["r.json"]
