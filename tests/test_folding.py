"""Networks in a few words."""

from __future__ import annotations

from itertools import islice

import pytest
from hypothesis import given
from hypothesis import strategies as st

from optuna_nas.architecture import Architecture, Node
from optuna_nas.folding import LONGEST, fold
from optuna_nas.spaces import DARTS, SPACES, NASBench201, Transformer
from optuna_nas.spaces.draws import random_trials


def chain(widths: str) -> Architecture:
    """A chain of convolutions, one for each letter, which says how wide it is."""
    named = enumerate(widths)
    return Architecture.chain([(f"n{k}", "conv", {"channels": ord(w) - 96}) for k, w in named])


@pytest.mark.parametrize(
    ("widths", "line"),
    [
        ("a", "conv_c1"),
        ("ab", "conv_c1 > conv_c2"),
        ("aab", "2 x conv_c1 > conv_c2"),
        ("aba", "conv_c1 > conv_c2 > conv_c1"),
        ("caaaab", "conv_c3 > 4 x conv_c1 > conv_c2"),
        ("ababab", "3 x [conv_c1 > conv_c2]"),
        ("abcbcbb", "conv_c1 > 2 x [conv_c2 > conv_c3] > 2 x conv_c2"),
    ],
)
def test_what_is_repeated_is_told_once(widths: str, line: str) -> None:
    assert chain(widths).describe() == line


@given(st.text("abc", min_size=1, max_size=30))
def test_unfolded_it_is_the_network(widths: str) -> None:
    nodes = chain(widths).nodes
    runs = fold(nodes)
    told = [str(node) for run in runs for s in list(run.part) * run.times for node in s]
    assert told == list(map(str, nodes))
    assert runs[-1].last is nodes[-1]


@pytest.mark.parametrize("name", sorted(SPACES))
def test_every_node_of_a_network_is_counted(name: str) -> None:
    for architecture in map(SPACES[name](), islice(random_trials(0), 20)):
        runs = fold(architecture.alive)
        assert sum(run.times * sum(map(len, run.part)) for run in runs) == len(architecture.alive)


def test_equal_cells_are_told_once_by_what_their_nodes_read() -> None:
    cell = "|nor_conv_3x3~0|+|none~0|avg_pool_3x3~1|+|skip_connect~0|none~1|nor_conv_1x1~2|"
    assert (
        NASBench201(cells=3, channels=8)
        .architecture(cell)
        .describe()
        .startswith(
            "conv_c8_k3 > 3 x [relu_conv_c8_k3 > pool_avg_k3 > edge2_3=relu_conv_c8_k1"
            " > add(input,edge2_3)] > reduction_c16 > "
        )
    )


def test_branches_that_read_alike_and_differ_are_told_apart() -> None:
    def cell(number: int, source: str, read: str) -> list[Node]:
        first = Node(f"c{number}_a", "conv", {"channels": 8}, (source,))
        second = Node(f"c{number}_b", "conv", {"channels": 8}, (f"c{number}_a",))
        other = source if read == "input" else f"c{number}_a"
        return [first, second, Node(f"c{number}_c", "add", {}, (f"c{number}_b", other))]

    equal = Architecture((*cell(1, "input", "input"), *cell(2, "c1_c", "input")))
    assert equal.describe() == "2 x [conv_c8 > b=conv_c8 > add(b,input)]"
    other = Architecture((*cell(1, "input", "input"), *cell(2, "c1_c", "a")))
    assert other.describe() == (
        "[conv_c8 > b=conv_c8 > add(b,input)] > conv_c8 > [b=conv_c8 > add(b,input)]"
    )


def test_layers_with_weights_of_their_own_are_no_tied_ones() -> None:
    lines = [Transformer(tied=(tied,), ratios=(2,), layers=(32, 32)) for tied in (False, True)]
    own, tied = (space(next(random_trials(0))).describe() for space in lines)
    assert " > 32 x [attention_" in own and "@" not in own
    assert " > 32 x [attention_" in tied and "@attention > " in tied and "@feed_forward]" in tied


def test_a_network_that_takes_too_many_words_is_told_by_sorts_of_nodes() -> None:
    network = DARTS(layers=20)(next(random_trials(0)))
    line = network.describe()
    assert line.startswith(f"{len(network.alive)} nodes: conv_c48_k3, ") and len(line) < LONGEST
    assert f"{sum(node.kind == 'add' for node in network.alive)} x add" in line
