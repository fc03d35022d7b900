"""A zero-cost proxy: how much flows through the untrained network."""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from optuna_nas.exceptions import MeasurementError
from optuna_nas.objectives.candidate import Candidate
from optuna_nas.objectives.flops import plain_attention
from optuna_nas.objectives.objective import Direction, Measurement, Objective, Stage
from optuna_nas.objectives.zero_cost import checked, gradients, output, same_randomness

__all__ = ["SynFlow"]

NORMS = (
    nn.BatchNorm1d,
    nn.BatchNorm2d,
    nn.BatchNorm3d,
    nn.GroupNorm,
    nn.InstanceNorm1d,
    nn.InstanceNorm2d,
    nn.InstanceNorm3d,
    nn.LayerNorm,
    nn.RMSNorm,
)
BOUNDED = (nn.Hardtanh, nn.ReLU6)
SMALL = 1e-300


@dataclass(frozen=True, kw_only=True)
class SynFlow(Objective):
    """Natural logarithm of synaptic flow: of weight times gradient, summed over all weights.

    The gradient is that of the sum of outputs for an input of ones, in a copy in double precision
    with the magnitudes of all weights and biases, without normalisation, and without the bound of
    ReLU6. No data is needed. A network that takes token ids is given all of them at every
    position: an embedding returns the sum of its vectors, as a linear layer would of ones. Deep
    networks whose layers multiply activations, such as SwiGLU, overflow, and attention that turns
    away from what grows makes the flow negative: such networks are refused.
    With the logarithm, networks of any depth can be compared and plotted. A network that lets
    nothing through, where the flow is 0, counts as one of 1e-300.

    Source: Tanaka et al. 2020, arXiv:2006.05467; as a proxy, without normalisation: Abdelfattah et
    al. 2021, arXiv:2101.08134.
    """

    name: str = "synflow"
    unit: str = ""
    direction: Direction = "maximize"
    stage: ClassVar[Stage] = "model"

    def __call__(self, candidate: Candidate) -> Measurement:
        with same_randomness(), plain_attention():
            network = _linear(copy.deepcopy(candidate.network))
            example = candidate.example()
            ones = torch.ones_like(example, dtype=None if _counts(example) else torch.float64)
            total = output(self, network, ones).sum()
            found = gradients(self, network, total)
        flow = checked(self, float(sum((weight * gradient).sum() for weight, gradient in found)))
        if flow < 0:
            raise MeasurementError(
                f"expected a flow of at least 0 for {self.name}, got {flow:g}: something in this "
                "network lets less out where more goes in; leave this proxy out"
            )
        return Measurement(math.log(max(flow, SMALL)))


def _linear(network: nn.Module) -> nn.Module:
    """A network that rectifiers do not bend, since nothing in it is negative."""
    network = network.double().eval()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.abs_()
    for module in network.modules():
        if isinstance(module, NORMS + BOUNDED):
            module.register_forward_hook(_as_it_came)
        if isinstance(module, nn.Embedding):
            module.register_forward_hook(_all_at_once)
    return network


def _counts(x: Tensor) -> bool:
    """Whether a network's input is of integers, which are ids."""
    return not x.is_floating_point()


def _as_it_came(module: nn.Module, inputs: tuple[Tensor, ...], output: Any) -> Tensor:
    return inputs[0]


def _all_at_once(module: nn.Embedding, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
    return module.weight.sum(0).expand_as(output)
