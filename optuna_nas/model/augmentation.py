"""Images changed at random as they are trained on, a whole batch at once.

Source: shifts and flips as in He et al. 2016, arXiv:1512.03385, section 4.2; cutout, DeVries and
Taylor 2017, arXiv:1708.04552.
"""

from __future__ import annotations

import torch
from torch import Tensor

from optuna_nas.exceptions import TrainingError

__all__ = ["augment"]

SHIFT = 1 / 8
"""Of a side, at strength 1: 4 of 32 pixels, as published."""
HOLE = 1 / 2
"""Of a side, at strength 1: 16 of 32 pixels, as published."""


def augment(images: Tensor, strength: float, flip: bool = False) -> Tensor:
    """Shift every image, cut a rectangle out of it, and mirror half of the images.

    Each image is shifted by up to 1/8 of its sides times the strength, then a rectangle of 1/2 of
    its sides times the strength, with a centre anywhere, is cut out. What comes in is zero, the
    mean of standardised images. Random numbers are those of torch's default generator.

    Args:
        images: A batch (B, C, H, W), which is left as it is.
        strength: From 0, for neither shift nor cutout, to 1.
        flip: Whether left and right of an image may be exchanged.

    Raises:
        TrainingError: No images.
    """
    if images.ndim != 4:
        raise TrainingError(
            "expected images (B, C, H, W) to augment, got a batch of shape "
            f"{tuple(images.shape)}; leave augmentation and flip out"
        )
    count, device = len(images), images.device
    rows, tall, above = _side(count, images.shape[2], strength, device)
    columns, wide, beside = _side(count, images.shape[3], strength, device)
    if flip:
        mirrored = torch.rand(count, 1, device=device) < 0.5
        columns = torch.where(mirrored, columns.flip(1), columns)
        wide = torch.where(mirrored, wide.flip(1), wide)
    batch = torch.arange(count, device=device)[:, None, None]
    moved = images[batch, :, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)
    kept = tall[:, :, None] & wide[:, None, :] & ~(above[:, :, None] & beside[:, None, :])
    return moved * kept[:, None]


def _side(
    count: int, pixels: int, strength: float, device: torch.device
) -> tuple[Tensor, Tensor, Tensor]:
    """Along one side (B, pixels): the pixel to take, whether there is one, whether in the hole."""
    most, hole = round(SHIFT * strength * pixels), round(HOLE * strength * pixels)
    places = torch.arange(pixels, device=device)
    taken = places + torch.randint(-most, most + 1, (count, 1), device=device)
    start = torch.randint(pixels, (count, 1), device=device) - hole // 2
    there = (taken >= 0) & (taken < pixels)
    return taken.clamp(0, pixels - 1), there, (places >= start) & (places < start + hole)
