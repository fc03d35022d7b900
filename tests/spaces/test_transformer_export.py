"""Transformers as ONNX files compute what PyTorch does."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from optuna_nas.architecture import Architecture
from optuna_nas.backends import export_onnx, session
from optuna_nas.model import build
from optuna_nas.spaces import Transformer, ViT
from optuna_nas.spaces.draws import random_trials

pytestmark = pytest.mark.usefixtures("onnxruntime")

ONE: dict[str, Any] = {"layers": (1, 1), "widths": (8,), "heads": (2,), "ratios": (2,)}
ENCODER: dict[str, Any] = {**ONE, "input_shape": (11, 3), "decoder": False, "strides": (3,)}
MIXTURE: dict[str, Any] = {"experts": (4,), "top_k": (2,), "patterns": ("linear",)}
SPACES = {
    **{f"decoder-{p}": Transformer(**ONE, patterns=(p,)) for p in ("full", "strided")},
    "decoder-local": Transformer(**ONE, patterns=("local",), contexts=(16,)),
    "decoder-linear": Transformer(**{**ONE, "layers": (2, 2)}, patterns=("linear",), tied=(True,)),
    **{f"encoder-{p}": Transformer(**ENCODER, patterns=(p,)) for p in ("strided", "linear")},
    "encoder-local": Transformer(**ENCODER, patterns=("local",), windows=(3,), contexts=(9,)),
    "mixture": Transformer(**ENCODER, **MIXTURE, activations=("swiglu",)),
    "image": ViT(**ONE, input_shape=(3, 8, 12), patches=(2,), patterns=("full",)),
}


@pytest.mark.parametrize("name", SPACES)
def test_files_compute_the_same_for_any_batch(name: str) -> None:
    space: Any = SPACES[name]
    torch.manual_seed(0)
    architecture: Architecture = space(next(random_trials(seed=len(name))))
    network = build(architecture, space.input_shape, 5).eval()

    def inputs(batch: int) -> torch.Tensor:
        shape = (batch, *space.input_shape)
        tokens = network.input_dtype is not None
        return torch.randint(64, shape) if tokens else torch.randn(shape)

    opened = session(export_onnx(network, inputs(2), dynamic_batch=True))
    for batch in (1, 3):
        x = inputs(batch)
        (found,) = opened.run(None, {"input": x.numpy()})
        torch.testing.assert_close(
            torch.from_numpy(found), network(x).detach(), rtol=1e-4, atol=1e-4
        )
