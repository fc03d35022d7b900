"""Four convolutions, one of them residual and one depthwise-separable."""

from __future__ import annotations

from torch import Tensor, nn

from optuna_nas.architecture import Architecture

__all__ = ["INPUT_SHAPE", "OUTPUTS", "architecture", "module"]

INPUT_SHAPE = (3, 32, 32)
OUTPUTS = 10


def architecture() -> Architecture:
    """Two convolutions, a residual one, and a separable one."""
    block = {"channels": 64, "kernel": 3, "stride": 1, "residual": False, "squeeze": False}
    return Architecture.chain(
        [
            ("block1", "conv", {**block, "channels": 32}),
            ("block2", "conv", {**block, "stride": 2}),
            ("block3", "conv", {**block, "residual": True}),
            ("block4", "separable", {**block, "channels": 128, "kernel": 5, "stride": 2}),
            ("classify", "classify", {}),
        ]
    )


def module() -> nn.Module:
    """The same, layer by layer."""
    return _CNN()


class _CNN(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 32, 3, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(32)
        self.conv2 = nn.Conv2d(32, 64, 3, stride=2, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(64)
        self.conv3 = nn.Conv2d(64, 64, 3, padding=1, bias=False)
        self.norm3 = nn.BatchNorm2d(64)
        self.depthwise = nn.Conv2d(64, 64, 5, stride=2, padding=2, groups=64, bias=False)
        self.norm4 = nn.BatchNorm2d(64)
        self.pointwise = nn.Conv2d(64, 128, 1, bias=False)
        self.norm5 = nn.BatchNorm2d(128)
        self.linear = nn.Linear(128, OUTPUTS)

    def forward(self, x: Tensor) -> Tensor:
        x = self.norm1(self.conv1(x)).relu()
        x = self.norm2(self.conv2(x)).relu()
        x = (x + self.norm3(self.conv3(x))).relu()
        x = self.norm4(self.depthwise(x)).relu()
        x = self.norm5(self.pointwise(x)).relu()
        logits: Tensor = self.linear(x.mean((2, 3)))
        return logits
