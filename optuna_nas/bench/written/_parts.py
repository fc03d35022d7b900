"""Layers that several of the networks have, as one writes them in plain torch."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn.functional import layer_norm, scaled_dot_product_attention

__all__ = [
    "ConvNeXt",
    "ImageAttention",
    "InvertedResidual",
    "classifier",
    "convolution",
    "heads",
    "mlp",
    "resample",
]


def convolution(
    incoming: int, channels: int, kernel: int, stride: int = 1, groups: int = 1
) -> nn.Sequential:
    """Convolution, batch norm, ReLU."""
    pad = kernel // 2
    return nn.Sequential(
        nn.Conv2d(incoming, channels, kernel, stride, pad, groups=groups, bias=False),
        nn.BatchNorm2d(channels),
        nn.ReLU(),
    )


def classifier(incoming: int, outputs: int) -> tuple[nn.Module, ...]:
    """Global average pooling and a linear layer."""
    return nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(incoming, outputs)


class InvertedResidual(nn.Module):
    """Widen, filter each channel, narrow, with or without squeeze-excitation."""

    def __init__(
        self,
        incoming: int,
        width: int,
        expand: int,
        kernel: int,
        stride: int = 1,
        squeeze: bool = False,
    ) -> None:
        super().__init__()
        wide = expand * incoming
        self.residual = stride == 1 and incoming == width
        self.expand = convolution(incoming, wide, 1)
        self.depthwise = convolution(wide, wide, kernel, stride, groups=wide)
        self.gate = _gate(wide) if squeeze else None
        self.project = nn.Conv2d(wide, width, 1, bias=False)
        self.norm = nn.BatchNorm2d(width)

    def forward(self, x: Tensor) -> Tensor:
        y = self.depthwise(self.expand(x))
        if self.gate is not None:
            y = y * self.gate(y)
        y = self.norm(self.project(y))
        out: Tensor = x + y if self.residual else y
        return out


def _gate(channels: int) -> nn.Module:
    return nn.Sequential(
        nn.AdaptiveAvgPool2d(1),
        nn.Conv2d(channels, channels // 4, 1),
        nn.ReLU(),
        nn.Conv2d(channels // 4, channels, 1),
        nn.Sigmoid(),
    )


class _LayerNorm2d(nn.LayerNorm):
    """Over the channels of each pixel."""

    def forward(self, x: Tensor) -> Tensor:
        x = layer_norm(
            x.permute(0, 2, 3, 1), self.normalized_shape, self.weight, self.bias, self.eps
        )
        return x.permute(0, 3, 1, 2)


def resample(incoming: int, channels: int, kernel: int, stride: int = 1) -> nn.Sequential:
    """Convolution to other channels, or to fewer pixels, and layer norm."""
    return nn.Sequential(
        nn.Conv2d(incoming, channels, kernel, stride, kernel // 2), _LayerNorm2d(channels)
    )


def mlp(width: int, ratio: int) -> nn.Sequential:
    """Two linear layers with GELU between them."""
    return nn.Sequential(
        nn.Linear(width, ratio * width), nn.GELU(), nn.Linear(ratio * width, width)
    )


class ConvNeXt(nn.Module):
    """Depthwise convolution and an MLP of each pixel, added to the input."""

    def __init__(self, channels: int, kernel: int, ratio: int) -> None:
        super().__init__()
        self.depthwise = nn.Conv2d(
            channels, channels, kernel, padding=kernel // 2, groups=channels
        )
        self.norm = nn.LayerNorm(channels)
        self.mlp = mlp(channels, ratio)

    def forward(self, x: Tensor) -> Tensor:
        y = self.depthwise(x).permute(0, 2, 3, 1)
        out: Tensor = x + self.mlp(self.norm(y)).permute(0, 3, 1, 2)
        return out


class ImageAttention(nn.Module):
    """A depthwise convolution that tells positions, attention to all pixels, and an MLP."""

    def __init__(self, channels: int, heads: int, ratio: int) -> None:
        super().__init__()
        self.heads = heads
        self.position = nn.Conv2d(channels, channels, 3, padding=1, groups=channels)
        self.attention_norm = nn.LayerNorm(channels)
        self.query = nn.Linear(channels, channels, bias=False)
        self.key = nn.Linear(channels, channels, bias=False)
        self.value = nn.Linear(channels, channels, bias=False)
        self.merge = nn.Linear(channels, channels)
        self.mlp_norm = nn.LayerNorm(channels)
        self.mlp = mlp(channels, ratio)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.position(x)
        y = x.flatten(2).transpose(1, 2)
        normed = self.attention_norm(y)
        q, k, v = (
            heads(project(normed), self.heads) for project in (self.query, self.key, self.value)
        )
        attended = scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)
        y = y + self.merge(attended)
        y = y + self.mlp(self.mlp_norm(y))
        out: Tensor = y.transpose(1, 2).view_as(x)
        return out


def heads(x: Tensor, number: int) -> Tensor:
    """Tell heads apart, (B, T, C) -> (B, heads, T, C / heads)."""
    return x.view(x.shape[0], x.shape[1], number, -1).transpose(1, 2)
