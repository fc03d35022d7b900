"""From a front to networks trained in full: one recipe and seeds for all, a test used once."""

from __future__ import annotations

import json
import math
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import optuna
import pytest
import torch
from torch import nn

import optuna_nas as nas
from optuna_nas.exceptions import DescriptionError, SealedError, StudyError
from optuna_nas.finalists import (
    Finals,
    Retraining,
    audit,
    choose_finalists,
    finals_table,
    plot_finalists,
    run_finals,
)
from optuna_nas.finalists.references import mobilenet_v3_small, references, resnet18, scaled
from optuna_nas.finalists.retraining import Averaging, uncapped
from tests.finalists.conftest import RECIPE, describe_search

Finish = Callable[..., Finals]

pytestmark = pytest.mark.usefixtures("untimed")


def test_each_seed_is_a_training_of_its_own_and_ends_in_the_same_values_again(
    finish: Finish, search: nas.Search, study: optuna.Study
) -> None:
    found = finish().finals[0].retrained
    accuracies = found.values("accuracy")
    assert list(accuracies) == [0, 1]
    assert found.values("parameters")[0] == found.values("parameters")[1]
    assert found.mean("accuracy") == pytest.approx(np.mean([*accuracies.values()]))
    assert found.deviation("accuracy") == pytest.approx(np.std([*accuracies.values()], ddof=1))
    other = finish(replace(RECIPE, label="again"), compare=False, reason="to compare")
    assert other.finals[0].retrained.values("accuracy") == accuracies


def test_baselines_are_trained_by_the_same_recipe_with_the_same_seeds(finish: Finish) -> None:
    def own() -> nn.Module:
        return nn.Sequential(nn.Flatten(), nn.Linear(64, 10))

    finals = finish(compare=True, references={"linear": own})
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
    figure = plot_finalists(as_json, {"accuracy": "fraction", "parameters": ""})
    assert sum(len(trace.x) for trace in figure.data) == len(as_json)


def test_random_search_gets_what_the_search_has_spent(finish: Finish, study: optuna.Study) -> None:
    finals = finish(replace(RECIPE, seeds=1), against_random=True)
    assert [f.retrained.finalist.role for f in finals.finals] == ["front", "random search"]
    other = optuna.load_study(study_name="small@random", storage=study._storage)
    spent, own = (nas.reporting.status(one)["epochs"] for one in (other, study))
    assert own <= spent < own + 2
    assert {t.user_attrs["outcome"] for t in other.trials} <= {"trained", "reused"}
    trials = len(other.trials)
    again = finish(replace(RECIPE, seeds=1), against_random=True)
    assert len(other.trials) == trials and again.as_json() == finals.as_json()
    assert finals.verdict != "Nothing was compared with the finalists."


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
    with pytest.raises(StudyError, match=r"fidelity.epochs: 2 -> 3"):
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
    assert f"| {card['seed']} |" in (final.folder / "card.md").read_text()
    script = [sys.executable, "rebuild.py"]
    assert subprocess.run(script, cwd=final.folder, timeout=120).returncode == 0
    sample = np.load(final.folder / "sample.npz")
    program = torch.export.load(final.folder / "model.pt2").module()
    found = program(torch.from_numpy(sample["x"][:1]))
    assert torch.allclose(found, torch.from_numpy(sample["outputs"][:1]), atol=1e-4)
    weights = final.folder / "weights.safetensors"
    damaged = bytearray(weights.read_bytes())
    damaged[-8:] = b"\x00\x00\x80\x7f" * 2
    weights.write_bytes(damaged)
    assert subprocess.run(script, cwd=final.folder, timeout=120, capture_output=True).returncode


def test_a_space_of_modules_is_exported_but_not_registered(tmp_path: Path) -> None:
    def space(trial: optuna.Trial) -> nn.Module:
        width = trial.suggest_int("width", 4, 8)
        return nn.Sequential(nn.Flatten(), nn.Linear(64, width), nn.ReLU(), nn.Linear(width, 10))

    search = describe_search(space=space)
    study = search.run(trials=2, storage=f"sqlite:///{tmp_path}/own.db")
    final = run_finals(
        search, study, choose_finalists(search, study, 1), replace(RECIPE, seeds=1), compare=False
    ).finals[0]
    assert any("can only be rebuilt by the code of the study" in note for note in final.notes)
    assert final.folder is not None and not (final.folder / "card.json").exists()


def test_hyperparameters_that_were_searched_are_kept(tmp_path: Path) -> None:
    joint = nas.spaces.Joint(
        nas.spaces.CNN(input_shape=(1, 8, 8), blocks=(1, 1), channels=(8,)),
        learning_rate=(0.01, 0.02),
        batch_size=(64, 128),
    )
    search = describe_search(space=joint, objectives=["accuracy"])
    study = search.run(trials=2, storage=f"sqlite:///{tmp_path}/joint.db")
    recipe = replace(RECIPE, seeds=1)
    chosen = choose_finalists(search, study)
    finalist = run_finals(search, study, chosen, recipe, compare=False).finals[0]
    own, drawn = finalist.retrained.search, chosen[0].hyperparameters
    assert own.data.batch_size == drawn["batch_size"]
    assert own.module(nn.Identity()).learning_rate == drawn["learning_rate"]


SCRIPT = """
import sys
from optuna_nas.finalists import Retraining, choose_finalists, forms, run_finals
from tests.finalists.conftest import describe_search

forms._time = lambda *_: (None, "")
search = describe_search()
study = search.study(sys.argv[1])
recipe = Retraining(epochs=6, seeds=2, average=0.9)
print("begun", flush=True)
found = run_finals(search, study, choose_finalists(search, study, 1), recipe, compare=False)
print(found.finals[0].retrained.values("accuracy"))
"""


def test_killed_at_any_moment_it_ends_in_the_same_table(
    search: nas.Search, study: optuna.Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = f"sqlite:///{tmp_path}/small.db"
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", SCRIPT, url]
    own = "small@finalists/"
    for trainings in (1, 2):  # in the first training, and in the second
        with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE) as process:
            assert process.stdout is not None and process.stdout.readline() == b"begun\n"
            while _begun(url, own) < trainings and process.poll() is None:
                time.sleep(0.05)
            process.send_signal(signal.SIGKILL)
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
    assert ended.returncode == 0, ended.stderr
    undisturbed = run_finals(
        search,
        study,
        choose_finalists(search, study, 1),
        Retraining(epochs=6, seeds=2, average=0.9, label="undisturbed"),
        compare=False,
        reason="the same trainings, not killed",
    )
    assert ended.stdout.splitlines()[-1] == str(undisturbed.finals[0].retrained.values("accuracy"))


def _begun(url: str, prefix: str) -> int:
    names = [n for n in optuna.get_all_study_names(url) if n.startswith(prefix)]
    if not names:
        return 0
    trials = optuna.load_study(study_name=names[0], storage=url).trials
    learned = [
        t for t in trials if t.intermediate_values or any("step" in k for k in t.system_attrs)
    ]
    return len({t.params["training.seed"] for t in learned})


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


def test_the_average_forgets_where_it_began() -> None:
    average = Averaging(0.99)
    value = torch.tensor(100.0)
    for step in range(100):
        value = average._averaged(value, torch.tensor(0.0), step)
    assert abs(float(value)) < 1e-3
    counted = torch.tensor(3)
    assert average._averaged(torch.tensor(1), counted, 5) is counted


def test_finalists_have_no_caps() -> None:
    capped = nas.objectives.Weighted(
        linear={"accuracy": 1, nas.objectives.Parameters(max=10): -1e-6}, min=0.9
    )
    free = uncapped(capped)
    assert free.min is None
    assert all(part.max is None for part in free.parts)


@pytest.mark.parametrize("make", [resnet18, mobilenet_v3_small])
@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 48, 64)])
def test_networks_by_hand_run_and_are_scaled(
    make: Callable[..., nn.Module], shape: tuple[int, ...]
) -> None:
    assert make(shape, 7, 4)(torch.zeros(2, *shape)).shape == (2, 7)
    for reference in references(shape, 7).values():
        assert scaled(reference, 1e5).parameters == pytest.approx(1e5, rel=0.4)


def test_inputs_without_a_network_by_hand_have_none() -> None:
    assert references((16, 4), 10) == {}
    assert list(references((9,), 1)) == ["mlp"]


@pytest.mark.parametrize("wrong", [{"seeds": 0}, {"epochs": 0}, {"patience": 0}, {"average": 1.0}])
def test_numbers_out_of_range_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(DescriptionError, match=next(iter(wrong))):
        Retraining(**wrong)


def test_nothing_is_said_of_a_correlation_below_three(finish: Finish) -> None:
    finals = finish()
    assert math.isnan(finals.correlation)
    assert finals.verdict == "Nothing was compared with the finalists."
