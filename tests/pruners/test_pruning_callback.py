import math
import os
import pickle
import subprocess
import sys
from pathlib import Path

import optuna
import pytest
import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback
from torch.utils.data import DataLoader, TensorDataset

import optuna_nas as nas
from optuna_nas.exceptions import DescriptionError, NASError, ReportError, TrainingError
from optuna_nas.pruners.callback import PruningCallback, refuse_relaunch
from optuna_nas.pruners.curve import curve

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*does not have many workers.*"),
    pytest.mark.filterwarnings("ignore:.*is smaller than the logging interval.*"),
    pytest.mark.filterwarnings("ignore:.*does not have a.*validation_step.*"),
    pytest.mark.filterwarnings("ignore:.*defined a `validation_step` but have no.*"),
]

QUIET = {
    "accelerator": "cpu",
    "logger": False,
    "enable_checkpointing": False,
    "enable_progress_bar": False,
    "enable_model_summary": False,
}


class Fixed(LightningModule):
    """A network whose logged metrics are given: epoch -> value."""

    def __init__(self, accuracies, extra=None):
        super().__init__()
        self.layer = torch.nn.Linear(2, 1)
        self.accuracies = accuracies
        self.extra = extra or {}

    def training_step(self, batch, index):
        self.log("train_loss", 0.5, on_epoch=True)
        return self.layer(batch[0]).mean()

    def validation_step(self, batch, index):
        self.log("val_accuracy", self.accuracies[self.current_epoch], sync_dist=True)
        for name, value in self.extra.items():
            self.log(name, value, sync_dist=True)

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


class Parting(Callback):
    """Ends the process group: torch sometimes aborts a process that exits with a live one."""

    def teardown(self, trainer, pl_module, stage):
        if torch.distributed.is_initialized():
            trainer.strategy.barrier()
            torch.distributed.destroy_process_group()


class PruneAt(optuna.pruners.BasePruner):
    """Prunes from a step on."""

    def __init__(self, step):
        self.step = step

    def prune(self, study, trial):
        return max(curve(trial, len(study.directions)), default=0) >= self.step


def batches():
    return DataLoader(TensorDataset(torch.zeros(4, 2)), batch_size=1)


def fit(callback, module, **arguments):
    data = {"train_dataloaders": batches(), "val_dataloaders": batches()}
    callbacks = [callback, Parting()]
    trainer = Trainer(**{**QUIET, "devices": 1, "max_epochs": 4, **arguments}, callbacks=callbacks)
    trainer.fit(module, **data)


def make_study(pruner=None, storage=None, names=("accuracy", "latency (ms)")):
    study = optuna.create_study(
        directions=["maximize", "minimize"],
        pruner=pruner or optuna.pruners.NopPruner(),
        storage=storage,
    )
    if names:
        study.set_metric_names(list(names))
    return study


def test_it_reports_every_epoch_but_not_the_sanity_check():
    study = make_study()
    trial = study.ask()
    callback = PruningCallback(trial, "val_accuracy", known={"latency": 3.2})
    fit(callback, Fixed([0.1, 0.2, 0.3, 0.4]), num_sanity_val_steps=2)
    expected = {epoch: (pytest.approx(epoch / 10), 3.2) for epoch in (1, 2, 3, 4)}
    assert curve(study.trials[0], 2) == expected
    assert callback.epochs == 4
    assert callback.metrics == {"accuracy": pytest.approx(0.4), "latency": 3.2}
    callback.check_pruned()


def test_a_network_trained_to_the_end_is_not_thrown_away():
    study = make_study(PruneAt(4))
    callback = PruningCallback(study.ask(), "val_accuracy", known={"latency": 3.2})
    fit(callback, Fixed([0.1, 0.2, 0.3, 0.4]))
    assert not callback.pruned
    assert list(curve(study.trials[0], 2)) == [1, 2, 3, 4]


def test_it_ends_the_fit_of_a_pruned_trial():
    study = make_study(PruneAt(2))
    trial = study.ask()
    callback = PruningCallback(trial, "val_accuracy", known={"latency": 3.2})
    with pytest.raises(optuna.TrialPruned, match="epoch 2"):
        fit(callback, Fixed([0.1, 0.2, 0.3, 0.4]))
    assert callback.pruned
    assert list(curve(study.trials[0], 2)) == [1, 2]


def test_it_serves_a_study_of_one_objective():
    study = optuna.create_study(direction="maximize", pruner=PruneAt(3))
    trial = study.ask()
    with pytest.raises(optuna.TrialPruned, match="epoch 3"):
        fit(PruningCallback(trial, "val_accuracy"), Fixed([0.1, 0.2, 0.3, 0.4]))
    assert list(study.trials[0].intermediate_values) == [1, 2, 3]


def test_it_reports_the_epochs_that_were_validated():
    study = make_study()
    trial = study.ask()
    callback = PruningCallback(trial, "val_accuracy", known={"latency": 1.0})
    fit(callback, Fixed([0.1, 0.2, 0.3, 0.4, 0.5, 0.6]), max_epochs=6, check_val_every_n_epoch=3)
    assert list(curve(study.trials[0], 2)) == [3, 6]


def test_several_validations_an_epoch_are_one_report():
    study = make_study()
    trial = study.ask()
    callback = PruningCallback(trial, "val_accuracy", known={"latency": 1.0})
    fit(callback, Fixed([0.1, 0.2]), max_epochs=2, val_check_interval=0.5)
    assert list(curve(study.trials[0], 2)) == [1, 2]


def test_without_validation_it_reports_what_training_logs():
    study = make_study()
    callback = PruningCallback(study.ask(), "train_loss_epoch", known={"latency": 1.0})
    fit(callback, Fixed([]), limit_val_batches=0, max_epochs=2)
    assert list(curve(study.trials[0], 2).values()) == [(0.5, 1.0), (0.5, 1.0)]


def test_a_metric_that_is_never_logged_is_an_error_that_lists_those_that_are():
    callback = PruningCallback(make_study().ask(), "val_acc", known={"latency": 1.0})
    with pytest.raises(TrainingError, match=r"val_acc.*train_loss.*val_accuracy"):
        fit(callback, Fixed([0.1]), max_epochs=1)


def test_nan_is_reported_and_the_pruner_judges_it():
    study = make_study(nas.pruners.ParetoSuccessiveHalving(2, 2))
    callback = PruningCallback(study.ask(), "val_accuracy", known={"latency": 1.0})
    with pytest.raises(optuna.TrialPruned, match="epoch 2"):
        fit(callback, Fixed([math.nan] * 4))


@pytest.mark.parametrize(
    "monitor",
    ["val_accuracy", ["val_accuracy"], {"accuracy": "val_accuracy"}],
    ids=["name", "list", "mapping"],
)
def test_a_monitor_fills_the_objective_that_is_not_known(monitor):
    study = make_study(names=("latency (ms)", "accuracy"))
    callback = PruningCallback(study.ask(), monitor, known={"latency (ms)": 7.0})
    fit(callback, Fixed([0.5]), max_epochs=1)
    assert curve(study.trials[0], 2) == {1: (7.0, 0.5)}


def test_a_monitor_named_as_an_objective_fills_it():
    study = make_study(names=("error", "latency (ms)"))
    callback = PruningCallback(study.ask(), ["latency", "val_accuracy"])
    fit(callback, Fixed([0.5], extra={"latency": 2.0}), max_epochs=1)
    assert curve(study.trials[0], 2) == {1: (0.5, 2.0)}


def test_without_metric_names_monitors_come_before_what_is_known():
    study = make_study(names=None)
    callback = PruningCallback(study.ask(), "val_accuracy", known={"latency": 7.0})
    fit(callback, Fixed([0.5]), max_epochs=1)
    assert curve(study.trials[0], 2) == {1: (0.5, 7.0)}


@pytest.mark.parametrize(
    ("monitor", "known"),
    [
        ("val_accuracy", None),
        (["val_accuracy", "val_loss"], {"latency": 1.0}),
        ("val_accuracy", {"energy": 1.0}),
        ({"accuracy": "val_accuracy", "latency": "ms"}, {"latency": 1.0}),
    ],
)
def test_monitors_that_do_not_fill_the_objectives_are_refused_at_once(monitor, known):
    with pytest.raises((ReportError, DescriptionError), match="expected"):
        PruningCallback(make_study().ask(), monitor, known=known)


def test_a_fixed_trial_is_never_pruned():
    callback = PruningCallback(optuna.trial.FixedTrial({}), "val_accuracy")
    fit(callback, Fixed([0.1, 0.2, 0.3, 0.4]))
    assert callback.epochs == 4


def test_a_strategy_that_relaunches_the_script_is_refused():
    trainer = Trainer(**QUIET, strategy="ddp", devices=2)
    with pytest.raises(DescriptionError, match="ddp_spawn"):
        refuse_relaunch(trainer)
    refuse_relaunch(Trainer(**QUIET, devices=1))
    refuse_relaunch(Trainer(**QUIET, strategy="ddp_spawn", devices=2))


def test_a_pickled_callback_judges_through_the_process_that_made_it():
    study = make_study(PruneAt(2))
    callback = PruningCallback(study.ask(), "val_accuracy", known={"latency": 1.0})
    copy = pickle.loads(pickle.dumps(callback))
    values = {"accuracy": 0.5, "latency": 1.0}
    assert not copy._judge(1, values, True)
    assert copy._judge(2, values, True)
    assert callback.pruned and callback.epochs == 2
    with pytest.raises(NASError, match="expected"):
        copy._judge(3, {"accuracy": 0.5}, True)


@pytest.fixture(params=["in memory", "sqlite"])
def any_storage(request, tmp_path):
    if request.param == "in memory":
        return optuna.storages.InMemoryStorage()
    return optuna.storages.RDBStorage(f"sqlite:///{tmp_path / 'study.db'}")


@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::DeprecationWarning")
def test_spawned_processes_prune_together(any_storage):
    study = make_study(PruneAt(2), any_storage)
    trial = study.ask()
    callback = PruningCallback(trial, "val_accuracy", known={"latency": 3.2})
    fit(callback, Fixed([0.1, 0.2, 0.3, 0.4]), strategy="ddp_spawn", devices=2)
    with pytest.raises(optuna.TrialPruned, match="epoch 2"):
        callback.check_pruned()
    reported = {1: (pytest.approx(0.1), 3.2), 2: (pytest.approx(0.2), 3.2)}
    assert curve(study.trials[0], 2) == reported


TORCHRUN = """
import os
import sys
import optuna
import optuna_nas as nas
from test_pruning_callback import Fixed, PruneAt, fit, make_study

rank = os.environ["RANK"]
trial = make_study(PruneAt(2), sys.argv[1]).ask() if rank == "0" else None
callback = nas.PruningCallback(trial, monitor="val_accuracy", known={"latency": 3.2})
fit(callback, Fixed([0.1, 0.2, 0.3, 0.4]), strategy="ddp", devices=2)
try:
    callback.check_pruned()
except optuna.TrialPruned as pruned:
    open(f"{sys.argv[2]}/rank{rank}", "w").write(str(pruned))
"""


def test_torchrun_prunes_every_rank_and_rank_zero_alone_writes(tmp_path):
    script, storage = tmp_path / "script.py", f"sqlite:///{tmp_path / 'study.db'}"
    script.write_text(TORCHRUN)
    package = Path(nas.__file__).parents[1]
    paths = os.pathsep.join([str(package), str(Path(__file__).parent)])
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    done = subprocess.run(
        [*torchrun, "--nproc-per-node", "2", str(script), storage, str(tmp_path)],
        env={**os.environ, "PYTHONPATH": paths},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert [(tmp_path / f"rank{i}").read_text() for i in (0, 1)] == ["pruned after epoch 2"] * 2
    (name,) = optuna.get_all_study_names(storage)
    (trial,) = optuna.load_study(study_name=name, storage=storage).trials
    assert list(curve(trial, 2)) == [1, 2]
