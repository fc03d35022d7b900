"""What drawing, building and identifying a network costs, and what a built network costs to run.

For every registered space: `sample_ms`, `build_ms` (on the meta device) and `digest_ms`, medians
over random networks; and `written`, the time of a forward and backward pass of a built network
over that of the same network written by hand, or None where nobody has written one. All of it is
CPU time of one thread, which other work on the machine disturbs little.

With a table of NAS-Bench-201: whether the parameters and FLOPs of all cells, built as they are
written, are the published ones, and their published structures are found.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from itertools import islice
from pathlib import Path
from statistics import median
from time import process_time
from typing import Any

import numpy as np
import torch
from rich.table import Table
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from optuna_nas.bench import written
from optuna_nas.bench.tables.arrays import read, shaped
from optuna_nas.exceptions import MeasurementError
from optuna_nas.model import build
from optuna_nas.model.configuration import Configuration, configurations
from optuna_nas.spaces import SPACES, NASBench201
from optuna_nas.spaces.draws import random_trials
from optuna_nas.spaces.nasbench201 import operators_of, published_form

__all__ = ["run", "table"]

NAMES = {"arch_str": "N", "iso_rep": "N", "params_m": "N", "flops_m": "N"}
OUTPUTS = 10
BATCH = 16


def run(path: Path | None = None, networks: int = 100, passes: int = 100) -> dict[str, Any]:
    """Measure every registered space, on one thread.

    Args:
        path: The published table of NAS-Bench-201, where it is to be checked.
        networks: Networks drawn from each space.
        passes: Forward and backward passes of each network and of its hand-written twin.

    Raises:
        DataError: The table is none.
        MeasurementError: A network and its hand-written twin differ in what they compute.
    """
    checked = None if path is None else _published(path)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        spaces = {name: _space(name, networks, passes) for name in sorted(SPACES)}
    finally:
        torch.set_num_threads(threads)
    return {"networks": networks, "passes": passes, "spaces": spaces, "published": checked}


def table(result: dict[str, Any]) -> Table:
    """The result as a table for the terminal."""
    made = Table(title=f"medians of {result['networks']} networks", caption=_caption(result))
    for column in ("space", "sample ms", "build ms", "digest ms", "against written by hand"):
        made.add_column(column, justify="left" if column == "space" else "right")
    for name, row in result["spaces"].items():
        times = (f"{row[key]:.2f}" for key in ("sample_ms", "build_ms", "digest_ms"))
        ratio = row["written"]
        made.add_row(name, *times, "not written" if ratio is None else f"{ratio:.3f}")
    return made


def _caption(result: dict[str, Any]) -> str | None:
    checked = result["published"]
    return checked and (
        f"NAS-Bench-201: of {checked['cells']} cells {checked['parameters']} have the published "
        f"parameters, {checked['flops']} the published FLOPs; {checked['structures']} structures, "
        f"{checked['agreeing']} cells in the published one"
    )


def _space(name: str, networks: int, passes: int) -> dict[str, Any]:
    space = SPACES[name]()
    shape = getattr(space, "input_shape", (8,))
    times = []
    for trial in islice(random_trials(seed=0), networks + 1):
        sampled, architecture = _timed(partial(space, trial))
        built, _ = _timed(partial(build, architecture, shape, OUTPUTS, device="meta"))
        digested, _ = _timed(partial(getattr, architecture, "digest"))
        times.append((sampled, built, digested))
    sample, construct, digest = map(median, zip(*times[1:], strict=True))  # the first warms up
    by_hand = written.find(name)
    return {
        "sample_ms": 1e3 * sample,
        "build_ms": 1e3 * construct,
        "digest_ms": 1e3 * digest,
        "written": None if by_hand is None else _against(name, by_hand, passes),
    }


def _against(name: str, by_hand: written.Written, passes: int) -> float:
    """Time of a built network over that of its twin: median of pairs run in turn."""
    torch.manual_seed(0)
    network = build(by_hand.architecture(), by_hand.INPUT_SHAPE, by_hand.OUTPUTS)
    twin = by_hand.module()
    x = written.example(by_hand, BATCH)
    _same(name, network, twin, x)
    ratios = []
    for number in range(passes + 1):
        pair = (network, twin) if number % 2 else (twin, network)
        seconds = {id(module): _timed(partial(_step, module, x))[0] for module in pair}
        ratios.append(seconds[id(network)] / seconds[id(twin)])
    return median(ratios[1:])


def _same(name: str, network: nn.Module, twin: nn.Module, x: Tensor) -> None:
    """Give the twin the weights of the network, and compare their outputs."""
    own, given = twin.state_dict(), list(network.state_dict().values())
    if [v.squeeze().shape for v in own.values()] != [v.squeeze().shape for v in given]:
        raise MeasurementError(
            f"expected the network written by hand for {name!r} to have the layers of the built "
            "one, in their order; correct its file"
        )
    pairs = zip(own.items(), given, strict=True)
    twin.load_state_dict({name: value.view_as(like) for (name, like), value in pairs})
    with torch.no_grad():
        difference = float((network.eval()(x) - twin.eval()(x)).abs().max())
    network.train()
    twin.train()
    if not difference < 1e-4:
        raise MeasurementError(
            f"expected the network written by hand for {name!r} to compute what the built one "
            f"does, got outputs that differ by {difference}; correct its file"
        )


def _step(module: nn.Module, x: Tensor) -> None:
    module.zero_grad()
    module(x).sum().backward()


def _timed(work: Callable[[], Any]) -> tuple[float, Any]:
    started = process_time()
    result = work()
    return process_time() - started, result


def _published(path: Path) -> dict[str, int]:
    """How many cells agree with the published table."""
    arrays = read(path)
    shaped(arrays, NAMES, path)
    texts = arrays["arch_str"].tolist()
    costs = np.array(_costs(texts)) / 1e6
    near = np.isclose(costs, np.stack([arrays["params_m"], arrays["flops_m"]], 1), rtol=1e-6)
    first: dict[str, int] = {}
    found = [first.setdefault(published_form(operators_of(t)), row) for row, t in enumerate(texts)]
    return {
        "cells": len(texts),
        "parameters": int(near[:, 0].sum()),
        "flops": int(near[:, 1].sum()),
        "structures": len(first),
        "agreeing": int((np.array(found) == arrays["iso_rep"]).sum()),
    }


def _costs(texts: list[str]) -> list[tuple[float, float]]:
    """Parameters and FLOPs of each cell's network, as the benchmark counts them.

    A multiplication and its addition are one, and each bias of the head is one more. What a block
    costs is counted once, since all networks are made of some twenty.
    """
    space = NASBench201(keep_dead=True)
    known: dict[Configuration, tuple[float, float]] = {}
    costs = []
    for text in texts:
        blocks = configurations(space.architecture(text), space.input_shape, OUTPUTS)
        known |= {block: _cost(block) for block in blocks if block not in known}
        parameters, flops = np.sum([known[block] for block in blocks], axis=0)
        costs.append((float(parameters), float(flops) / 2 + OUTPUTS))
    return costs


def _cost(block: Configuration) -> tuple[float, float]:
    """Parameters and FLOP of one block."""
    with torch.device("meta"), torch.no_grad(), FlopCounterMode(display=False) as counter:
        module = block.build().eval()
        module(*module.example(1, *block.inputs))
    return float(sum(p.numel() for p in module.parameters())), float(counter.get_total_flops())
