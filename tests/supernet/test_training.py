"""A supernet is trained once, whatever happens to the process, and never left broken."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from small import Data, Recipe, modules, space

import optuna_nas as nas
from optuna_nas.exceptions import SpaceError, TrainingError
from optuna_nas.objectives import Parameters
from optuna_nas.study import checkpoints
from optuna_nas.supernet import SharedWeights, train

EPOCHS = 6


def new() -> SharedWeights:
    return SharedWeights(space, (6,), 2)


def trained(folder=None, store=None, module=Recipe, **options):
    store = store or new()
    options = {"epochs": EPOCHS, "trainer": {"accelerator": "cpu"}, **options}
    cost = train(store, Data(), module, folder=folder, **options)
    return store, cost


@pytest.fixture
def often(monkeypatch) -> None:
    """Every epoch leaves a checkpoint, however short it is."""
    monkeypatch.setattr(checkpoints, "EVERY_SECONDS", 0.0)
    monkeypatch.setattr(checkpoints, "SHARE", float("inf"))


KILLED = """
import os, signal, sys
import test_training as t

t.checkpoints.EVERY_SECONDS, t.checkpoints.SHARE = 0.0, float("inf")

def die(epoch, values):
    if epoch == 4:
        os.kill(os.getpid(), signal.SIGKILL)

t.trained(sys.argv[1], on_epoch=die)
"""


def test_caps_are_part_of_what_a_training_is_only_where_there_are_any(tmp_path) -> None:
    def file(**options) -> str:
        return trained(tmp_path, epochs=1, **options)[1].file.name

    plain = file()
    assert file(caps=[]) == plain
    loose, tight = (file(caps=[Parameters(max=most)]) for most in (200, 100))
    assert len({plain, loose, tight}) == 3


def test_modules_that_break_a_cap_do_not_learn_either() -> None:
    seen = []

    class Watching(Recipe):
        def training_step(self, batch, batch_idx):
            seen.append(self.network.__dict__["drawn"][0].out_features)
            return super().training_step(batch, batch_idx)

    store = SharedWeights(modules, (6,), 1)  # the data need not say how many outputs there are
    trained(store=store, module=Watching, epochs=2, caps=[Parameters(max=66)])
    assert len(seen) == 16 and set(seen) == {4, 5}


def test_a_killed_training_ends_as_one_left_alone(tmp_path) -> None:
    paths = [str(Path(nas.__file__).parents[1]), str(Path(__file__).parent)]
    done = subprocess.run(
        [sys.executable, "-c", KILLED, str(tmp_path)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert [path.suffix for path in tmp_path.iterdir()] == [".ckpt"]
    seen = []
    store, cost = trained(tmp_path, on_epoch=lambda epoch, values: seen.append(epoch))
    assert seen == [4, 5, 6]
    assert store.fingerprint == trained()[0].fingerprint
    assert [path.suffix for path in tmp_path.iterdir()] == [".pt"]
    assert cost.epochs == EPOCHS
    assert cost.seconds > 0


def test_killed_after_its_last_epoch_it_has_nothing_left_to_train(
    tmp_path, often, monkeypatch
) -> None:
    def die(self, path, **facts) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(SharedWeights, "save", die)
        trained(tmp_path)
    seen = []
    store, _ = trained(tmp_path, on_epoch=lambda epoch, values: seen.append(epoch))
    assert seen == []
    assert store.fingerprint == trained()[0].fingerprint


def test_what_was_trained_is_taken_and_another_training_is_not(tmp_path) -> None:
    first, cost = trained(tmp_path)
    seen = []
    again, told = trained(tmp_path, on_epoch=lambda *_: seen.append(_))
    assert (seen, told) == ([], cost)
    assert again.fingerprint == first.fingerprint
    other, _ = trained(tmp_path, seed=1, on_epoch=lambda *_: seen.append(_))
    assert len(seen) == EPOCHS
    assert other.fingerprint != first.fingerprint
    assert len(list(tmp_path.glob("*.pt"))) == 2


def test_progress_tells_the_mean_loss_of_each_epoch() -> None:
    seen = []
    trained(on_epoch=lambda epoch, values: seen.append((epoch, values["loss"])), epochs=12)
    assert [epoch for epoch, _ in seen] == list(range(1, 13))
    assert seen[-1][1] < seen[0][1]


class Explodes(Recipe):
    """Its loss is no number in step 14: in the fourth epoch of four steps."""

    def training_step(self, batch, batch_idx):
        loss = super().training_step(batch, batch_idx)
        return loss * float("nan") if self.global_step == 14 else loss


class Overflows(Recipe):
    """A weight is infinite after three epochs, though every loss was a number."""

    def on_train_batch_end(self, outputs, batch, batch_idx):
        if self.global_step == 12:
            with torch.no_grad():
                next(self.parameters()).view(-1)[0] = float("inf")


def test_a_loss_that_is_no_number_stops_it_at_the_last_good_checkpoint(tmp_path, often) -> None:
    store = new()
    with pytest.raises(TrainingError, match=r"in step 14 at .*classify.* epoch 3, the last good"):
        trained(tmp_path, store, Explodes)
    whole, good = new(), {}

    class Whole(Explodes):
        def on_train_epoch_start(self):
            if self.current_epoch == 3:
                good.update({k: v.clone() for k, v in whole.state_dict().items()})

        def training_step(self, batch, batch_idx):
            return Recipe.training_step(self, batch, batch_idx)

    trained(None, whole, Whole)
    for key, value in store.state_dict().items():
        assert torch.equal(value, good[key]), key


def test_weights_that_are_no_numbers_are_never_saved(tmp_path, often) -> None:
    store = new()
    with pytest.raises(TrainingError, match=r"after epoch 3, .*classify.* epoch 2, the last good"):
        trained(tmp_path, store, Overflows)
    for key, value in store.state_dict().items():
        assert torch.isfinite(value).all(), key


def test_without_a_checkpoint_it_says_so() -> None:
    with pytest.raises(TrainingError, match="no earlier checkpoint"):
        trained(None, None, Explodes)


def test_a_file_of_something_else_is_refused(tmp_path) -> None:
    trained(tmp_path)
    (file,) = tmp_path.iterdir()
    file.write_bytes(file.read_bytes()[:500])
    with pytest.raises(SpaceError, match=r"expected a file that SharedWeights\.save wrote"):
        trained(tmp_path)
