"""From a front to networks trained in full: one recipe and seeds for all, a test used once."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import lightning
import numpy as np
import optuna
import pytest
import torch
from torch import nn

import optuna_nas as nas
from optuna_nas.exceptions import DescriptionError, SealedError, StudyError
from optuna_nas.finalists import (
    Finals,
    audit,
    choose_finalists,
    run_finals,
)
from optuna_nas.finalists.finals import _has_test
from optuna_nas.reporting import finals_table, plot_finalists
from tests.finalists.conftest import RECIPE, describe_search

Finish = Callable[..., Finals]

pytestmark = pytest.mark.usefixtures("untimed")


def test_baselines_are_trained_by_the_same_recipe_with_the_same_seeds(tmp_path: Path) -> None:
    few = nas.datasets.Digits(validation=0.2, test=0.6, batch_size=128)
    search = describe_search(data=few)
    study = search.run(trials=5, storage=f"sqlite:///{tmp_path}/few.db")

    def own() -> nn.Module:
        return nn.Sequential(nn.Flatten(), nn.Linear(64, 10))

    chosen = choose_finalists(search, study, 1)
    finals = run_finals(search, study, chosen, RECIPE, references={"linear": own})
    roles = [final.retrained.finalist.role for final in finals.finals]
    assert roles == [
        "front",
        "average",
        "average",
        "control",
        "reference",
        "reference",
        "reference",
    ]
    for final in finals.finals:
        assert list(final.retrained.trained) == [0, 1]
        described = [final.retrained.search.description[k] for k in ("module", "fidelity", "data")]
        assert described == [
            finals.found[0].retrained.search.description[k] for k in ("module", "fidelity", "data")
        ]
        assert set(final.tested) == {0, 1}
    as_json = finals.as_json()
    assert [final["name"] for final in as_json][-3:] == [
        "linear",
        "resnet18-like",
        "mobilenetv3-small-like",
    ]
    assert finals_table(as_json).row_count == len(as_json)
    figure = plot_finalists(study)
    assert sum(len(trace.x) for trace in figure.data) == len(as_json)


def test_what_is_finished_is_read_and_the_test_is_not_used_again(
    finish: Finish, study: optuna.Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = finish().as_json()
    for name in ("sealed.evaluate", "finals.export"):
        monkeypatch.setattr(f"optuna_nas.finalists.{name}", lambda *_: pytest.fail("used again"))
    assert finish().as_json() == first
    assert len(study.user_attrs["test_use"]) == 1


def test_the_test_of_a_network_is_not_used_for_other_trainings(
    finish: Finish, study: optuna.Study
) -> None:
    finish()
    longer = replace(RECIPE, epochs=3, label="longer")
    with pytest.raises(SealedError, match=r"choose by the test: give a reason \(--unseal"):
        finish(longer)
    finish(longer, reason="the first recipe was wrong")
    uses = study.user_attrs["test_use"]
    assert [use["reason"] for use in uses] == ["", "the first recipe was wrong"]
    assert all(use["opened"] <= use["closed"] for use in uses)
    assert any("used again" in line for line in audit(study)["wrong"])


def test_a_use_that_was_interrupted_showed_nothing_and_is_recorded(
    finish: Finish, study: optuna.Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("optuna_nas.finalists.sealed.evaluate", killed)
        with pytest.raises(KeyboardInterrupt):
            finish()
    assert finish().finals[0].tested
    assert ["closed" in use for use in study.user_attrs["test_use"]] == [False, True]


def test_another_recipe_or_other_data_under_one_label_are_refused(
    finish: Finish, study: optuna.Study
) -> None:
    finish()
    with pytest.raises(StudyError, match=r"(?s)fidelity.epochs: 2 -> 3.*--label NAME"):
        finish(replace(RECIPE, epochs=3))
    data = nas.datasets.Digits(validation=0.3, batch_size=128)
    other = describe_search(data=data)
    chosen = choose_finalists(other, study, 1)
    with pytest.raises(StudyError, match=r"data.fingerprint"):
        run_finals(other, study, chosen, RECIPE, compare=False)


def test_the_folder_rebuilds_the_network_with_this_package_alone(
    finish: Finish, onnxruntime: None
) -> None:
    final = finish().finals[0]
    assert final.folder is not None
    card = json.loads((final.folder / "card.json").read_text())
    assert card["digest"] == final.retrained.digest
    assert [form["file"] for form in card["forms"]] == [
        "model.pt2",
        "model.onnx",
        "model.int8.onnx",
    ]
    for form in final.forms:
        assert form.bytes == (final.folder / form.file).stat().st_size
        assert form.name == "onnx-int8" or (form.deployable and form.difference <= 1e-4)
    trained = final.retrained.values("accuracy")[card["seed"]]
    assert [form.values["accuracy"] for form in final.forms[:2]] == pytest.approx([trained] * 2)
    assert " accuracy | difference |" in (final.folder / "card.md").read_text()
    assert f"| {card['seed']} |" in (final.folder / "card.md").read_text()
    script = [sys.executable, "rebuild.py"]
    assert subprocess.run(script, cwd=final.folder, timeout=120).returncode == 0
    with np.load(final.folder / "sample.npz") as file:
        sample = dict(file)
    program = torch.export.load(final.folder / "model.pt2").module()
    found = program(torch.from_numpy(sample["x"][:1]))
    assert torch.allclose(found, torch.from_numpy(sample["outputs"][:1]), atol=1e-4)
    weights = final.folder / "weights.safetensors"
    damaged = bytearray(weights.read_bytes())
    damaged[-8:] = b"\x00\x00\x80\x7f" * 2
    weights.write_bytes(damaged)
    assert subprocess.run(script, cwd=final.folder, timeout=120, capture_output=True).returncode


def test_a_network_without_a_graph_is_rebuilt_from_its_program(tmp_path: Path) -> None:
    def space(trial: optuna.Trial) -> nn.Module:
        width = trial.suggest_int("width", 4, 8)
        return nn.Sequential(nn.Flatten(), nn.Linear(64, width), nn.ReLU(), nn.Linear(width, 10))

    search = describe_search(space=space)
    study = search.run(trials=2, storage=f"sqlite:///{tmp_path}/own.db")
    final = run_finals(
        search, study, choose_finalists(search, study, 1), replace(RECIPE, seeds=1), compare=False
    ).finals[0]
    assert final.folder is not None and not (final.folder / "architecture.json").exists()
    assert "returned a module, so that its graph is not known" in " ".join(
        (final.folder / "card.md").read_text().split()
    )
    script = [sys.executable, "rebuild.py"]
    assert subprocess.run(script, cwd=final.folder, timeout=120).returncode == 0


def test_data_without_a_test_split_is_said_to_have_none() -> None:
    x, y = np.zeros((40, 3)), np.arange(40) % 2
    assert _has_test(nas.datasets.ArrayDataModule(x, y))
    assert not _has_test(nas.datasets.ArrayDataModule(x, y, test=0))
    assert not _has_test(lightning.LightningDataModule())


class Bessel(nn.Module):
    """Its operator is none of ONNX."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.special.i0e(x)


def test_what_onnx_lacks_is_said_and_the_rest_is_exported(
    tmp_path: Path, onnxruntime: None
) -> None:
    def space(trial: optuna.Trial) -> nn.Module:
        width = trial.suggest_int("width", 4, 8)
        hidden = nn.Flatten(), nn.Linear(64, width), Bessel()
        return nn.Sequential(*hidden, nn.Linear(width, 10))

    search = describe_search(space=space)
    study = search.run(trials=1, storage=f"sqlite:///{tmp_path}/own.db")
    final = run_finals(
        search, study, choose_finalists(search, study, 1), replace(RECIPE, seeds=1), compare=False
    ).finals[0]
    assert [form.name for form in final.forms] == ["pytorch"]
    assert any("i0e" in note for note in final.notes)


def test_a_front_that_is_too_small_and_a_study_without_trials_say_what_to_do(
    search: nas.Search, study: optuna.Study, tmp_path: Path
) -> None:
    with pytest.raises(DescriptionError, match=r"at least 50 networks on the front, got \d+; ask"):
        choose_finalists(search, study, 50)
    with pytest.raises(DescriptionError, match="good enough, got 0"):
        choose_finalists(search, study, 1, within={"parameters": 1})
    empty = search.study(f"sqlite:///{tmp_path}/empty.db")
    with pytest.raises(DescriptionError, match=r"expected complete trials.*run it first"):
        choose_finalists(search, empty)


def test_nothing_is_said_of_a_correlation_below_three(finish: Finish) -> None:
    finals = finish()
    assert math.isnan(finals.correlation)
    assert finals.verdict == "Nothing was compared with the finalists."
