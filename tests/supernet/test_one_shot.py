"""A search that judges networks by inherited weights."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import optuna
import pytest
import torch
from small import Data, modules, search, space
from torch import nn

import optuna_nas as nas
from optuna_nas.exceptions import (
    DataError,
    DescriptionError,
    SpaceError,
    StudyError,
    TrainingError,
)
from optuna_nas.finalists.shared import weights_file
from optuna_nas.objectives import FLOPs, Latency, Parameters, ValidationLoss
from optuna_nas.spaces import Joint
from optuna_nas.study.record import records
from optuna_nas.supernet import OneShot, SharedWeights, one_shot, recalibrate


@pytest.fixture
def url(tmp_path) -> str:
    return f"sqlite:///{tmp_path}/s.db"


@pytest.fixture
def folder(tmp_path) -> Path:
    return tmp_path / "shared.checkpoints"


def told() -> tuple[list[int], object]:
    """Epochs that supernets were trained for, and what gathers them."""
    seen: list[int] = []

    def on_epoch(trial, epoch, values) -> None:
        assert trial is None
        assert values["loss"] > 0
        seen.append(epoch)

    return seen, on_epoch


def test_a_trial_is_a_pass_with_inherited_weights_and_says_so(url, folder) -> None:
    seen, on_epoch = told()
    study = search().run(trials=8, storage=url, on_epoch=on_epoch)
    assert seen == [1, 2, 3, 4]
    about = study.user_attrs["supernet"]
    assert about["epochs"] == 4
    assert about["seconds"] > 0
    for trial, record in zip(study.trials, records(study), strict=True):
        assert record.outcome in ("scored", "reused")
        assert record.inherited
        assert trial.user_attrs["estimator"] == {"name": "one-shot", "weights": about["weights"]}
        assert record.epochs == 0
        assert not record.curve
        assert set(record.measurements) == {"validation_loss", "accuracy", "own", "parameters"}
    scored = [record for record in records(study) if record.outcome == "scored"]
    assert len({record.digest for record in scored}) == len(scored) > 1
    assert all("inherited" in record.ended for record in scored)
    assert len(list(folder.iterdir())) == 1


def test_the_supernet_learns_by_networks_that_keep_the_caps_known_beforehand(
    url, monkeypatch
) -> None:
    given = {}
    monkeypatch.setattr(
        one_shot, "train", lambda *args, **options: given.update(options) or stop()
    )

    def stop():
        raise TrainingError("enough")

    capped = search(
        objectives=[ValidationLoss(max=9), FLOPs(max=80)],
        constraints=[Latency(max=1e3), Parameters(max=90)],
        samples=0,
    )
    with pytest.raises(TrainingError, match="enough"):
        capped.run(trials=1, storage=url)
    assert sorted(given["caps"], key=str) == [FLOPs(max=80), Parameters(max=90)]


@pytest.mark.parametrize("drawn_by", [space, modules])
def test_values_are_those_of_the_network_cut_from_the_store(url, folder, drawn_by) -> None:
    shared = search(space=drawn_by)
    study = shared.run(trials=4, storage=url)
    store = SharedWeights(drawn_by, (6,), 2)
    (file,) = folder.iterdir()
    store.load(file)
    assert store.fingerprint == study.user_attrs["supernet"]["weights"]
    data = Data()
    data.setup("fit")
    for trial in study.trials:
        drawn = drawn_by(optuna.trial.FixedTrial(trial.params))
        network = store.extract(drawn).eval()
        if drawn_by is modules:  # its batch norm has statistics of all training batches, anew
            torch.manual_seed(0)
            recalibrate(network, data.train_dataloader())
        x, y = data.valid.tensors
        expected = float(nn.functional.cross_entropy(network(x), y).detach())
        close = 1e-6 if drawn_by is space else 0.02
        assert trial.values[0] == pytest.approx(expected, abs=close)


def test_the_same_command_goes_on_with_the_same_weights(url) -> None:
    one = search().run(trials=3, storage=url)
    seen, on_epoch = told()
    more = search().run(trials=3, storage=url, on_epoch=on_epoch)
    assert seen == []
    assert len(more.trials) == 6
    whole = search(name="other").run(trials=6, storage=url)
    assert one.user_attrs["supernet"]["weights"] == whole.user_attrs["supernet"]["weights"]
    assert [t.values for t in more.trials] == [t.values for t in whole.trials]


def test_one_network_is_scored_once(url) -> None:
    study = search().study(url)
    for _ in range(2):
        study.enqueue_trial({"depth": 1, "hidden0.width": 3})
    first, second = search().run(trials=2, storage=url).trials
    assert second.user_attrs["reused_from"] == first.number
    assert second.values == first.values
    assert second.user_attrs["estimator"] == first.user_attrs["estimator"]


@pytest.mark.parametrize("sampler", ["tpe", "predictor", "local-search"])
def test_samplers_learn_from_inherited_values_as_from_trained(url, sampler) -> None:
    study = search(sampler=sampler).run(trials=14, storage=url)
    found = records(study)
    assert {record.outcome for record in found} <= {"scored", "reused"}
    assert len(study.best_trials) > 1


def test_sums_of_what_is_inherited_are_inherited(url) -> None:
    total = nas.objectives.Weighted(linear={"validation_loss": 1}, log={"parameters": 0.1})
    study = search(objectives=[total]).run(trials=2, storage=url)
    measured = study.trials[0].user_attrs["measurements"]
    assert measured["weighted"]["weights"] == measured["validation_loss"]["weights"] == "inherited"
    assert "weights" not in measured["parameters"]
    assert study.trials[0].values == [measured["weighted"]["value"]]


def test_a_cap_rejects_before_the_pass(url) -> None:
    capped = search(constraints=[nas.objectives.FLOPs(max=300)], sampler="random", samples=20)
    found = records(capped.run(trials=12, storage=url))
    outcomes = {record.outcome for record in found}
    assert {"rejected", "scored"} <= outcomes
    assert all("validation_loss" not in r.measurements for r in found if r.outcome == "rejected")


def test_it_is_an_objective_for_those_who_hold_the_loop(url) -> None:
    shared = search()
    study = shared.study(url)
    study.optimize(shared.objective, n_trials=3)
    assert study.user_attrs["supernet"]["epochs"] == 4
    assert all(trial.user_attrs["outcome"] == "scored" for trial in study.trials)


WORKER = """
import sys
from small import search

def on_epoch(trial, epoch, values):
    print(epoch, flush=True)

search().run(trials=2, storage=sys.argv[1], on_epoch=on_epoch)
"""


def test_of_two_workers_one_trains_the_supernet(url) -> None:
    search().study(url)
    paths = [str(Path(nas.__file__).parents[1]), str(Path(__file__).parent)]
    workers = [
        subprocess.Popen(
            [sys.executable, "-c", WORKER, url],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    trained = [worker.communicate(timeout=300)[0].split() for worker in workers]
    assert [worker.returncode for worker in workers] == [0, 0]
    assert sorted(trained) == [[], ["1", "2", "3", "4"]]
    study = optuna.load_study(study_name="shared", storage=url)
    assert len(study.trials) == 4
    assert len({json.dumps(trial.user_attrs["estimator"]) for trial in study.trials}) == 1


def test_inherited_and_trained_values_are_never_in_one_study(url) -> None:
    search().run(trials=1, storage=url)
    with pytest.raises(StudyError, match="estimator"):
        search(estimator=OneShot(epochs=5)).study(url)
    scratch = search(estimator=nas.study.from_scratch.FromScratch())
    with pytest.raises(StudyError, match="estimator"):
        scratch.study(url)
    assert scratch.training_description != search().training_description


def test_a_study_is_held_to_its_weights(url, folder) -> None:
    study = search().run(trials=1, storage=url)
    shutil.rmtree(folder)
    seen, on_epoch = told()
    search().run(trials=1, storage=url, on_epoch=on_epoch)  # the same seed, the same weights
    assert seen == [1, 2, 3, 4]
    study.set_user_attr("supernet", {**study.user_attrs["supernet"], "weights": "0" * 64})
    with pytest.raises(StudyError, match="expected the supernet of study 'shared'"):
        search().run(trials=1, storage=url)


def test_a_supernet_in_a_bucket_is_that_of_another_host_too(s3, tmp_path) -> None:
    """Both hosts reach the study; nothing that the first leaves on its disk is on the second."""

    def stored() -> list[str]:
        found = s3.list_objects_v2(Bucket="nas-test").get("Contents", ())
        return [one["Key"] for one in found]

    storage = f"sqlite:///{tmp_path}/s.db"
    study = search(checkpoints="s3://nas-test/one").run(trials=2, storage=storage)
    (key,) = stored()
    assert key == f"one/shared.checkpoints/{study.user_attrs['supernet']['file']}"
    assert not list(tmp_path.glob("*.checkpoints"))
    seen, on_epoch = told()
    other = search(checkpoints="s3://nas-test/one")
    assert len(other.run(trials=1, storage=storage, on_epoch=on_epoch).trials) == 3
    assert seen == []
    assert weights_file(other, study).name == Path(key).name
    s3.delete_object(Bucket="nas-test", Key=key)
    with pytest.raises(StudyError, match="in s3://nas-test/one"):
        weights_file(other, study)


def test_without_checkpoints_the_supernet_stays_in_memory(url, folder) -> None:
    seen, on_epoch = told()
    shared = search(checkpoints=None)
    for _ in range(2):
        shared.run(trials=1, storage=optuna.storages.get_storage(url), on_epoch=on_epoch)
    assert not folder.exists()
    assert set(seen) == {1, 2, 3, 4}


class Broken(Data):
    """Data on which every loss is NaN."""

    def on_after_batch_transfer(self, batch, dataloader_idx):
        return batch[0] * float("nan"), batch[1]


def test_a_supernet_that_fails_ends_the_run_before_its_first_trial(url) -> None:
    broken = search(data=Broken())
    with pytest.raises(TrainingError, match=r"step 0 at .*classify"):
        broken.run(trials=5, storage=url)
    assert not optuna.load_study(study_name="shared", storage=url).trials


def lazy(trial: optuna.Trial) -> nn.Module:
    return nn.Sequential(nn.LazyLinear(trial.suggest_int("width", 2, 4)), nn.LazyLinear(2))


def test_a_space_whose_weights_cannot_nest_is_refused_before_training(url) -> None:
    with pytest.raises(SpaceError, match="LazyLinear"):
        search(space=lazy).run(trials=1, storage=url)


class Outputless(Data):
    outputs = None


def test_data_without_outputs_is_refused_where_a_space_needs_them(url) -> None:
    with pytest.raises(DataError, match="outputs"):
        search(data=Outputless()).run(trials=1, storage=url)
    study = search(data=Outputless(), space=modules, name="own").run(trials=1, storage=url)
    assert study.trials[0].values


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"fidelity": nas.Budget(epochs=(1, 3))}, "no fidelity beside OneShot"),
        ({"pruner": "hyperband"}, "no pruner beside OneShot"),
        ({"pruner": "freeze-thaw", "sampler": "predictor"}, "no pruner beside OneShot"),
        ({"space": Joint(space, batch_size=(16, 32))}, "a space of networks"),
        ({"objectives": ["parameters"], "constraints": []}, "hangs on the weights"),
        ({"estimator": "one-shot"}, "expected an estimator"),
    ],
)
def test_what_does_not_go_with_it_is_refused(changes, message) -> None:
    if "space" in changes:
        changes = {**changes, "data": nas.datasets.Digits()}
    with pytest.raises(DescriptionError, match=message):
        search(**changes)


@pytest.mark.parametrize(
    "arguments", [{"epochs": 0}, {"paths": 0}, {"batches": 0}, {"drawing": "unifrom"}]
)
def test_wrong_arguments_are_refused(arguments) -> None:
    with pytest.raises(DescriptionError, match="expected"):
        OneShot(**arguments)


def test_its_smoke_form_trains_the_supernet_briefly() -> None:
    smoke = search().as_smoke()
    assert smoke.estimator == replace(search().estimator, epochs=2)
    assert smoke.trials == 12
