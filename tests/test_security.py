"""What is read from files and shared databases runs no code, and leads out of no folder."""

import ast
import pickle
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

import optuna_nas
from optuna_nas.study.checkpoints import Saved
from optuna_nas.study.folder import Folder, folder_of

ROOT = Path(optuna_nas.__file__).parent

PIPES = {"measuring/process.py", "measuring/__main__.py", "study/workers/worker.py"}
"""Modules that unpickle what a process of their own sent through a pipe."""


def calls() -> Iterator[tuple[str, str, ast.Call]]:
    for path in sorted(ROOT.rglob("*.py")):
        name = path.relative_to(ROOT).as_posix()
        if name.startswith("testing/"):
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call):
                yield name, ast.unparse(node.func), node


def argument(call: ast.Call, name: str) -> str | None:
    return next((ast.unparse(k.value) for k in call.keywords if k.arg == name), None)


def test_weights_are_loaded_as_weights_alone() -> None:
    loads = [(name, call) for name, called, call in calls() if called == "torch.load"]
    assert loads
    assert [name for name, call in loads if argument(call, "weights_only") != "True"] == []
    resumed = [(n, c) for n, _, c in calls() if argument(c, "ckpt_path") is not None]
    assert resumed
    assert [name for name, call in resumed if argument(call, "weights_only") != "True"] == []


def test_nothing_that_was_stored_is_unpickled_or_run() -> None:
    unsafe = {"pickle.load", "pickle.loads", "cloudpickle.load", "cloudpickle.loads", "eval"}
    unsafe |= {
        "exec",
        "yaml.load",
        "yaml.unsafe_load",
        "joblib.load",
        "os.system",
        "marshal.loads",
    }
    assert {name for name, called, _ in calls() if called in unsafe} <= PIPES
    assert [n for n, _, c in calls() if argument(c, "allow_pickle") == "True"] == []
    assert [n for n, _, c in calls() if argument(c, "shell") == "True"] == []


class Bomb:
    def __reduce__(self) -> tuple[object, ...]:
        return Path.touch, (Path("exploded"),)


def test_a_checkpoint_that_somebody_changed_runs_nothing(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    saved = Saved(Folder(tmp_path), "0-abc", "abc")
    torch.save(
        {"optuna_nas": {"training": "abc", "epochs": 1, "metrics": {}}, "x": Bomb()},
        tmp_path / saved.file,
    )
    assert saved.read().epochs == 0
    assert not Path("exploded").exists()
    assert pickle.loads(pickle.dumps(Path("a"))) == Path("a")  # it would have been


@pytest.mark.parametrize("name", ["../../etc/cron.d/x", "..", "a/b", "/absolute", "x\x00y"])
def test_no_name_of_a_study_leads_out_of_its_folder(name: str, tmp_path, monkeypatch) -> None:
    import optuna

    monkeypatch.chdir(tmp_path)
    storage = optuna.storages.RDBStorage(f"sqlite:///{tmp_path}/s.db")
    folder = folder_of(True, name, storage)
    assert folder is not None
    assert folder.resolve().parent == tmp_path.resolve()
