"""A network that takes energy, by a counter in a file; it is imported where it is measured."""

from pathlib import Path

import torch
from torch import nn


class Consuming(nn.Linear):
    """A layer whose every forward pass takes so many microjoules of a counter."""

    def __init__(self, powercap: Path, microjoules: int) -> None:
        super().__init__(4, 4)
        self.counter = powercap / "intel-rapl:0" / "energy_uj"
        self.microjoules = microjoules

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        reading = int(self.counter.read_text()) + self.microjoules
        self.counter.write_text(f"{reading % 100_000_000}\n")
        return super().forward(x)
