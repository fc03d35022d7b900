"""The benchmark of spaces: what it measures, and what it refuses to compare."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from rich.console import Console
from torch import nn

from optuna_nas.bench import spaces, written
from optuna_nas.exceptions import DataError, MeasurementError
from optuna_nas.model import build
from optuna_nas.spaces import SPACES

CELLS = [
    "|avg_pool_3x3~0|+|nor_conv_1x1~0|skip_connect~1|+"
    "|nor_conv_1x1~0|skip_connect~1|skip_connect~2|",
    "|nor_conv_3x3~0|+|nor_conv_3x3~0|avg_pool_3x3~1|+"
    "|skip_connect~0|nor_conv_3x3~1|skip_connect~2|",
]
PUBLISHED = {
    "arch_str": np.array(CELLS),
    "iso_rep": np.array([0, 1]),
    "params_m": np.array([0.129306, 0.802426]),
    "flops_m": np.array([15.64737, 113.95137]),
}
WRITTEN = [name for name in sorted(SPACES) if written.find(name)]


def test_it_measures_every_space(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spaces, "SPACES", {name: SPACES[name] for name in ("mlp", "cnn")})
    found = written.find
    monkeypatch.setattr(written, "find", lambda name: found(name) if name == "mlp" else None)
    result = spaces.run(networks=2, passes=2)
    assert json.loads(json.dumps(result)) == result
    assert list(result["spaces"]) == ["cnn", "mlp"]
    for row in result["spaces"].values():
        assert min(row["sample_ms"], row["build_ms"], row["digest_ms"]) > 0
    assert result["spaces"]["mlp"]["written"] > 0
    assert result["spaces"]["cnn"]["written"] is None
    assert result["published"] is None
    console = Console(record=True, width=120)
    console.print(spaces.table(result))
    assert "not written" in console.export_text()


def test_networks_are_written_by_hand() -> None:
    cells = {"darts", "nasbench101", "nasbench201"}
    others = {"cnn", "hybrid", "macro", "mlp", "mobilenet", "transformer", "vit"}
    assert cells | others <= set(WRITTEN)
    assert written.find("nonsense") is None


@pytest.mark.parametrize("name", WRITTEN)
def test_what_is_written_by_hand_computes_the_same(name: str) -> None:
    by_hand = written.find(name)
    assert by_hand is not None
    torch.manual_seed(0)
    network = build(by_hand.architecture(), by_hand.INPUT_SHAPE, by_hand.OUTPUTS)
    twin, x = by_hand.module(), written.example(by_hand, 4)
    assert len(list(twin.parameters())) == len(list(network.parameters()))
    spaces._same(name, network, twin, x)
    torch.testing.assert_close(twin.eval()(x), network.eval()(x))


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        (lambda module: module[:-1], "to have the layers of the built one"),
        (lambda module: nn.Sequential(*module, nn.ReLU()), "outputs that differ by"),
    ],
)
def test_other_networks_are_not_compared(changed, message: str) -> None:
    mlp = written.find("mlp")
    other = SimpleNamespace(
        INPUT_SHAPE=mlp.INPUT_SHAPE,
        OUTPUTS=mlp.OUTPUTS,
        architecture=mlp.architecture,
        module=lambda: changed(mlp.module()),
    )
    with pytest.raises(MeasurementError, match=message):
        spaces._against("mlp", other, passes=1)


def test_it_counts_the_cells_that_agree_with_the_published(tmp_path: Path) -> None:
    wrong = {**PUBLISHED, "params_m": PUBLISHED["params_m"] * [1, 1.01]}
    for arrays, agreeing in ((PUBLISHED, 2), (wrong, 1)):
        np.savez(tmp_path / "cells.npz", **arrays)
        assert spaces._published(tmp_path / "cells.npz") == {
            "cells": 2,
            "parameters": agreeing,
            "flops": 2,
            "structures": 2,
            "agreeing": 2,
        }


def test_a_file_that_is_no_table_is_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "other.npz", arch_str=PUBLISHED["arch_str"])
    with pytest.raises(DataError, match="iso_rep"):
        spaces.run(tmp_path / "other.npz")
