"""Transformers hold their constraints by construction."""

from __future__ import annotations

from math import prod
from typing import Any

import pytest
import torch
from every_set import every_set
from optuna.trial import FixedTrial

from optuna_nas.architecture import Architecture
from optuna_nas.blocks import auxiliary_losses
from optuna_nas.exceptions import SpaceError
from optuna_nas.model import build
from optuna_nas.objectives import Candidate, FLOPs, Parameters
from optuna_nas.spaces import Transformer, ViT
from optuna_nas.spaces.draws import random_trials

PARAMS = {
    "width": 48,
    "embedding": 16,
    "position": "learned",
    "layers": 2,
    "tied": False,
    "norm": "rms",
    "placement": "pre",
    "heads": 3,
    "pattern": "local",
    "local.window": 8,
    "activation": "swiglu",
    "experts": 1,
    "shared_ratio": False,
    "layer1.ratio_index": 0,
    "layer2.ratio_index": 2,
}


def draw(space: Any, **changed: Any) -> Architecture:
    drawn: Architecture = space(FixedTrial({**PARAMS, **changed}))
    return drawn


def twins(architecture: Architecture, *shapes: tuple[int, ...]) -> list[torch.nn.Module]:
    """The network built for each shape of a sample, with the same weights."""
    networks = [build(architecture, shape, 5).double().eval() for shape in shapes]
    for network in networks:
        network.load_state_dict(networks[0].state_dict())
    return networks


def count(space: Transformer | ViT, own: int) -> int:
    """Sets of parameters: `own` choices, ways to make a layer, and to stack them."""
    even = 2 if "rotary" in space.positions else 1
    heads = [
        [h for h in space.heads if space.head_dimensions or width % (even * h) == 0]
        for width in space.widths
    ]
    grouped = sum(sum(h % size == 0 for size in space.group_sizes) for row in heads for h in row)
    spans = {"full": 1, "local": len(space.windows), "strided": len(space.strides), "linear": 1}
    experts = sum(
        sum(k <= number for k in space.top_k) if number > 1 else 1 for number in space.experts
    )
    way = (
        grouped * max(1, len(space.head_dimensions)),
        sum(spans[pattern] for pattern in space.patterns),
        experts,
        *map(len, (space.positions, space.norms, space.placements, space.activations)),
    )
    ratios, (low, high) = len(space.ratios), space.layers
    stacked = 0
    for layers in range(low, high + 1):
        stacked += ratios if True in space.tied else 0
        each = {True: ratios, False: ratios**layers}
        stacked += sum(each[shared] for shared in space.shared_ratio) * (False in space.tied)
    return own * prod(way) * stacked


SMALL: dict[str, Any] = {
    "layers": (1, 2),
    "widths": (8, 12),
    "heads": (2, 3),
    "group_sizes": (1, 2),
    "positions": ("learned",),
    "norms": ("layer",),
    "placements": ("pre",),
    "activations": ("relu",),
    "ratios": (2, 4),
    "patterns": ("full", "local"),
    "windows": (3,),
    "shared_ratio": (False,),
}


def test_counts_as_many_sets_of_parameters_as_documented() -> None:
    small = Transformer(**SMALL | {"shared_ratio": (False, True), "experts": (1,)})
    assert len(every_set(small)) == count(small, len(small.embeddings)) > 100
    image = ViT(**SMALL | {"ratios": (2,), "patches": (4, 8), "positions": ("learned", "rotary")})
    assert len(every_set(image)) == count(image, len(image.patches) * len(image.pools)) > 100
    for space, own in ((Transformer(), 2), (ViT(), 4)):
        assert f"{count(space, own):,} sets" in str(type(space).__doc__)


def test_sets_that_differ_are_networks_that_differ() -> None:
    """But for ratios that are equal in all layers, and wide embeddings."""
    space = Transformer(**SMALL | {"embeddings": (), "layers": (2, 2)})
    drawn = every_set(space)
    assert len({architecture.digest for architecture in drawn}) == len(drawn) > 100


def test_draws_the_network_that_the_parameters_name() -> None:
    architecture = draw(Transformer(group_sizes=(1,)))
    assert architecture.describe() == (
        "tokens_vocabulary64_f16 > projection_f48 > position_learned"
        " > attention_local_h3_d16_window8_causal_rms_pre > feed_forward_ratio2_swiglu_rms_pre"
        " > attention_local_h3_d16_window8_causal_rms_pre > feed_forward_ratio8_swiglu_rms_pre"
        " > readout_each_rms"
    )
    assert [node.name for node in architecture.nodes] == [
        "embed",
        "widen",
        "position",
        "layer1_attention",
        "layer1_feed_forward",
        "layer2_attention",
        "layer2_feed_forward",
        "readout",
    ]


@pytest.mark.parametrize("space", [Transformer(), Transformer(contexts=(16,)), ViT()], ids=repr)
def test_heads_divide_the_width_and_groups_the_heads(space: Any) -> None:
    for _, trial in zip(range(200), random_trials(0), strict=False):
        for node in space(trial).nodes:
            if node.kind == "attention":
                assert trial.params["width"] == node.args["heads"] * node.args["dimension"]
                assert node.args["heads"] % node.args.get("groups", 1) == 0


def test_heads_that_only_some_widths_have_say_of_which() -> None:
    trial = FixedTrial({**PARAMS, "width": 32, "heads_of_32_index": 2, "group_size_index": 0})
    args = Transformer()(trial).nodes[3].args
    assert (args["heads"], args["dimension"]) == (4, 8)


def test_thirty_two_layers_build() -> None:
    space = Transformer(layers=(2, 32))
    trial = FixedTrial({**PARAMS, "layers": 32, "shared_ratio": True, "ratio_index": 0})
    network = build(space(trial), (32,), 64, device="meta")
    assert sum(1 for name, _ in network.named_children() if name.endswith("attention")) == 32


class TestTiedLayers:
    def test_are_one_module(self) -> None:
        tied = {"tied": True, "ratio_index": 0, "layers": 4}
        network: Any = build(draw(Transformer(), **tied), (32,), 64)
        names = [name for name, _ in network.named_children()]
        assert names == ["embed", "widen", "position", "attention", "feed_forward", "readout"]
        x = torch.randint(64, (2, 32))
        y = network.position(network.widen(network.embed(x)))
        for _ in range(4):
            y = network.feed_forward(network.attention(y))
        torch.testing.assert_close(network(x), network.readout(y))

    def test_count_once_in_parameters_and_each_in_flops(self) -> None:
        def value(objective: Any, layers: int, tied: bool) -> float:
            ratio = {"shared_ratio": True, "ratio_index": 0}
            drawn = draw(Transformer(), tied=tied, layers=layers, **ratio)
            return float(objective(Candidate(drawn, (32,), 64)).value)

        assert value(Parameters(), 2, True) == value(Parameters(), 5, True)
        assert value(FLOPs(), 5, True) == value(FLOPs(), 5, False) > 2 * value(FLOPs(), 2, True)


class TestFlops:
    def of(self, pattern: str, length: int, **bounds: Any) -> float:
        space = Transformer(
            input_shape=(length,), patterns=(pattern,), windows=(8,), strides=(8,), **bounds
        )
        drawn = draw(space)
        value: float = FLOPs()(Candidate(drawn, (length,), 64)).value
        return value

    def test_full_attention_is_counted_exactly(self) -> None:
        """Each layer: four projections, scores and sums of values, three matrices of SwiGLU."""
        length, width = 64, 48
        layers = [
            8 * length * width**2 + 4 * length**2 * width + 6 * length * width**2 * ratio
            for ratio in (2, 8)
        ]
        ends = 2 * length * width * 16 + 2 * length * width * 64
        assert self.of("full", length, group_sizes=(1,)) == sum(layers) + ends

    def test_local_and_linear_attention_grow_with_the_length(self) -> None:
        for pattern in ("local", "linear"):
            short, long = self.of(pattern, 128), self.of(pattern, 256)
            assert long == pytest.approx(2 * short, rel=0.01)
            assert self.of("full", 256) > long
        assert self.of("full", 256) > 2 * self.of("full", 128)

    def test_experts_count_as_often_as_they_are_asked(self) -> None:
        ratio = {"shared_ratio": True, "ratio_index": 0, "pattern": "full"}
        found = []
        for top_k in (1, 2):
            space = Transformer(experts=(4,), top_k=(top_k,), patterns=("full",))
            drawn = draw(space, **ratio)
            found.append(FLOPs()(Candidate(drawn, (32,), 64)).value)
        one_more = 2 * 6 * 32 * 48**2 * 2
        assert found[1] - found[0] == one_more


def test_a_shorter_context_sees_windows_alone() -> None:
    space = Transformer(contexts=(8, 16, 32), windows=(4,), strides=(3,))
    network: Any = build(draw(space, context_index=0), (32,), 64).eval()
    x = torch.randint(64, (1, 32))
    changed = x.clone()
    changed[0, 7] = (x[0, 7] + 1) % 64
    same = (network(x) == network(changed)).all(1)[0]
    assert same.tolist() == [True] * 7 + [False] + [True] * 24


@pytest.mark.parametrize("context", [12, 18, 36])
def test_a_context_is_the_length_of_samples_that_the_network_could_be_built_for(
    context: int,
) -> None:
    """With the same weights: the loss and the answers are those of data of shorter windows."""
    decoder = Transformer(input_shape=(36,), contexts=(context,))
    encoder = Transformer(input_shape=(36, 3), contexts=(context,), decoder=False)
    for _, trial in zip(range(8), random_trials(2), strict=False):
        whole, alone = twins(decoder(trial), (36,), (context,))
        x = torch.randint(64, (2, 36))
        answers = alone(x.reshape(-1, context)).unflatten(0, (2, -1))
        torch.testing.assert_close(whole(x), answers.transpose(1, 2).flatten(2))
    for _, trial in zip(range(8), random_trials(2), strict=False):
        whole, alone = twins(encoder(trial), (36, 3), (context, 3))
        y = torch.randn(2, 36, 3, dtype=torch.float64)
        torch.testing.assert_close(whole(y), alone(y[:, -context:]))


def test_no_network_of_the_decoder_looks_ahead() -> None:
    space = Transformer(contexts=(16, 32))
    for _, trial in zip(range(40), random_trials(3), strict=False):
        network = build(space(trial), (32,), 64).double().eval()
        x = torch.randint(64, (2, 32))
        later = x.clone()
        later[:, 20:] = (x[:, 20:] + 1) % 64
        torch.testing.assert_close(network(later)[:, :, :20], network(x)[:, :, :20])


def test_an_encoder_answers_from_the_last_of_its_context() -> None:
    space = Transformer(input_shape=(12, 3), decoder=False, contexts=(9,), windows=(3,))
    network: Any = build(draw(space, pool="mean"), (12, 3), 2).eval()
    x = torch.randn(2, 12, 3)
    early, late = x.clone(), x.clone()
    early[:, :3] += 1
    late[:, 3:] += 1
    assert torch.equal(network(early), network(x)) and not torch.equal(network(late), network(x))


def test_encoders_take_token_ids_too() -> None:
    network: Any = build(draw(Transformer(decoder=False), pool="first"), (32,), 3)
    assert network(torch.randint(64, (2, 32))).shape == (2, 3)
    assert network.input_dtype == torch.long


def test_experts_ask_for_balance_once_a_layer() -> None:
    space = Transformer(experts=(4,), top_k=(1,), layers=(3, 3), balance=0.5)
    ratio = {"shared_ratio": True, "ratio_index": 0}
    for tied in (False, True):
        network = build(draw(space, **ratio, tied=tied), (32,), 64)
        with auxiliary_losses() as losses:
            network(torch.randint(64, (4, 32)))
        assert len(losses) == 3
        assert all(0.25 < float(loss.detach()) < 2 for loss in losses)


@pytest.mark.parametrize(
    ("bounds", "message"),
    [
        ({"heads": (5, 7)}, r"heads that divide the width 32 .*such as \[1, 2, 4, 8, 16\], got"),
        ({"heads": (32,), "widths": (32,)}, r"an even number of features, such as \[1, 2, 4, 8"),
        (
            {"widths": (33,), "heads": (2,), "positions": ("learned",)},
            r"divide the width 33, such as \[1, 3, 11, 33\], got heads=\(2,\)",
        ),
        ({"group_sizes": (3,)}, r"group_sizes that divide heads=1: \[1\], got \(3,\)"),
        ({"head_dimensions": (5,)}, r"even head_dimensions for rotary positions, got \(5,\)"),
        ({"layers": (3, 2)}, r"layers=\(smallest, largest\) of at least 1, got \(3, 2\)"),
        ({"patterns": ("sparse",)}, "patterns among"),
        ({"windows": (1,)}, r"windows of integers in \[2, inf\)"),
        ({"windows": (8, 32)}, r"windows of less than the shortest sequence, 32, got \(8, 32\)"),
        ({"strides": (16,)}, "strides of less than half the shortest sequence, 32"),
        ({"contexts": (8, 32)}, "windows of less than the shortest sequence, 8"),
        ({"contexts": (5, 32)}, r"contexts that divide the length 32 .* \[1, 2, 4, 8, 16, 32\]"),
        ({"contexts": (64,), "decoder": False}, "contexts of at most the length 32"),
        ({"top_k": (3,), "experts": (2,)}, r"top_k of at most 2 for experts=2, got \(3,\)"),
        ({"balance": -1.0}, "balance of numbers"),
        ({"input_shape": (8, 4)}, r"token ids, input_shape=\(T,\), for a decoder, got \(8, 4\)"),
        ({"input_shape": (3, 8, 8)}, r"input_shape=\(T,\) of token ids or \(T, C\)"),
        ({"vocabulary": 1}, r"vocabulary of integers in \[2, inf\)"),
        ({"embeddings": (0,)}, "embeddings of integers"),
        ({"pools": ("last",)}, "pools among"),
        ({"activations": ("silu",)}, "activations among"),
    ],
)
def test_bounds_that_allow_nothing_are_refused(bounds: dict[str, Any], message: str) -> None:
    with pytest.raises(SpaceError, match=message):
        Transformer(**bounds)


class TestViT:
    def test_draws_the_network_that_the_parameters_name(self) -> None:
        drawn = draw(ViT(), patch=8, pool="first", pattern="full")
        assert drawn.describe().startswith(
            "patches_size8_f48 > class_token > position_learned > attention_full_h3_d16_rms_pre"
        )
        assert drawn.describe().endswith(" > readout_first_rms")

    def test_images_need_not_be_square(self) -> None:
        space = ViT(input_shape=(1, 480, 640), patches=(16, 32, 80))
        drawn = draw(space, patch_index=2, pool="mean", pattern="full")
        network: Any = build(drawn, (1, 480, 640), 3)
        assert network.position.vectors.shape == (48, 48)
        assert network(torch.zeros(1, 1, 480, 640)).shape == (1, 3)

    @pytest.mark.parametrize(
        ("bounds", "message"),
        [
            ({"patches": (5,)}, r"divide 32 and 32 pixels: \[1, 2, 4, 8, 16, 32\], got patches"),
            ({"input_shape": (3, 12, 18), "patches": (4,)}, r"12 and 18 pixels: \[1, 2, 3, 6\]"),
            ({"patches": (16,)}, "windows of less than the shortest sequence, 4"),
            ({"input_shape": (32, 32)}, r"input_shape=\(C, H, W\)"),
        ],
    )
    def test_bounds_that_allow_nothing_are_refused(
        self, bounds: dict[str, Any], message: str
    ) -> None:
        with pytest.raises(SpaceError, match=message):
            ViT(**bounds)
