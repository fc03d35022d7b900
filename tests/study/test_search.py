"""A search: records, reuse, caps, resume, and what happens when something goes wrong."""

import json
import math
import re
from dataclasses import replace

import lightning
import numpy as np
import optuna
import pytest
import torch
from lightning.pytorch.strategies import DDPStrategy
from optuna.trial import TrialState
from torch import nn

import optuna_nas as nas
from optuna_nas.exceptions import DescriptionError, SearchStopped, StudyError
from optuna_nas.study.record import OUTCOMES, records

X = np.random.default_rng(0).normal(size=(120, 6)).astype("float32")
Y = (X[:, 0] + X[:, 1] > 0).astype("int64")


@pytest.fixture(scope="module")
def data() -> nas.datasets.ArrayDataModule:
    return nas.datasets.ArrayDataModule(X, Y, batch_size=32)


def space(trial: optuna.Trial) -> nas.Architecture:
    width = 4 * trial.suggest_int("width", 1, 50)
    return nas.Architecture.chain(
        [("hidden", "linear", {"features": width}), ("head", "classify", {})]
    )


@pytest.fixture
def search(data) -> nas.Search:
    return nas.Search(
        name="tiny",
        space=space,
        data=data,
        objectives=[nas.objectives.Accuracy(), nas.objectives.FLOPs()],
        fidelity=nas.Budget(epochs=(1, 4)),
        trials=6,
    )


@pytest.fixture
def url(tmp_path) -> str:
    return f"sqlite:///{tmp_path}/s.db"


def test_a_trial_leaves_what_is_needed_to_rebuild_and_judge_its_network(search, url) -> None:
    study = search.run(storage=url)
    assert study.metric_names == ["accuracy (fraction)", "flops (FLOP)"]
    trained = [t for t in study.trials if t.user_attrs["outcome"] == "trained"]
    assert trained
    for trial in trained:
        attrs = json.loads(json.dumps(trial.user_attrs))
        architecture = nas.Architecture.from_json(json.dumps(attrs["architecture"]))
        assert architecture.digest == attrs["digest"]
        assert architecture.describe() == attrs["network"]
        assert attrs["measurements"]["accuracy"]["value"] == trial.values[0]
        assert attrs["measurements"]["flops"]["unit"] == "FLOP"
        assert attrs["measurements"]["parameters"]["value"] > 0
        assert attrs["provenance"]["seed"] >= 0
        assert set(attrs["provenance"]["versions"]) >= {"torch", "optuna", "lightning"}
        assert attrs["provenance"]["device"]["processor"]
        assert attrs["spent"]["epochs"] == 4
        assert attrs["spent"]["seconds"] > 0
        assert attrs["ended"]
    for record in records(study):
        assert record.outcome in OUTCOMES
        assert record.reused_from is not None or len(record.curve) == record.epochs


def test_several_objectives_leave_no_intermediate_values(search, url) -> None:
    study = search.run(storage=url)
    assert all(not trial.intermediate_values for trial in study.trials)


def test_one_objective_works_with_optunas_own_records(search, url) -> None:
    study = replace(search, objectives=["accuracy"]).run(storage=url)
    assert study.best_value > 0
    assert any(len(trial.intermediate_values) == 4 for trial in study.trials)


def test_without_a_trained_objective_nothing_is_trained(search, url) -> None:
    study = replace(search, objectives=["parameters", "flops"]).run(storage=url)
    assert all(record.epochs == 0 for record in records(study))
    assert {t.state for t in study.trials} == {TrialState.COMPLETE}


def test_a_candidate_over_its_cap_is_rejected_untrained_and_learned_from(search, url) -> None:
    capped = replace(search, constraints=[nas.objectives.Parameters(max=500)], sampler="random")
    study = capped.run(trials=10, storage=url)
    outcomes = {record.outcome for record in records(study)}
    assert "rejected" in outcomes
    for trial, record in zip(study.trials, records(study), strict=True):
        parameters = record.measurements["parameters"]["value"]
        assert trial.constraints == {"parameters": pytest.approx(parameters / 500 - 1)}
        if parameters > 500:
            assert record.outcome in ("rejected", "reused")
            assert trial.state == TrialState.PRUNED
            assert record.epochs == 0
            assert "parameters" in record.ended and "500" in record.ended
        else:
            assert record.outcome != "rejected"


def test_a_training_already_done_is_not_done_again(data, url) -> None:
    def two(trial: optuna.Trial) -> nas.Architecture:
        width = (4, 8)[trial.suggest_int("width", 0, 1)]
        return nas.Architecture.chain(
            [("hidden", "linear", {"features": width}), ("head", "classify", {})]
        )

    search = nas.Search(
        name="two",
        space=two,
        data=data,
        objectives=["accuracy", "parameters"],
        fidelity=nas.Budget(epochs=(1, 2)),
    )
    found = records(search.run(trials=8, storage=url))
    own = [record for record in found if record.outcome != "reused"]
    assert len(own) == len({record.digest for record in found}) == 2
    for record in found:
        if record.outcome == "reused":
            earlier = found[record.reused_from]
            assert record.epochs == 0
            assert record.digest == earlier.digest
            assert record.values == earlier.values
            assert f"trial {earlier.number}" in record.ended


def test_a_pruned_network_is_not_trained_again_either(search, url) -> None:
    study = search.run(trials=10, storage=url)
    pruned = next(t for t in study.trials if t.user_attrs["outcome"] == "pruned")
    study.enqueue_trial(pruned.params)
    again = search.run(trials=1, storage=url).trials[-1]
    assert again.state == TrialState.PRUNED
    assert again.user_attrs["reused_from"] == pruned.number
    assert again.user_attrs["spent"]["epochs"] == 0


def test_a_resumed_search_goes_on_as_if_never_stopped(search, tmp_path) -> None:
    whole = search.run(trials=8, storage=f"sqlite:///{tmp_path}/whole.db")
    parts = f"sqlite:///{tmp_path}/parts.db"
    for _ in range(4):
        study = replace(search).run(trials=2, storage=parts)
    assert [t.params for t in study.trials] == [t.params for t in whole.trials]
    assert [t.state for t in study.trials] == [t.state for t in whole.trials]
    assert [t.values for t in study.trials] == [t.values for t in whole.trials]


def test_a_changed_search_is_refused_with_what_changed(search, url) -> None:
    search.run(trials=1, storage=url)
    with pytest.raises(StudyError, match=r"fidelity.epochs\[1\]: 4 -> 8"):
        replace(search, fidelity=nas.Budget(epochs=(1, 8))).run(storage=url)
    with pytest.raises(StudyError, match="seed: 0 -> 1"):
        replace(search, seed=1).run(storage=url)
    with pytest.raises(StudyError, match="objectives"):
        replace(search, objectives=["accuracy", "parameters"]).run(storage=url)


def test_other_data_under_the_same_name_is_another_search(search, url) -> None:
    search.run(trials=1, storage=url)
    flipped = nas.datasets.ArrayDataModule(X, 1 - Y, batch_size=32)
    with pytest.raises(StudyError, match=r"data\.fingerprint"):
        replace(search, data=flipped).run(storage=url)


def test_the_objective_alone_is_a_plain_optuna_objective(search) -> None:
    study = search.study("sqlite:///:memory:")
    study.optimize(search.objective, n_trials=2)
    assert {t.user_attrs["outcome"] for t in study.trials} <= {"trained", "pruned", "reused"}


@pytest.mark.parametrize("sampler", ["random", "tpe", "gp", "nsga2"])
def test_every_named_sampler_runs_with_pruned_and_rejected_trials(data, url, sampler) -> None:
    search = nas.Search(
        name=sampler,
        space=nas.spaces.MLP(layers=(1, 2), widths=(4, 8, 16)),
        data=data,
        objectives=["accuracy", "flops"],
        constraints=[nas.objectives.Parameters(max=350)],
        fidelity=nas.Budget(epochs=(1, 3)),
        sampler=sampler,
    )
    study = search.run(trials=16, storage=url)
    assert len(study.trials) == 16
    assert not [t for t in study.trials if t.state == TrialState.FAIL]


def fails_at(broken: int, error: Exception):
    def broken_space(trial: optuna.Trial) -> nas.Architecture:
        if trial.number == broken:
            raise error
        return space(trial)

    return broken_space


@pytest.mark.parametrize(
    "error", [RuntimeError("no such operator"), MemoryError("out of memory")], ids=repr
)
def test_an_error_in_one_trial_fails_that_trial_alone(search, url, error) -> None:
    study = replace(search, space=fails_at(1, error)).run(trials=3, storage=url)
    failed = study.trials[1]
    assert failed.state == TrialState.FAIL
    assert failed.user_attrs["outcome"] == "failed"
    assert type(error).__name__ in failed.user_attrs["ended"]
    assert str(error) in failed.user_attrs["ended"]
    assert "Traceback" in failed.user_attrs["traceback"]
    assert study.trials[2].state != TrialState.FAIL


def always(error: str):
    def broken_space(trial: optuna.Trial) -> object:
        trial.suggest_int("x", 0, 9)
        if error == "nothing":
            return None
        if error == "two distributions":
            trial.suggest_int("x", 0, 5)
        if error == "drifting":
            trial.suggest_int("y", 0, 5 + trial.number)
        if error == "wrong outputs":
            return nn.Linear(6, 7)
        return space(trial)

    return broken_space


@pytest.mark.parametrize(
    ("error", "message"),
    [
        ("nothing", r"expected the space to return an Architecture or a torch.nn.Module.*None"),
        ("two distributions", r"expected one distribution.*\"x\""),
        ("drifting", r"expected one distribution for parameter 'y'"),
        ("wrong outputs", r"expected an output of shape \(B, 2\), got \(B, 7\)"),
    ],
)
def test_a_broken_space_is_named_and_ends_the_search(search, url, error, message) -> None:
    broken = replace(search, space=always(error), max_failures=2)
    with pytest.raises(SearchStopped, match="3 failures"):
        broken.run(trials=9, storage=url)
    study = optuna.load_study(study_name="tiny", storage=url)
    assert [t.state for t in study.trials][-3:] == [TrialState.FAIL] * 3
    ended = study.trials[-1].user_attrs["ended"]
    assert ended.startswith("SpaceError")
    assert re.search(message, ended), ended


class Poor(lightning.LightningModule):
    """A module that logs what it is told to."""

    def __init__(self, network: nn.Module, logged: str, loss: float) -> None:
        super().__init__()
        self.network, self.logged, self.loss = network, logged, loss

    def training_step(self, batch, batch_idx):
        x, y = batch
        return nn.functional.cross_entropy(self.network(x), y)

    def validation_step(self, batch, batch_idx):
        self.log(self.logged, self.loss)

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


def logs_other_metric(network: nn.Module) -> Poor:
    return Poor(network, "val_loss", 1.0)


def logs_nan(network: nn.Module) -> Poor:
    return Poor(network, "val_accuracy", math.nan)


def no_module(network: nn.Module) -> nn.Module:
    return network


@pytest.mark.parametrize(
    ("module", "message"),
    [
        (logs_other_metric, "val_accuracy.*val_loss"),
        (no_module, "expected module.* LightningModule"),
    ],
)
def test_a_module_that_does_not_fit_is_named(search, url, module, message) -> None:
    with pytest.raises(SearchStopped, match=message):
        replace(search, module=module, max_failures=1).run(trials=5, storage=url)


def test_a_nan_metric_ends_the_trial_and_not_the_study(search, url) -> None:
    study = replace(search, module=logs_nan, trials=2).run(storage=url)
    assert {t.state for t in study.trials} <= {TrialState.PRUNED, TrialState.FAIL}
    assert all("nan" in t.user_attrs["ended"].lower() for t in study.trials)


def test_equal_failures_in_a_row_stop_the_search_and_others_do_not(search, url) -> None:
    def flaky(trial: optuna.Trial) -> nas.Architecture:
        if trial.number % 2:
            raise RuntimeError("odd")
        return space(trial)

    study = replace(search, space=flaky, max_failures=1).run(trials=6, storage=url)
    assert [t.state == TrialState.FAIL for t in study.trials] == [False, True] * 3


def test_one_search_runs_in_several_storages(search, tmp_path) -> None:
    for name in "ab":
        study = search.run(trials=2, storage=f"sqlite:///{tmp_path}/{name}.db")
        assert not [t for t in study.trials if t.state == TrialState.FAIL]
        assert study.metric_names == ["accuracy (fraction)", "flops (FLOP)"]


def test_a_study_of_something_else_is_not_taken_over(search, url) -> None:
    other = optuna.create_study(study_name="tiny", storage=url, directions=["maximize"] * 2)
    with pytest.raises(StudyError, match="directions"):
        search.run(trials=1, storage=url)
    optuna.delete_study(study_name="tiny", storage=url)
    other = optuna.create_study(
        study_name="tiny", storage=url, directions=["maximize", "minimize"]
    )
    other.add_trial(optuna.create_trial(values=[1.0, 1.0]))
    with pytest.raises(StudyError, match="trials of something else"):
        search.run(trials=1, storage=url)


class Noisy(nas.model.Classifier):
    """Draws random numbers when made, as an auxiliary head does."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__(network)
        self.extra = nn.Linear(1, 1)

    def on_validation_epoch_end(self) -> None:
        super().on_validation_epoch_end()
        self.log("noise", self.extra.weight.item())


def noise(search: nas.Search, url: str) -> list[float]:
    metric = nas.objectives.Metric(name="noise", unit="", direction="maximize", monitor="noise")
    noisy = replace(search, module=Noisy, objectives=[metric, "flops"], pruner="none")
    noisy.run(trials=1, storage=url)
    torch.rand(7)
    return [t.values[0] for t in replace(noisy).run(trials=1, storage=url).trials]


def test_a_training_is_a_function_of_its_seed(search, tmp_path) -> None:
    first = noise(search, f"sqlite:///{tmp_path}/a.db")
    torch.rand(3)
    assert noise(search, f"sqlite:///{tmp_path}/b.db") == first
    assert len(set(first)) == 2


class Patience(lightning.Callback):
    """Stops its second training at once if it remembers the first."""

    trained = 0

    def on_train_epoch_end(self, trainer, module) -> None:
        self.trained += 1
        trainer.should_stop = self.trained > 4


@pytest.mark.parametrize("wrap", [lambda c: c, lambda c: [c]], ids=["one", "list"])
def test_callbacks_start_anew_with_each_trial(search, url, wrap) -> None:
    own = replace(search, trainer={"callbacks": wrap(Patience())}, pruner="none")
    assert {r.epochs for r in records(own.run(trials=3, storage=url))} == {4}


class RandomSplit(lightning.LightningDataModule):
    """A user's module that splits at random, without a seed."""

    splits: list[list[int]] = []

    def setup(self, stage: str) -> None:
        data = torch.utils.data.TensorDataset(torch.tensor(X), torch.tensor(Y))
        self._train, self._valid = torch.utils.data.random_split(data, [80, 40])
        self.splits.append(list(self._valid.indices))

    def train_dataloader(self):
        return torch.utils.data.DataLoader(self._train, 16, shuffle=True)

    def val_dataloader(self):
        return torch.utils.data.DataLoader(self._valid, 64)


def mlp(trial: optuna.Trial) -> nn.Module:
    return nn.Sequential(nn.LazyLinear(trial.suggest_int("width", 2, 99)), nn.LazyLinear(2))


@pytest.mark.filterwarnings("ignore:.*Lazy modules.*", "ignore:.*new feature.*")
def test_a_random_split_of_the_users_is_one_split(search, url) -> None:
    """And lazy modules are known by their sizes, though the data names no outputs."""
    RandomSplit.splits.clear()
    study = replace(search, data=RandomSplit(), space=mlp, pruner="none").run(2, storage=url)
    assert len(RandomSplit.splits) > 2
    assert all(split == RandomSplit.splits[0] for split in RandomSplit.splits)
    for trial in study.trials:
        width = trial.params["width"]
        measured = trial.user_attrs["measurements"]["parameters"]["value"]
        assert measured == 6 * width + width + 2 * width + 2


def test_failures_between_rejections_stop_the_search(search, url) -> None:
    capped = replace(
        search,
        module=logs_other_metric,
        constraints=[nas.objectives.Parameters(max=900)],
        sampler="random",
        max_failures=3,
    )
    with pytest.raises(SearchStopped, match="4 failures"):
        capped.run(trials=40, storage=url)


def test_a_trial_given_up_by_others_does_not_end_the_run(search, url) -> None:
    def robbed(trial: optuna.Trial) -> nas.Architecture:
        architecture = space(trial)
        if trial.number == 1:  # another worker thinks that this one is dead
            storage = trial.study._storage
            storage.set_trial_user_attr(trial._trial_id, "outcome", "lost")
            storage.set_trial_state_values(trial._trial_id, TrialState.FAIL)
        return architecture

    study = replace(search, space=robbed).run(trials=4, storage=url)
    assert [t.state == TrialState.FAIL for t in study.trials] == [False, True, False, False]
    assert study.trials[2].user_attrs["continues"] == 1


@pytest.mark.filterwarnings("ignore")
def test_several_processes_train_one_trial(search, url) -> None:
    """Spawned processes report to the trial in this one, which alone decides and records."""
    told: list[tuple[int, int]] = []
    spawned = replace(
        search,
        objectives=[*search.objectives, nas.objectives.Recall(classes=[0])],
        trainer={"strategy": "ddp", "devices": 2, "accelerator": "cpu"},
        fidelity=nas.Budget(2),
    )
    study = spawned.run(1, storage=url, on_epoch=lambda n, e, values: told.append((n, e)))
    assert [t.user_attrs["ended"] for t in study.trials] == ["trained to the end, 2 epochs"]
    assert told == [(0, 1), (0, 2)]
    assert 0 <= study.trials[0].values[-1] <= 1


def test_a_strategy_that_runs_the_script_again_is_refused(search, url) -> None:
    strategy = DDPStrategy()  # by name, it would be one that the trial can start
    trainer = {"strategy": strategy, "devices": 2, "accelerator": "cpu"}
    relaunching = replace(search, trainer=trainer, max_failures=0)
    with pytest.raises(SearchStopped, match="ddp_spawn"):
        relaunching.run(1, storage=url)


def test_the_tasks_of_slurm_are_workers_and_no_processes_of_one_trial(
    search, url, monkeypatch
) -> None:
    for name, value in {"NTASKS": "8", "JOB_NAME": "nas", "JOB_ID": "1", "PROCID": "3"}.items():
        monkeypatch.setenv(f"SLURM_{name}", value)
    study = search.run(1, storage=url)
    assert study.trials[0].state == TrialState.COMPLETE, study.trials[0].user_attrs["ended"]


class Interrupting(lightning.Callback):
    def on_train_epoch_end(self, trainer, module) -> None:
        raise KeyboardInterrupt


def test_ctrl_c_marks_the_trial_and_the_next_run_takes_it_up_again(search, url) -> None:
    interrupted = replace(search, trainer={"callbacks": [Interrupting()]})
    with pytest.raises(KeyboardInterrupt):
        interrupted.run(trials=3, storage=url)
    study = optuna.load_study(study_name="tiny", storage=url)
    assert [t.state for t in study.trials] == [TrialState.FAIL]
    assert study.trials[0].user_attrs["outcome"] == "interrupted"

    study.set_user_attr("search", search.description)
    study = search.run(trials=2, storage=url)
    assert study.trials[1].user_attrs["continues"] == 0
    assert study.trials[1].params == study.trials[0].params
    assert study.trials[1].state == TrialState.COMPLETE
    seeds = [t.user_attrs["provenance"]["seed"] for t in study.trials]
    assert seeds[0] == seeds[1] != seeds[2]
    assert [record.superseded for record in records(study)] == [True, False, False]


class Sealed(nas.datasets.ArrayDataModule):
    def test_dataloader(self):
        raise AssertionError("the search asked for the test split")

    def setup(self, stage: str) -> None:
        assert stage == "fit", f"the search set up {stage!r}"
        super().setup(stage)


def test_the_search_never_loads_the_test_split(search, url) -> None:
    study = replace(search, data=Sealed(X, Y, batch_size=32)).run(trials=2, storage=url)
    assert not [t for t in study.trials if t.state == TrialState.FAIL]


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"objectives": ["acuracy"]}, "did you mean 'accuracy'"),
        ({"objectives": []}, "at least one objective"),
        ({"objectives": [3]}, "expected an objective"),
        ({"objectives": ["accuracy", nas.objectives.Accuracy()]}, "accuracy twice"),
        ({"sampler": "nsga-2"}, "did you mean 'nsga2'"),
        ({"pruner": "hyperbang"}, "did you mean 'hyperband'"),
        ({"name": ""}, "name"),
        ({"space": 3}, "callable"),
        ({"data": [1, 2]}, "LightningDataModule"),
        ({"max_failures": -1}, "max_failures"),
        ({"trials": -1}, "trials"),
        ({"seed": -1}, "seed"),
        ({"threads": 0}, "threads"),
        ({"pruner": optuna.pruners.MedianPruner()}, "ParetoHyperband"),
    ],
)
def test_a_wrong_description_is_refused_before_anything_runs(search, wrong, message) -> None:
    with pytest.raises(DescriptionError, match=message):
        replace(search, **wrong)


def test_a_space_for_other_inputs_is_refused_before_the_first_trial(search, url) -> None:
    with pytest.raises(DescriptionError, match=r"shape \(6,\).*\(1, 8, 8\)"):
        replace(search, space=nas.spaces.CNN(input_shape=(1, 8, 8))).run(storage=url)


@pytest.mark.parametrize("epochs", [0, (0, 3), (4, 3), "5", (1, 2, 3), (1.5, 3), True])
def test_a_wrong_budget_is_refused(epochs) -> None:
    with pytest.raises(DescriptionError, match="epochs"):
        nas.Budget(epochs=epochs)


def test_a_smoke_form_with_an_unknown_argument_is_refused(search) -> None:
    with pytest.raises(DescriptionError, match="trails"):
        replace(search, smoke={"trails": 3}).as_smoke()
