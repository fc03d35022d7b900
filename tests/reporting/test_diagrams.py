"""A network as a picture."""

from __future__ import annotations

import importlib.util
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest
import torch

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
    drawn = nas.spaces.MobileNet()(next(random_trials(0)))
    assert labels(drawn) == ["input", *map(str, drawn.nodes)]


def test_every_node_stands_below_what_it_reads_and_none_on_another() -> None:
    texts = [text for text in diagram(SKIPPING).axes[0].texts if text.get_text()]
    places = [text.get_position() for text in texts]
    assert len(set(places)) == len(places)
    heights = [y for _, y in places]
    assert heights == sorted(heights, reverse=True)


def test_it_has_an_arrow_for_each_connection_and_bends_those_that_skip() -> None:
    arrows = [t.arrow_patch for t in diagram(SKIPPING).axes[0].texts if not t.get_text()]
    assert len(arrows) == 4
    bends = [getattr(arrow.get_connectionstyle(), "rad", 0) for arrow in arrows]
    assert sum(bend != 0 for bend in bends) == 1


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
