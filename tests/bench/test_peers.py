"""Tools in environments of their own: a small one of this test's, and real ones."""

import json
import os
import sys

import numpy as np
import pytest
import tables
from click.testing import CliRunner

from optuna_nas.bench import peer, search
from optuna_nas.bench.peer import PEERS, Peer, find
from optuna_nas.bench.replay import METHODS, replay
from optuna_nas.bench.tables import load
from optuna_nas.cli import main
from optuna_nas.exceptions import DescriptionError, TrainingError

TOOL = """
from .problem import main


def search(problem):
    print("a tool may print", flush=True)
    seed = problem.seed
    while True:
        seed = (1103515245 * seed + 12345) % 2**31
        values = {p.name: str((seed >> 8) % p.options) for p in problem.parameters}
        error, cost = problem.train(values, 0)
        if error < 25:
            assert problem.train(values)[1] == cost
        if problem.seed == 13:
            raise RuntimeError("out of luck")
        assert problem.fidelities == [1, 3, 9]


if __name__ == "__main__":
    main(search, "1.2")
"""


@pytest.fixture
def tool(tmp_path, monkeypatch):
    """A tool `guess`, beside whose adapter lies the protocol's own module."""
    folder = tmp_path / "peers"
    folder.mkdir()
    (folder / "with_guess.py").write_text(TOOL)
    for name in ("__init__.py", "problem.py"):
        (folder / name).symlink_to(peer.FOLDER / "peers" / name)
    monkeypatch.setattr(peer, "FOLDER", tmp_path)
    for name, module in (("guess", "with_guess"), ("absent", "with_nothing")):
        monkeypatch.setitem(PEERS, name, Peer(module, f"the-package-{name}"))


@pytest.fixture
def path(tmp_path):
    np.savez(tmp_path / "t.npz", **tables.general())
    return tmp_path / "t.npz"


def test_a_peer_is_asked_and_answered_until_its_budget_is_spent(tool, path):
    problem = load(path, "cpu")
    first, second = (replay(problem, "guess", seed, [1, 2], sys.executable) for seed in (0, 0))
    (paid,) = first.paid
    assert first.paid == second.paid
    assert {p.rung for p in paid} == {0, 2}
    assert 2 <= sum(p.steps for p in paid) / 9 < 3.1
    assert first.milliseconds >= 0


def test_a_peer_that_fails_says_why(tool, path):
    with pytest.raises(TrainingError, match=r"guess to search with seed 13.*out of luck"):
        replay(load(path, "cpu"), "guess", 13, [3], sys.executable)


def test_a_peer_is_looked_for_in_each_environment(tool):
    assert find("guess", ["/no/such/python", sys.executable]) == (sys.executable, "1.2")
    with pytest.raises(DescriptionError, match=r"the-package-absent.*with_nothing"):
        find("absent", [sys.executable])
    with pytest.raises(DescriptionError, match=r"no such option.*pip install 'the-package-guess'"):
        find("guess", [])
    with pytest.raises(DescriptionError, match="/no/such/python"):
        find("guess", ["/no/such/python"])


def test_a_peer_is_a_method_of_the_command(path, monkeypatch):
    told = CliRunner().invoke(
        main,
        ["bench", "search", "--table", str(path), "--device", "cpu", "--methods", "smac-parego"],
    )
    assert told.exit_code == 2
    assert "expected smac for smac-parego" in told.output
    assert "Traceback" not in told.output


def test_results_name_the_versions_of_peers(path, monkeypatch):
    monkeypatch.setattr(search, "find", lambda name, pythons: (pythons[0], "1.2"))
    monkeypatch.setattr(search, "_replay_all", _pretended)
    result = search.run(path, "cpu", 1, [1], ["random", "ax"], pythons=["a python"])
    assert result["peers"] == {"ax": "1.2"}
    assert json.loads(json.dumps(result)) == result


def _pretended(tasks, jobs, kept):
    for task in tasks:
        assert task.python == ("a python" if task.method == "ax" else "")
        kept.add(task.method, task.seed, search._replay(task._replace(method="random")))


def test_names_of_methods_are_of_one_kind_each():
    assert not set(PEERS) & set(METHODS)
    assert all((peer.FOLDER / "peers" / f"{p.adapter}.py").is_file() for p in PEERS.values())


@pytest.mark.parametrize("name", list(PEERS))
def test_real_peers_search(name, path):
    pythons = os.environ.get("OPTUNA_NAS_PEERS", "")
    if not pythons:  # by choice, not by absence: they weigh gigabytes, and contradict each other
        pytest.skip("OPTUNA_NAS_PEERS names no Python of an environment with other tools")
    try:
        python, version = find(name, pythons.split(os.pathsep))
    except DescriptionError as error:
        pytest.skip(str(error))
    assert version
    replayed = replay(load(path, "cpu"), name, 0, [4], python)
    assert any(payment.rung == 2 for payment in replayed.paid[0])
