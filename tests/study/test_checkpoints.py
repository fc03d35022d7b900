"""A network taken up again goes on from its checkpoint, and ends as if it had never stopped."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import lightning
import numpy as np
import optuna
import pytest
import torch
from lightning.pytorch.callbacks import EarlyStopping
from optuna.storages import InMemoryStorage, RDBStorage
from optuna.trial import TrialState
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import optuna_nas as nas
from optuna_nas.exceptions import DescriptionError
from optuna_nas.study import checkpoints
from optuna_nas.study.folder import folder_of
from optuna_nas.study.lease import LEASE, requeue

EPOCHS = 5
NAMES = ("accuracy", "weights")
X = torch.randn(96, 6, generator=torch.Generator().manual_seed(0))
Y = (X[:, 0] + X[:, 1] > 0).long()


class Data(lightning.LightningDataModule):
    """A user's data: shuffled by the global generator, or by one of the loader's own."""

    outputs = 2
    own_generator = False

    def setup(self, stage):
        self.train, self.valid = TensorDataset(X[:64], Y[:64]), TensorDataset(X[64:], Y[64:])

    def train_dataloader(self):
        own = torch.Generator().manual_seed(3) if self.own_generator else None
        return DataLoader(self.train, 16, shuffle=True, generator=own)

    def val_dataloader(self):
        return DataLoader(self.valid, 32)


class OwnGenerator(Data):
    own_generator = True


class Recipe(lightning.LightningModule):
    """A user's module with everything that a checkpoint may forget."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network, self.dropout = network, nn.Dropout(0.3)

    def training_step(self, batch, batch_idx):
        x = batch[0] + 0.1 * float(np.random.normal()) * torch.randn_like(batch[0])
        return nn.functional.cross_entropy(self.network(self.dropout(x)), batch[1])

    def on_train_epoch_end(self):
        with torch.no_grad():  # what comes after the pruner has judged
            next(self.network.parameters()).mul_(0.99)

    def validation_step(self, batch, batch_idx):
        weights = torch.cat([p.flatten() for p in self.network.parameters()])
        self.log("val_accuracy", (self.network(batch[0]).argmax(1) == batch[1]).float().mean())
        self.log("val_weights", weights.norm())

    def configure_optimizers(self):
        optimizer = torch.optim.Adam(self.parameters(), lr=0.05)
        schedule = torch.optim.lr_scheduler.ReduceLROnPlateau(
            optimizer, "min", factor=0.5, patience=0, threshold=1.0
        )
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": schedule, "monitor": "val_weights"},
        }


def space(trial: optuna.Trial) -> nn.Module:
    width = trial.suggest_int("width", 4, 9)
    return nn.Sequential(nn.Linear(6, width), nn.BatchNorm1d(width), nn.Linear(width, 2))


WEIGHTS = nas.objectives.Metric(
    name="weights", unit="", direction="minimize", monitor="val_weights"
)


@pytest.fixture
def search() -> nas.Search:
    return described()


def described(**changes) -> nas.Search:
    return nas.Search(
        name="saved",
        space=space,
        data=Data(),
        module=Recipe,
        objectives=["accuracy", WEIGHTS],
        fidelity=nas.Budget(epochs=(1, EPOCHS)),
        sampler="predictor",
        pruner=nas.pruners.FreezeThaw([2, 4]),
        **changes,
    )


@pytest.fixture
def url(tmp_path) -> str:
    return f"sqlite:///{tmp_path}/s.db"


@pytest.fixture
def folder(tmp_path) -> Path:
    return tmp_path / "saved.checkpoints"


@pytest.fixture
def often(monkeypatch) -> None:
    """Every epoch leaves a checkpoint, however short it is."""
    monkeypatch.setattr(checkpoints, "EVERY_SECONDS", 0.0)
    monkeypatch.setattr(checkpoints, "SHARE", float("inf"))


def run(search: nas.Search, url, **attributes) -> optuna.trial.FrozenTrial:
    """One more trial of the same network."""
    study = search.study(url)
    study.enqueue_trial({"width": 7}, user_attrs=attributes)
    return search.run(trials=1, storage=study._storage).trials[-1]


def in_one_go(search: nas.Search) -> optuna.trial.FrozenTrial:
    return run(replace(search, pruner="none", checkpoints=None), InMemoryStorage())


def last(trial: optuna.trial.FrozenTrial, epoch: int = EPOCHS) -> list[float]:
    return nas.pruners.curve(trial, 2)[epoch]


@pytest.mark.parametrize("data", [Data, OwnGenerator])
@pytest.mark.parametrize("threads", [0, 1], ids=["no worker", "one worker"])
def test_a_paused_network_ends_as_one_trained_in_one_go(
    search, url, folder, data, threads, monkeypatch
) -> None:
    if threads:
        monkeypatch.setattr(Data, "train_dataloader", with_worker)
    search = replace(search, data=data())
    whole = in_one_go(search)
    first = run(search, url)
    assert first.state == TrialState.PRUNED
    assert first.user_attrs["spent"]["epochs"] == 2
    assert [path.suffix for path in folder.iterdir()] == [".ckpt"]
    second = run(replace(search), url, continues=0)
    assert second.user_attrs["resumed"] == {"epochs": 2}
    assert second.user_attrs["spent"]["epochs"] == 2
    third = run(replace(search), url, continues=1)
    assert third.state == TrialState.COMPLETE
    assert third.user_attrs["spent"]["epochs"] == 1
    assert third.user_attrs["ended"] == "trained to the end, 5 epochs"
    curves = {epoch: last(whole, epoch) for epoch in range(1, EPOCHS + 1)}
    parts = [nas.pruners.curve(trial, 2) for trial in (first, second, third)]
    assert parts == [{e: curves[e] for e in epochs} for epochs in [(1, 2), (3, 4), (5,)]]
    assert third.values == whole.values
    assert not folder.exists()


def with_worker(self):
    own = torch.Generator().manual_seed(3) if self.own_generator else None
    return DataLoader(self.train, 16, shuffle=True, generator=own, num_workers=1)


@pytest.mark.parametrize("workers", [0, 1])
def test_our_own_data_goes_on_in_its_order(search, url, workers) -> None:
    data = nas.datasets.ArrayDataModule(X.numpy(), Y.numpy(), batch_size=16, num_workers=workers)
    search = replace(search, data=data, pruner=nas.pruners.FreezeThaw([2]))
    run(search, url)
    assert run(search, url, continues=0).values == in_one_go(search).values


class Stop(lightning.Callback):
    """Ends the first training that it is told to."""

    at: int | None = None
    how = staticmethod(lambda: None)

    def on_train_epoch_start(self, trainer, module) -> None:
        if trainer.current_epoch == Stop.at:
            Stop.at = None
            Stop.how()


def interrupt() -> None:
    raise KeyboardInterrupt


@pytest.fixture
def plain(search) -> nas.Search:
    """A search that pauses nothing."""
    return replace(search, pruner="none", sampler="nsga2", trainer={"callbacks": [Stop()]})


KILLED = """
import json, os, sys
import test_checkpoints as t

t.checkpoints.EVERY_SECONDS, t.checkpoints.SHARE = 0.0, float("inf")
t.Stop.at, t.Stop.how = 3, lambda: os._exit(9)
t.run(t.plain.__wrapped__(t.described(**json.loads(sys.argv[2]))), sys.argv[1])
"""


def killed_elsewhere(url: str, **changes: str) -> None:
    """Have another process run `plain`, and die after three epochs of its first trial."""
    paths = os.pathsep.join([str(Path(nas.__file__).parents[1]), str(Path(__file__).parent)])
    done = subprocess.run(
        [sys.executable, "-c", KILLED, url, json.dumps(changes)],
        env={**os.environ, "PYTHONPATH": paths},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 9, done.stderr


def test_a_killed_training_goes_on_where_it_was_last_saved(plain, url, folder) -> None:
    killed_elsewhere(url)
    assert [path.suffix for path in folder.iterdir()] == [".ckpt"]
    lost, again = plain.run(trials=1, storage=url).trials
    assert lost.user_attrs["outcome"] == "lost"
    assert again.user_attrs["continues"] == 0
    assert again.user_attrs["resumed"] == {"epochs": 3}
    assert again.user_attrs["spent"]["epochs"] == 2
    assert again.values == in_one_go(plain).values
    assert not folder.exists()


@pytest.fixture
def stopped(plain, url, often, monkeypatch) -> nas.Search:
    """A search whose first trial was interrupted after two epochs."""
    monkeypatch.setattr(Stop, "how", interrupt)
    Stop.at = 2
    with pytest.raises(KeyboardInterrupt):
        run(plain, url)
    return plain


def test_an_interrupted_training_goes_on(stopped, url, folder) -> None:
    first, again = stopped.run(trials=1, storage=url).trials
    assert first.user_attrs["spent"]["epochs"] == 2
    assert again.user_attrs["resumed"] == {"epochs": 2}
    assert again.values == in_one_go(stopped).values


class Tuned(Recipe):
    """Notes what it is made with, and how large its batches are."""

    seen: list[tuple[float, int]] = []

    def __init__(self, network: nn.Module, dropout: float = 0.3) -> None:
        super().__init__(network)
        self.dropout = nn.Dropout(dropout)

    def training_step(self, batch, batch_idx):
        if batch_idx == 0:
            self.seen.append((self.dropout.p, len(batch[0])))
        return super().training_step(batch, batch_idx)


@pytest.mark.parametrize(("reached", "saved"), [(1, 1), (2, 2), (3, 2), (4, 4)])
def test_no_more_than_half_of_a_training_is_lost_however_short_it_is(
    plain, url, folder, monkeypatch, reached: int, saved: int
) -> None:
    """Rungs lie a factor of two apart or more, so no more than what lies between two of them."""
    monkeypatch.setattr(checkpoints, "EVERY_SECONDS", float("inf"))
    monkeypatch.setattr(checkpoints, "DOUBLED_SECONDS", 0.0)
    monkeypatch.setattr(checkpoints, "DOUBLED_SHARE", float("inf"))
    monkeypatch.setattr(Stop, "how", interrupt)
    Stop.at = reached
    with pytest.raises(KeyboardInterrupt):
        run(plain, url)
    again = plain.run(trials=1, storage=url).trials[-1]
    assert again.user_attrs["resumed"] == {"epochs": saved}
    assert again.values == in_one_go(plain).values
    assert not folder.exists()


@pytest.mark.parametrize("pruned", [False, True])
def test_what_was_trained_but_not_told_is_told_and_not_trained_again(
    plain, url, folder, monkeypatch, pruned: bool
) -> None:
    """Its checkpoint is gone by then."""
    if pruned:
        pruner = nas.pruners.ParetoSuccessiveHalving(2, 2, bootstrap_count=5)
        plain = replace(plain, pruner=pruner)
    study = plain.study(url)

    def killed(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(optuna.Study, "tell", killed)
        with pytest.raises(KeyboardInterrupt):
            plain.run(trials=1, storage=url)
    (trial,) = study.trials
    assert trial.state == TrialState.RUNNING and not folder.exists()
    held = {**trial.system_attrs[LEASE], "pid": 2**22 + 1}
    study._storage.set_trial_system_attr(trial._trial_id, LEASE, held)
    assert requeue(study) == []
    (trial,) = study.trials
    assert trial.state == (TrialState.PRUNED if pruned else TrialState.COMPLETE)
    found = [trial.user_attrs["measurements"].get(n, {}).get("value") for n in NAMES]
    assert trial.values == (None if pruned else found)


def test_an_interrupted_training_goes_on_with_its_hyperparameters(
    plain, url, often, monkeypatch
) -> None:
    joint = nas.spaces.Joint(
        space, dropout=optuna.distributions.FloatDistribution(0.1, 0.5), batch_size=(8, 24, 32)
    )
    data = nas.datasets.ArrayDataModule(X.numpy(), Y.numpy(), batch_size=16)
    search = replace(plain, space=joint, data=data, module=Tuned)
    params = {"width": 7, "training.dropout": 0.2, "training.batch_size_index": 1}
    monkeypatch.setattr(Stop, "how", interrupt)
    Stop.at = 2
    study = search.study(url)
    study.enqueue_trial(params)
    Tuned.seen.clear()
    with pytest.raises(KeyboardInterrupt):
        search.run(trials=1, storage=url)
    first, again = search.run(trials=1, storage=url).trials
    assert again.params == first.params == params
    assert again.user_attrs["resumed"] == {"epochs": 2}
    assert Tuned.seen == [(0.2, 24)] * EPOCHS
    whole = replace(search, checkpoints=None)
    study = whole.study(InMemoryStorage())
    study.enqueue_trial(params)
    assert whole.run(trials=1, storage=study._storage).trials[-1].values == again.values


@pytest.mark.parametrize(
    "damage", [lambda b: b[: len(b) // 2], lambda b: b"", lambda b: b[:900] + b"x" + b[901:]]
)
def test_a_damaged_checkpoint_means_training_from_the_start(
    stopped, url, folder, caplog, damage
) -> None:
    (path,) = folder.iterdir()
    path.write_bytes(damage(path.read_bytes()))
    again = stopped.run(trials=1, storage=url).trials[-1]
    assert "is damaged" in caplog.text and "from the start" in caplog.text
    assert again.user_attrs["resumed"]["epochs"] == 0
    assert "is damaged" in again.user_attrs["resumed"]["reason"]
    assert again.user_attrs["spent"]["epochs"] == EPOCHS
    assert again.values == in_one_go(stopped).values


def test_a_checkpoint_of_another_training_is_not_taken(stopped, url, folder, caplog) -> None:
    (path,) = folder.iterdir()
    stored = torch.load(path, weights_only=False)
    stored[checkpoints.KEY]["training"] = "another"
    torch.save(stored, path)
    again = stopped.run(trials=1, storage=url).trials[-1]
    assert "another training" in again.user_attrs["resumed"]["reason"]


def test_a_checkpoint_that_cannot_be_read_now_is_kept(stopped, url, folder, monkeypatch) -> None:
    def stale(*_: object, **__: object) -> None:
        raise OSError("stale file handle")

    with monkeypatch.context() as patch:
        patch.setattr(checkpoints, "ZipFile", stale)
        trial = stopped.run(trials=1, storage=url).trials[-1]
    assert trial.user_attrs["outcome"] == "interrupted"
    assert list(folder.glob("*.ckpt"))
    again = stopped.run(trials=1, storage=url).trials[-1]
    assert again.user_attrs["resumed"]["epochs"] > 0
    assert again.values == in_one_go(stopped).values


def test_two_that_take_up_the_same_network_train_it_once(stopped, url) -> None:
    study = stopped.study(url)
    lost = next(t for t in study.trials if t.user_attrs.get("outcome") == "interrupted")
    for _ in range(2):
        study.enqueue_trial(lost.params, user_attrs={"continues": lost.number})
    first, second = stopped.run(trials=2, storage=url).trials[-2:]
    assert first.user_attrs["outcome"] == "trained"
    assert second.user_attrs["reused_from"] == first.number
    assert second.values == first.values


def test_a_checkpoint_that_is_elsewhere_is_told_in_the_record(stopped, url, tmp_path) -> None:
    moved = replace(stopped, checkpoints=tmp_path / "elsewhere")
    again = moved.run(trials=1, storage=url).trials[-1]
    assert "no checkpoint" in again.user_attrs["resumed"]["reason"]
    assert str(tmp_path / "elsewhere") in again.user_attrs["resumed"]["reason"]
    assert again.user_attrs["spent"]["epochs"] == EPOCHS


def test_a_process_killed_while_it_saves_leaves_the_checkpoint_before(
    plain, url, folder, often, monkeypatch
) -> None:
    moved = []

    def replace_once(source, target):
        if moved:
            raise KeyboardInterrupt
        moved.append(os.rename(source, target))

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", replace_once)
        with pytest.raises(KeyboardInterrupt):
            run(plain, url)
    assert sorted(path.suffix for path in folder.iterdir()) == [".ckpt", ".part"]
    again = plain.run(trials=1, storage=url).trials[-1]
    assert again.user_attrs["resumed"] == {"epochs": 1}
    assert again.values == in_one_go(plain).values
    assert not folder.exists()


class Slow(nas.objectives.Metric):
    """An objective after training, at which the user may lose patience."""

    impatient = False

    def __call__(self, candidate):
        if Slow.impatient:
            Slow.impatient = False
            raise KeyboardInterrupt
        return super().__call__(candidate)


def test_what_was_trained_to_its_end_is_only_measured(plain, url, often) -> None:
    slow = Slow(name="weights", unit="", direction="minimize", monitor="val_weights")
    search = replace(plain, objectives=["accuracy", slow])
    Slow.impatient = True
    with pytest.raises(KeyboardInterrupt):
        run(search, url)
    again = search.run(trials=1, storage=url).trials[-1]
    assert again.user_attrs["spent"]["epochs"] == 0
    assert again.user_attrs["ended"] == "trained to the end, 5 epochs"
    assert again.values == in_one_go(search).values


def test_what_stopped_by_itself_stays_stopped(plain, url, often) -> None:
    early = EarlyStopping("val_weights", mode="max", patience=1, min_delta=1e9)
    slow = Slow(name="weights", unit="", direction="minimize", monitor="val_weights")
    search = replace(plain, objectives=["accuracy", slow], trainer={"callbacks": [early]})
    Slow.impatient = True
    with pytest.raises(KeyboardInterrupt):
        run(search, url)
    again = search.run(trials=1, storage=url).trials[-1]
    assert again.user_attrs["resumed"] == {"epochs": 2}
    assert again.user_attrs["spent"]["epochs"] == 0


class Failing(lightning.Callback):
    def on_train_epoch_start(self, trainer, module) -> None:
        if trainer.current_epoch == 2:
            raise RuntimeError("its own fault")


@pytest.mark.parametrize(
    "change",
    [
        {"trainer": {"callbacks": [Failing()]}},
        {"pruner": nas.pruners.ParetoSuccessiveHalving(2, 2, bootstrap_count=5)},
    ],
    ids=["failed", "pruned"],
)
def test_what_is_not_taken_up_again_leaves_no_checkpoint(
    plain, url, folder, often, change
) -> None:
    trial = run(replace(plain, **change), url)
    assert trial.user_attrs["outcome"] in ("failed", "pruned")
    assert trial.user_attrs["spent"]["epochs"] == 2
    assert not folder.exists()


def test_short_trainings_save_nothing_but_what_is_paused(plain, url, monkeypatch) -> None:
    saved = []
    monkeypatch.setattr(checkpoints, "DOUBLED_SECONDS", 60.0)
    monkeypatch.setattr(lightning.Trainer, "save_checkpoint", lambda *_: saved.append(1))
    run(plain, url)
    assert not saved


class Unpicklable(lightning.Callback):
    def state_dict(self):
        return {"lock": (lambda: None)}


def test_a_state_that_cannot_be_saved_stops_no_training(plain, url, often, caplog) -> None:
    search = replace(plain, trainer={"callbacks": [Unpicklable()]})
    assert run(search, url).state == TrialState.COMPLETE
    assert "cannot save" in caplog.text


@pytest.mark.parametrize("off", [None, False])
def test_checkpoints_can_be_left_out(search, url, folder, off) -> None:
    search = replace(search, checkpoints=off)
    run(search, url)
    again = run(search, url, continues=0)
    assert again.user_attrs["spent"]["epochs"] == 4
    assert not folder.exists()


def test_the_folder_follows_the_storage(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    beside = RDBStorage(f"sqlite:///{tmp_path}/deep.db")
    assert folder_of(True, "a/b", beside) == tmp_path / "a_b.checkpoints"
    assert folder_of("here", "a", beside) == Path("here")
    assert folder_of(None, "a", beside) is folder_of(False, "a", beside) is None
    journal = optuna.storages.JournalStorage(
        optuna.storages.journal.JournalFileBackend(str(tmp_path / "a.journal"))
    )
    assert folder_of(True, "a", journal) == tmp_path / "a.checkpoints"


def test_a_study_in_memory_takes_its_checkpoints_along() -> None:
    memory = InMemoryStorage()
    temporary = folder_of(True, "a", memory)
    assert temporary == folder_of(True, "b", memory) != folder_of(True, "a", InMemoryStorage())
    assert temporary.is_dir()
    del memory
    assert not temporary.exists()


def test_a_wrong_folder_is_refused(search) -> None:
    with pytest.raises(DescriptionError, match="expected checkpoints as a folder"):
        replace(search, checkpoints=3)
