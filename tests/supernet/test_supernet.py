"""A supernet is trained by any recipe, and scored without being changed."""

from __future__ import annotations

from collections import Counter
from statistics import median

import pytest
import torch
from lightning.pytorch import Trainer

import optuna_nas as nas
from optuna_nas.exceptions import DescriptionError, SpaceError, TrainingError
from optuna_nas.model import Classifier
from optuna_nas.objectives import Candidate, Parameters
from optuna_nas.study.training import TRAINER
from optuna_nas.supernet import (
    DRAWINGS,
    BestUp,
    Fair,
    Paths,
    SharedWeights,
    Shrinking,
    Supernet,
    score,
)
from optuna_nas.supernet.drawing import Candidates, Sandwich
from optuna_nas.supernet.drawing import candidates as candidates_module

SPACE = nas.spaces.CNN(input_shape=(1, 8, 8), blocks=(1, 3), channels=(4, 8), kernels=(3, 5))


@pytest.fixture
def store() -> SharedWeights:
    return SharedWeights(SPACE, (1, 8, 8), 10)


@pytest.fixture(scope="module")
def data() -> nas.datasets.Digits:
    digits = nas.datasets.Digits(batch_size=64)
    digits.setup("fit")
    return digits


def train(store, data, drawing, epochs=1, paths=2, resume=None, folder=None, **options) -> Trainer:
    supernet = Supernet(store)
    callbacks = [Paths(supernet, drawing, paths)]
    arguments = {**TRAINER, "limit_val_batches": 0, "accelerator": "cpu", **options}
    trainer = Trainer(max_epochs=epochs, callbacks=callbacks, gradient_clip_val=1.0, **arguments)
    trainer.fit(Classifier(supernet), datamodule=data, ckpt_path=resume, weights_only=False)
    return trainer


@pytest.mark.parametrize("name", sorted(DRAWINGS))
def test_every_drawing_is_a_function_of_seed_and_step(name, store) -> None:
    drawing = DRAWINGS[name]()
    first = drawing(Candidates(store), 3, 4, 0.99)
    assert first == drawing(Candidates(store), 3, 4, 0.99)
    assert len(first) == 4
    assert first != drawing(Candidates(store, 1), 3, 4, 0.99)


def test_a_fair_round_has_each_option_equally_often(store) -> None:
    drawing = Fair()
    length = drawing.round(store.extent)
    drawn = drawing(Candidates(store), 0, length, 0.0)
    for name in store.extent.costs:
        counts = Counter(params[name] for params in drawn if name in params)
        if counts:  # a choice that few networks have may be in none of a round
            assert max(counts.values()) - min(counts.values()) <= 1, name
    assert set(Counter(params["blocks"] for params in drawn).values()) == {length // 3}


def test_a_sandwich_has_the_largest_and_the_smallest(store) -> None:
    def weights(params) -> int:
        network = nas.build(store.draw(params), (1, 8, 8), 10, "meta")
        return sum(p.numel() for p in network.parameters())

    sizes = [weights(params) for params in Sandwich()(Candidates(store), 0, 6, 0.0)]
    assert sizes[0] == max(sizes)
    assert sizes[1] == min(sizes) < sizes[0]


def test_best_up_has_large_networks_more_often_and_the_others_as_often(store) -> None:
    candidates = Candidates(store)
    steps = [BestUp(candidates=4)(candidates, step, 2, 0.0) for step in range(60)]
    first, other = (
        [size(store.draw(params)) for params in path] for path in zip(*steps, strict=True)
    )
    uniform = [size(store.draw(candidates.at_random(step, 0))) for step in range(60)]
    assert median(first) > 1.5 * median(uniform)
    assert other == [size(store.draw(candidates.at_random(step, 1))) for step in range(60)]
    with pytest.raises(DescriptionError, match="at least 1"):
        BestUp(candidates=0)


def test_shrinking_opens_kernels_then_depths_then_the_rest(store) -> None:
    def varied(progress: float) -> set[str]:
        drawn = [Shrinking()(Candidates(store), step, 1, progress)[0] for step in range(30)]
        names = set().union(*drawn)
        return {n for n in names if len({p[n] for p in drawn if n in p}) > 1}

    assert varied(0.0) == set()
    assert {name.split(".")[-1] for name in varied(0.3)} == {"kernel"}
    assert "blocks" in varied(0.6) and "block1.channels" not in varied(0.6)
    assert {"blocks", "block1.channels", "block1.kernel"} <= varied(0.9)
    with pytest.raises(DescriptionError, match="regular expressions"):
        Shrinking(("(",))


class Seen(Paths):
    """Notes the size of each network that learns."""

    def _check(self, loss, step) -> None:
        super()._check(loss, step)
        self.__dict__.setdefault("sizes", []).append(size(self._supernet.__dict__["drawn"]))


def size(drawn) -> float:
    return Parameters()(Candidate(drawn, (1, 8, 8), 10)).value


def sizes(store, data, drawing, paths, cap) -> list[float]:
    supernet = Supernet(store)
    seen = Seen(supernet, drawing, paths, caps=[Parameters(max=cap)])
    trainer = Trainer(
        **{**TRAINER, "accelerator": "cpu", "limit_val_batches": 0, "callbacks": [seen]},
        max_steps=12,
    )
    trainer.fit(Classifier(supernet), datamodule=data)
    return seen.sizes


def test_the_largest_of_best_up_keep_the_caps(store, data) -> None:
    without = sizes(store, data, BestUp(), 1, 1e9)
    cap = median(without)
    kept = sizes(store, data, BestUp(), 1, cap)
    assert cap / 2 < median(kept) <= max(kept) <= cap < max(without)


@pytest.mark.parametrize("name", ["uniform", "fair"])
def test_networks_that_break_a_cap_do_not_learn(name, store, data) -> None:
    without = sizes(store, data, DRAWINGS[name](), 2, 1e9)
    cap = sorted(without)[len(without) // 3]
    kept = sizes(store, data, DRAWINGS[name](), 2, cap)
    assert max(kept) <= cap < max(without)
    assert len(kept) == len(without)
    same = [(one, other) for one, other in zip(without, kept, strict=True) if one <= cap]
    assert all(one == other for one, other in same) and len(same) >= len(kept) // 3


def test_caps_leave_the_ends_of_a_sandwich_and_the_stages_of_shrinking(store, data) -> None:
    ends = [size(store.draw(p)) for p in Sandwich()(Candidates(store), 0, 2, 0.0)]
    cap = (ends[0] + 3 * ends[1]) / 4
    seen = sizes(store, data, Sandwich(), 3, cap)
    assert seen[0::3] == [ends[0]] * 12 and seen[1::3] == [ends[1]] * 12
    assert max(seen[2::3]) <= cap
    stages = sizes(store, data, Shrinking(), 1, cap)
    assert stages[0] == ends[0] and max(stages[-3:]) <= cap


def test_caps_that_no_network_keeps_stop_a_training_with_advice(store, data, monkeypatch) -> None:
    monkeypatch.setattr(candidates_module, "ATTEMPTS", 50)
    with pytest.raises(SpaceError, match=r"caps on parameters, got none of 50 .*loosen the caps"):
        sizes(store, data, DRAWINGS["uniform"](), 2, 10)


def test_networks_never_trained_alone_inherit_what_the_supernet_learned(data) -> None:
    space = nas.spaces.CNN(
        input_shape=(1, 8, 8),
        blocks=(2, 3),
        channels=(16, 32),
        kernels=(3, 5),
        operators=("conv",),
    )
    store = SharedWeights(space, (1, 8, 8), 10)
    drawn = store.draw(Candidates(store, 9).at_random(9))
    loaders = data.train_dataloader(), data.val_dataloader()
    untrained = score(store, drawn, *loaders)
    train(store, data, None, epochs=8)
    before = {name: value.clone() for name, value in store.state_dict().items()}
    scored = score(store, drawn, *loaders)
    assert scored["loss"] < untrained["loss"]
    assert scored["accuracy"] > 0.4
    for name, value in store.state_dict().items():
        assert torch.equal(value, before[name])


def test_the_others_of_a_sandwich_learn_from_the_largest(store, data) -> None:
    seen = []

    def distil(outputs, teacher):
        seen.append(teacher)
        return (outputs - teacher.detach()).square().mean()

    supernet = Supernet(store)
    paths = Paths(supernet, Sandwich(), 3, distil=distil)
    trainer = Trainer(
        **{**TRAINER, "accelerator": "cpu", "limit_val_batches": 0, "callbacks": [paths]},
        max_steps=2,
    )
    trainer.fit(Classifier(supernet), datamodule=data)
    assert len(seen) == 4
    assert seen[0] is seen[1] and seen[2] is seen[3] and seen[0] is not seen[2]


def test_resumed_from_a_checkpoint_it_ends_as_undisturbed(data, tmp_path) -> None:
    whole, begun, resumed = (SharedWeights(SPACE, (1, 8, 8), 10) for _ in range(3))
    train(whole, data, None, epochs=2)
    file = tmp_path / "one.ckpt"
    train(begun, data, None, epochs=1).save_checkpoint(file)
    train(resumed, data, None, epochs=2, resume=file)
    for name, value in whole.state_dict().items():
        assert torch.equal(value, resumed.state_dict()[name]), name


def test_a_nan_stops_it_and_says_where(store, data) -> None:
    with torch.no_grad():
        next(store.parameters()).fill_(float("nan"))
    with pytest.raises(TrainingError, match=r"step 0 at .*classify"):
        train(store, data, None)
