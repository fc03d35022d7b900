"""A network as a picture."""

from __future__ import annotations

import importlib.util
import xml.etree.ElementTree as ElementTree
from itertools import islice
from pathlib import Path

import pytest
import torch
from matplotlib.patches import PathPatch

import optuna_nas as nas
from optuna_nas.architecture import Architecture, Node
from optuna_nas.exceptions import DescriptionError, MeasurementError
from optuna_nas.reporting import diagram, save_diagram
from optuna_nas.spaces.draws import random_trials

SKIPPING = Architecture(
    (
        Node("first", "conv", {"channels": 8}, ("input",)),
        Node("second", "conv", {"channels": 8, "kernel": 5}, ("first",)),
        Node("dead", "linear", {"features": 9}, ("first",)),
        Node("sum", "add", {}, ("second", "first")),
    )
)


def labels(architecture: Architecture) -> list[str]:
    return [text.get_text() for text in diagram(architecture).axes[0].texts if text.get_text()]


def test_it_shows_every_living_node_once_and_no_dead_one() -> None:
    assert labels(SKIPPING) == ["input", "conv_c8", "conv_c8_k5", "add"]
    drawn = nas.spaces.DARTS(layers=3)(next(random_trials(0)))
    assert labels(drawn) == ["input", *map(str, drawn.alive)]


def test_it_has_an_arrow_for_each_connection() -> None:
    assert len(arrows(SKIPPING)) == 4


@pytest.mark.parametrize("tied", [False, True])
def test_layers_are_drawn_once_in_a_frame_and_shared_weights_are_seen(tied: bool) -> None:
    space = nas.spaces.Transformer(layers=(32, 32), tied=(tied,), ratios=(2,))
    drawn = space(next(random_trials(0)))
    begin = [str(node) for node in drawn.nodes[: -2 * 32 - 1]]
    layer = [f"{node}@{node.module}" if tied else str(node) for node in drawn.nodes[-3:-1]]
    assert labels(drawn) == ["32 x", "input", *begin, *layer, str(drawn.nodes[-1])]
    assert len(arrows(drawn)) == len(begin) + len(layer) + 1
    colours = {
        text.get_text(): text.get_bbox_patch().get_edgecolor()
        for text in diagram(drawn).axes[0].texts
        if text.get_bbox_patch() is not None
    }
    assert (colours[layer[0]] == colours[begin[0]]) is not tied


def arrows(architecture: Architecture) -> list[PathPatch]:
    return [p for p in diagram(architecture).axes[0].patches if isinstance(p, PathPatch)]


@pytest.mark.parametrize("name", sorted(nas.spaces.SPACES))
def test_every_network_of_a_space_is_drawn(name: str) -> None:
    for drawn in map(nas.spaces.SPACES[name](), islice(random_trials(0), 3)):
        assert labels(drawn)[-1] == str(drawn.alive[-1])


def test_a_deep_network_has_a_taller_picture() -> None:
    def height(blocks: int) -> float:
        space = nas.spaces.CNN(blocks=(blocks, blocks))
        return float(diagram(space(next(random_trials(0)))).get_size_inches()[1])

    assert height(2) < height(8)


@pytest.mark.parametrize("name", ["net.svg", "folder/net.png"])
def test_it_is_written_as_svg_or_png(tmp_path: Path, name: str) -> None:
    save_diagram(SKIPPING, tmp_path / name)
    content = (tmp_path / name).read_bytes()
    if name.endswith("png"):
        assert content.startswith(b"\x89PNG")
    else:
        assert ElementTree.fromstring(content).tag.endswith("svg")


def test_what_cannot_be_drawn_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(DescriptionError, match=r"\.svg or \.png"):
        save_diagram(SKIPPING, tmp_path / "net.jpg")
    with pytest.raises(DescriptionError, match="got Linear"):
        diagram(torch.nn.Linear(1, 1))
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MeasurementError, match=r'pip install "optuna-nas\[diagram\]"'):
        diagram(SKIPPING)
