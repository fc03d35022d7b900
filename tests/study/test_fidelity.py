"""Budgets: the ladder, and trainings that climb it."""

import math
from dataclasses import replace
from itertools import islice

import lightning
import numpy as np
import optuna
import pytest
import torch
from lightning.pytorch.callbacks import EarlyStopping
from optuna.storages import InMemoryStorage
from optuna.trial import TrialState
from torch import nn
from torch.utils.data import DataLoader, TensorDataset, WeightedRandomSampler

import optuna_nas as nas
from optuna_nas.exceptions import DataError, DescriptionError
from optuna_nas.spaces.draws import random_trials
from optuna_nas.study.fidelity import expect_sizes
from optuna_nas.study.loaders import Rounds, TimedRounds, part_of

X = torch.rand(100, 1, 8, 8, generator=torch.Generator().manual_seed(0))
Y = (X.mean((1, 2, 3)) > 0.5).long()


def test_the_ladder_rises_geometrically_and_is_full_before_its_end() -> None:
    budget = nas.Budget(epochs=(1, 27), resolution=(16, 32), data=(0.125, 1.0))
    assert budget.rungs == (1, 3, 9, 27)
    assert [budget.scale(epoch) * 32 for epoch in (1, 2, 3, 4, 9, 10, 27)] == pytest.approx(
        [16, 20, 20, 25, 25, 32, 32]
    )
    assert [budget.share(epoch) for epoch in (1, 3, 9, 27)] == pytest.approx(
        [1 / 8, 1 / 4, 1 / 2, 1]
    )


def test_a_duration_in_steps_or_seconds_is_divided_by_its_first() -> None:
    steps = nas.Budget(steps=(100, 2700))
    assert (steps.min_epochs, steps.max_epochs, steps.length) == (1, 27, 100)
    seconds = nas.Budget(seconds=(0.5, 4.5))
    assert (seconds.min_epochs, seconds.max_epochs, seconds.length) == (1, 9, 0.5)
    assert nas.Budget(steps=50).max_epochs == 1
    assert nas.Budget() == nas.Budget(epochs=(1, 9)) == nas.Budget((1, 9))
    assert nas.Budget((2, 7)).rungs == (2, 6, 7)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"epochs": 3, "steps": 100}, "one of epochs, steps and seconds, got epochs and steps"),
        ({"steps": (100, 250)}, "multiple"),
        ({"steps": (0, 100)}, "steps"),
        ({"steps": 1.5}, "whole numbers"),
        ({"seconds": 0}, "seconds"),
        ({"seconds": (5.0, 2.0)}, "first <= last"),
        ({"seconds": (1.0, math.inf)}, "seconds"),
        ({"seconds": (math.nan, 1.0)}, "seconds"),
        ({"data": 0.5}, r"data=\(first, last\)"),
        ({"data": (0.0, 1.0)}, "data"),
        ({"data": (0.1, 0.9)}, "all data in the end"),
        ({"width": 0.5}, r"width=\(first, last\)"),
        ({"width": (0.25, 0.5)}, "as wide as they are in the end"),
        ({"epochs": 9, "width": (0.5, 1.0)}, "first < last beside width"),
        ({"resolution": (32, 16)}, "first <= last"),
        ({"resolution": 16}, "resolution"),
        ({"resolution": (0, 16)}, "resolution"),
        ({"epochs": 9, "resolution": (16, 32)}, "first < last beside resolution"),
        ({"steps": 9, "data": (0.1, 1.0)}, "first < last beside data"),
    ],
)
def test_nonsense_is_refused(wrong, message) -> None:
    with pytest.raises(DescriptionError, match=message):
        nas.Budget(**wrong)


def numbers(loader) -> list[int]:
    return [int(i) for batch in loader for i in batch[0]]


def counted(size: int = 50, **options) -> DataLoader:
    return DataLoader(TensorDataset(torch.arange(size)), **{"batch_size": 8, **options})


def test_a_smaller_share_is_part_of_a_greater_one() -> None:
    shares = [numbers(part_of(counted(), share, 1)) for share in (0.1, 0.3, 1.0)]
    assert [len(share) for share in shares] == [5, 15, 50]
    assert set(shares[0]) < set(shares[1]) < set(shares[2])
    assert numbers(part_of(counted(), 0.3, 1)) == shares[1] != numbers(part_of(counted(), 0.3, 2))


def test_a_share_keeps_how_samples_are_drawn() -> None:
    shuffled = part_of(counted(shuffle=True), 0.5, 0)
    first, second = numbers(shuffled), numbers(shuffled)
    assert first != second and sorted(first) == sorted(second)
    weighted = WeightedRandomSampler([1.0] * 25 + [0.0] * 25, 30)
    drawn = numbers(part_of(counted(sampler=weighted), 0.4, 0))
    assert len(drawn) == 12 and max(drawn) < 25


def test_no_last_batch_of_a_share_is_a_single_sample() -> None:
    assert [len(batch[0]) for batch in part_of(counted(), 17 / 50, 0)] == [8, 8, 2]


@pytest.mark.parametrize(
    ("loader", "message"),
    [
        ([counted(), counted()], "one DataLoader"),
        (counted(batch_size=None), "batch_size"),
        (counted(drop_last=True), "smallest share"),
        (counted(sampler=WeightedRandomSampler([0.0] * 49 + [1.0], 9)), "got none"),
    ],
)
def test_loaders_that_have_no_share_are_refused(loader, message) -> None:
    with pytest.raises(DataError, match=message):
        numbers(part_of(loader, 0.1, 0))


def test_rounds_go_on_where_the_last_one_ended_and_can_be_taken_up_again() -> None:
    torch.manual_seed(0)
    rounds = Rounds(counted(20, shuffle=True, batch_size=4), 3)
    assert len(rounds) == 3
    drawn = [numbers(rounds) for _ in range(3)]
    assert sorted([*drawn[0], *drawn[1][:8]]) == list(range(20))
    state, random = rounds.state(), torch.get_rng_state()
    expected = [numbers(rounds) for _ in range(4)]
    again = Rounds(counted(20, shuffle=True, batch_size=4), 3)
    torch.manual_seed(5)
    again.restore(state)
    torch.set_rng_state(random)
    assert [numbers(again) for _ in range(4)] == expected


def test_timed_rounds_end_with_their_time() -> None:
    now = iter(range(100))
    rounds = TimedRounds(counted(20, batch_size=4), 2, lambda: next(now))
    assert [numbers(rounds) for _ in range(2)] == [list(range(8)), list(range(8, 16))]


@pytest.mark.parametrize("wrong", [[counted(), counted()], 3, counted(0)])
def test_rounds_of_no_loader_are_refused(wrong) -> None:
    with pytest.raises(DataError, match="expected"):
        list(Rounds(wrong, 2))


class Data(lightning.LightningDataModule):
    outputs = 2

    def setup(self, stage):
        self.train, self.valid = TensorDataset(X[:64], Y[:64]), TensorDataset(X[64:], Y[64:])

    def train_dataloader(self):
        return DataLoader(self.train, 16, shuffle=True)

    def val_dataloader(self):
        return DataLoader(self.valid, 64)


SEEN: list[tuple[bool, int, int]] = []


class Watch(nn.Module):
    """Notes what reaches the network: whether in training, how many images, of which side."""

    def forward(self, x):
        SEEN.append((self.training, len(x), x.shape[-1]))
        return x


def space(trial: optuna.Trial) -> nn.Module:
    width = trial.suggest_int("width", 2, 6)
    convolution = nn.Sequential(nn.Conv2d(1, width, 3), nn.BatchNorm2d(width), nn.ReLU())
    pool = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(0.2))
    return nn.Sequential(Watch(), convolution, pool, nn.Linear(width, 2))


def flat(trial: optuna.Trial) -> nn.Module:
    width = trial.suggest_int("width", 2, 6)
    return nn.Sequential(nn.Flatten(), nn.Linear(64, width), nn.Linear(width, 2))


LOSS = nas.objectives.ValidationLoss()


@pytest.fixture
def search() -> nas.Search:
    return nas.Search(
        name="ladder",
        space=space,
        data=Data(),
        objectives=["accuracy", LOSS],
        fidelity=nas.Budget(epochs=(1, 4)),
        pruner="none",
    )


def run(search: nas.Search, storage=None, **attributes) -> optuna.trial.FrozenTrial:
    study = search.study(storage or InMemoryStorage())
    study.enqueue_trial({"width": 4}, user_attrs=attributes)
    SEEN.clear()
    return search.run(trials=1, storage=study._storage).trials[-1]


def test_images_and_data_grow_together_and_final_values_are_in_full(search) -> None:
    budget = nas.Budget(epochs=(1, 4), resolution=(4, 8), data=(0.25, 1.0))
    trial = run(replace(search, fidelity=budget))
    assert trial.state == TrialState.COMPLETE, trial.user_attrs["ended"]
    trained = [(count, side) for training, count, side in SEEN if training]
    some = [(16, 7), (16, 7), (16, 7)]  # 48 of 64 samples at the second rung
    assert trained == [(16, 4), *some, *some, *[(16, 8)] * 4]
    validated = [side for training, count, side in SEEN if not training and count == 36]
    assert validated == [4, 7, 7, 8]
    assert sorted(nas.pruners.curve(trial, 2)) == [1, 2, 3, 4]


def test_a_ladder_without_height_is_a_plain_training(search) -> None:
    plain = run(search)
    level = run(replace(search, fidelity=nas.Budget((1, 4), resolution=(8, 8), data=(1.0, 1.0))))
    assert level.values == plain.values


@pytest.mark.parametrize(
    "budget",
    [
        nas.Budget(epochs=(1, 5), resolution=(4, 8), data=(0.3, 1.0)),
        nas.Budget(steps=(3, 15)),
        nas.Budget(steps=(3, 15), data=(0.3, 1.0)),
    ],
    ids=["resolution and data", "steps", "steps and data"],
)
def test_a_paused_climb_ends_as_one_in_one_go(search, budget, tmp_path) -> None:
    search = replace(search, fidelity=budget)
    whole = run(search)
    assert whole.state == TrialState.COMPLETE, whole.user_attrs["ended"]
    pauses = nas.pruners.FreezeThaw([2, 4])
    paused = replace(search, sampler="predictor", pruner=pauses)
    url = f"sqlite:///{tmp_path}/s.db"
    parts = [run(paused, url), run(paused, url, continues=0), run(paused, url, continues=1)]
    assert [part.user_attrs["spent"]["epochs"] for part in parts] == [2, 2, 1]
    curves = [nas.pruners.curve(part, 2) for part in parts]
    assert {**curves[0], **curves[1], **curves[2]} == nas.pruners.curve(whole, 2)
    assert parts[2].values == whole.values


def test_steps_are_optimiser_steps(search) -> None:
    search = replace(search, fidelity=nas.Budget(steps=(3, 6)))
    trial = run(replace(search, trainer={"accumulate_grad_batches": 2}))
    assert sum(training for training, *_ in SEEN) == 12
    assert sorted(nas.pruners.curve(trial, 2)) == [1, 2]


def test_steps_of_several_processes_are_refused_before_any_starts(search) -> None:
    spawned = {"strategy": "ddp_spawn", "devices": 2, "accelerator": "cpu"}
    trial = run(replace(search, fidelity=nas.Budget(steps=(3, 6)), trainer=spawned))
    assert "expected one process beside a budget in steps" in trial.user_attrs["ended"]


def test_seconds_of_training_are_reported_alike(search) -> None:
    trial = run(replace(search, fidelity=nas.Budget(seconds=(0.02, 0.06))))
    assert trial.state == TrialState.COMPLETE, trial.user_attrs["ended"]
    assert sorted(nas.pruners.curve(trial, 2)) == [1, 2, 3]


def test_what_stops_by_itself_on_its_way_up_is_judged_in_full(search) -> None:
    early = EarlyStopping("val_loss", patience=0, min_delta=1e9)
    budget = nas.Budget(epochs=(1, 9), resolution=(4, 8))
    trial = run(replace(search, fidelity=budget, trainer={"callbacks": [early]}))
    assert trial.user_attrs["spent"]["epochs"] == 2
    assert [side for training, count, side in SEEN if count == 36] == [4, 6, 8]
    assert trial.values != list(nas.pruners.curve(trial, 2)[2])


def test_a_network_that_cannot_take_smaller_images_is_named(search) -> None:
    def some(trial: optuna.Trial) -> nn.Module:
        return space(trial) if trial.suggest_categorical("pooled", [False, True]) else flat(trial)

    search = replace(search, space=some, fidelity=nas.Budget((1, 4), resolution=(4, 8)))
    study = search.study(InMemoryStorage())
    study.enqueue_trial({"width": 4, "pooled": False})
    trial = search.run(trials=1, storage=study._storage).trials[-1]
    assert trial.state == TrialState.FAIL
    assert "takes images of 4x4" in trial.user_attrs["ended"]
    assert trial.user_attrs["spent"]["epochs"] == 0


def test_a_space_that_never_takes_smaller_images_is_refused_before_the_first_trial(
    search,
) -> None:
    budget, storage = nas.Budget(epochs=(1, 4), resolution=(4, 8)), InMemoryStorage()
    shape = X.shape[1:]
    vit = nas.spaces.ViT(input_shape=shape, patches=(1, 2), windows=(4,))
    for refused in (flat, vit):
        unfit = replace(search, space=refused, fidelity=budget)
        with pytest.raises(DescriptionError, match=r"none of .* takes images of 4x4"):
            unfit.run(trials=1, storage=storage)
        assert not optuna.load_study(study_name=search.name, storage=storage).trials


@pytest.mark.parametrize("name", sorted({*nas.spaces.SPACES} - {"mlp", "transformer", "vit"}))
def test_spaces_of_convolutions_take_smaller_images(name) -> None:
    """Of odd sides too, and whatever is drawn."""
    shape, budget = (1, 24, 24), nas.Budget(epochs=(1, 27), resolution=(11, 24))
    space = nas.spaces.SPACES[name](input_shape=shape)
    for trial in islice(random_trials(0), 3):
        expect_sizes(nas.build(space(trial), shape, 3, device="meta"), shape, budget)


def graph(trial: optuna.Trial) -> nas.Architecture:
    conv = nas.Node("conv", "conv", {"channels": trial.suggest_int("width", 4, 8)}, ("input",))
    return nas.Architecture((conv, nas.Node("head", "classify", {}, ("conv",))))


def test_a_network_that_grew_while_paused_ends_as_one_in_one_go(search, tmp_path) -> None:
    budget = nas.Budget(epochs=(1, 5), width=(0.25, 1.0))
    search = replace(search, space=graph, fidelity=budget)
    whole, pauses = run(search), nas.pruners.FreezeThaw([1, 2])
    assert whole.state == TrialState.COMPLETE, whole.user_attrs["ended"]
    paused = replace(search, sampler="predictor", pruner=pauses)
    url = f"sqlite:///{tmp_path}/s.db"
    parts = [run(paused, url), run(paused, url, continues=0), run(paused, url, continues=1)]
    curves = [nas.pruners.curve(part, 2) for part in parts]
    assert {**curves[0], **curves[1], **curves[2]} == nas.pruners.curve(whole, 2)
    full = run(replace(search, fidelity=nas.Budget(epochs=(1, 5))))
    assert nas.pruners.curve(full, 2)[1] != curves[0][1]


def test_modules_have_no_width_that_could_be_changed(search) -> None:
    narrow = replace(search, fidelity=nas.Budget((1, 4), width=(0.5, 1.0)))
    with pytest.raises(DescriptionError, match=r"none of .*return an Architecture"):
        narrow.run(trials=1, storage=InMemoryStorage())


class Vectors(Data):
    def setup(self, stage):
        self.train, self.valid = (
            TensorDataset(X[:64, 0, 0], Y[:64]),
            TensorDataset(X[64:, 0, 0], Y[64:]),
        )


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"data": Vectors()}, r"images of shape \(C, H, W\).*\(8,\)"),
        ({"fidelity": nas.Budget(resolution=(8, 16))}, r"resolution=\(first, 8\)"),
    ],
)
def test_a_resolution_that_is_not_the_datas_is_refused_at_once(search, changed, message) -> None:
    search = replace(search, **{"fidelity": nas.Budget(resolution=(4, 8)), **changed})
    with pytest.raises(DescriptionError, match=message):
        search.study(InMemoryStorage())


def test_only_equal_budgets_are_equal_trainings(search) -> None:
    budgets = [
        nas.Budget((1, 9)),
        nas.Budget((1, 9), resolution=(4, 8)),
        nas.Budget((1, 9), resolution=(5, 8)),
        nas.Budget((3, 9), resolution=(4, 8)),
        nas.Budget((1, 9), data=(0.5, 1.0)),
        nas.Budget((1, 9), width=(0.5, 1.0)),
        nas.Budget(steps=(1, 9)),
        nas.Budget(seconds=(1, 9)),
    ]
    described = [str(replace(search, fidelity=b).training_description) for b in budgets]
    assert len(set(described)) == len(budgets)
    assert replace(search, fidelity=nas.Budget((3, 9))).training_description["epochs"] == 9


def test_hyperband_climbs_the_ladder(search) -> None:
    budget = nas.Budget(epochs=(1, 4), resolution=(4, 8), data=(0.25, 1.0))
    climbing = replace(search, fidelity=budget, pruner="hyperband", sampler="random")
    study = climbing.run(trials=8, storage=InMemoryStorage())
    assert {t.state for t in study.trials} <= {TrialState.COMPLETE, TrialState.PRUNED}
    assert np.isfinite([t.values for t in study.best_trials]).all()
