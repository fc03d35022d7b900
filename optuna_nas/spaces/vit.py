"""Transformers of images."""

from __future__ import annotations

from dataclasses import dataclass
from math import gcd
from typing import TYPE_CHECKING, Any, ClassVar

from optuna_nas.architecture import Architecture
from optuna_nas.exceptions import SpaceError
from optuna_nas.spaces.allowed import restrict
from optuna_nas.spaces.choice import (
    ask_option,
    ask_size,
    check_image,
    check_options,
    check_sizes,
)
from optuna_nas.spaces.layers import CLASS_TOKEN, POOLS, Layers
from optuna_nas.spaces.space import register

if TYPE_CHECKING:
    from optuna.trial import BaseTrial

__all__ = ["ViT"]


@register("vit")
@dataclass(frozen=True, kw_only=True)
class ViT(Layers):
    """A Vision Transformer: square patches, layers, and one answer an image.

    Patches are read line by line, so what local and strided attention see are neighbours in that
    order. Images need not be square, but have one size: a search with `Budget(resolution=...)`
    refuses the space.

    By default there are 45,923,760 sets of parameters: 41,040 ways to cut patches, to make a layer
    and to read it out, and 1,119 ways to stack 2 to 6 of them, tied or with ratios.

    Args:
        input_shape: Shape of one sample (C, H, W).
        patches: Pixels of a patch's side, which divide height and width.
        pools: What it answers from, of "mean" (of all patches) and "first" (a class token).
        **layers: As for `spaces.layers.Layers`: layers, widths, heads, head_dimensions,
            group_sizes, patterns, windows, strides, positions, norms, placements, activations,
            ratios, shared_ratio, experts, top_k, balance, tied, allowed.

    Raises:
        SpaceError: Bounds that allow nothing, at construction.

    Source: Dosovitskiy et al. 2020, arXiv:2010.11929; as a searched space, Chen et al. 2021,
    arXiv:2107.00651.
    """

    input_shape: tuple[int, int, int] = (3, 32, 32)
    patches: tuple[int, ...] = (4, 8)
    pools: tuple[str, ...] = POOLS

    always: ClassVar[tuple[str, ...]] = ("patches", *Layers.always)

    def __post_init__(self) -> None:
        super().__post_init__()
        pools = check_options("pools", self.pools, POOLS)
        legal = {
            "input_shape": check_image(self.input_shape),
            "patches": check_sizes("patches", self.patches),
            "pools": restrict(pools, self.allowed, kinds=CLASS_TOKEN),
        }
        for name, value in legal.items():
            object.__setattr__(self, name, value)
        self._check_patches()

    def __call__(self, trial: BaseTrial) -> Architecture:
        """Draw an architecture: `embed`, `layer1_attention`, `layer1_feed_forward`, ..."""
        size = ask_size(trial, "patch", self.patches)
        width = ask_size(trial, "width", self.widths)
        position = ask_option(trial, "position", self.positions)
        pool = ask_option(trial, "pool", self.pools)
        embed = {"size": size, "features": width}
        nodes: list[tuple[str, str, dict[str, Any]]] = [("embed", "patches", embed)]
        if pool == "first":
            nodes.append(("class_token", "class_token", {}))
        if position != "rotary":
            nodes.append(("position", "position", {"encoding": position}))
        return self._network(trial, nodes, width, position, {}, pool)

    def _check_patches(self) -> None:
        _, height, width = self.input_shape
        common = gcd(height, width)
        if any(common % size for size in self.patches):
            legal = [n for n in range(1, common + 1) if common % n == 0]
            raise SpaceError(
                f"expected patches that divide {height} and {width} pixels: {legal}, "
                f"got patches={self.patches}"
            )
        self._check_length((height // self.patches[-1]) * (width // self.patches[-1]))
