"""A latency predictor that adds up the times of blocks, each of which was timed once."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np

from optuna_nas import backends
from optuna_nas.architecture import Architecture
from optuna_nas.exceptions import MeasurementError
from optuna_nas.measuring.device import fingerprint
from optuna_nas.model.configuration import Configuration, configurations
from optuna_nas.objectives import Latency
from optuna_nas.predictors.operators import work
from optuna_nas.predictors.predictor import Additive, Values

__all__ = ["LatencyTable", "Subject", "changed", "how"]

Subject = Configuration | Architecture
"""What is timed: a block, or a whole network."""

FORMAT = 1
HOW = ("batch", "threads", "precision", "backend", "device", "percentile")
"""Arguments of a Latency that change what it measures."""


@dataclass
class LatencyTable:
    """Latency as the sum of the times of its blocks, corrected by what whole networks took.

    A whole network takes longer than its blocks one by one, which find their weights in the
    caches. So it is predicted as a factor times the sum, a time for each operator that it calls,
    and a time for each of its weights, none of them negative, fitted to the networks in the table
    all of whose blocks are there too.

    A network with a block that is not in the table is refused: `missing` says which it lacks, and
    `predictors.complete` times them.

    Args:
        input_shape: Shape of one sample that the networks take.
        outputs: Values per sample that they return.
        latency: How blocks and networks were timed.
        blocks: Block configuration -> its time, in ms.
        networks: Whole networks and the time of each, in ms.
        refused: What could not be timed, and why.
        calibration: What `latency.calibrate` returned, which all its measurements share.
        device: The machine that they were timed on; by default this one.
        backend_version: What ran them; by default what would now.
    """

    input_shape: tuple[int, ...]
    outputs: int
    latency: Latency = field(default_factory=Latency)
    blocks: dict[Configuration, float] = field(default_factory=dict)
    networks: dict[Architecture, float] = field(default_factory=dict)
    refused: dict[Subject, str] = field(default_factory=dict)
    calibration: Mapping[str, Any] | None = None
    device: Mapping[str, Any] = field(default_factory=dict)
    backend_version: str = ""

    def __post_init__(self) -> None:
        self.device = self.device or fingerprint(self.latency.device)
        self.backend_version = self.backend_version or _version(self.latency)

    @property
    def usable(self) -> list[Architecture]:
        """The whole networks in the table all of whose blocks are there too."""
        return [network for network in self.networks if not self.missing([network])]

    def predict(self, architectures: Sequence[Architecture]) -> tuple[Values, Values]:
        """Predict latencies.

        Returns:
            Mean and standard deviation of each, in ms, two arrays (N,).

        Raises:
            MeasurementError: A block that was not timed, or too few whole networks.
            SpaceError: A network that does not fit the input.
        """
        return self.remainder().predict(self._amounts(architectures))

    def remainder(self) -> Additive:
        """What corrects the sum of the blocks, fitted to the usable networks in the table.

        Its `costs` are the factor, the ms of an operator call and the ms of a weight.

        Raises:
            MeasurementError: Too few usable networks.
        """
        usable = self.usable
        return Additive().fit(self._amounts(usable), np.array([self.networks[a] for a in usable]))

    def costs(self, found: Sequence[Configuration]) -> Values:
        """What each of some blocks adds to a predicted latency, in ms, (N,).

        Raises:
            MeasurementError: As `predict`.
        """
        if missing := [block for block in found if block not in self.blocks]:
            raise self._lacking(f"{len(found)} blocks", missing)
        amounts = np.array([self._amount([block]) for block in found]).reshape(len(found), 3)
        return self.remainder().predict(amounts)[0]

    def missing(self, architectures: Sequence[Architecture]) -> list[Configuration]:
        """The block configurations of some networks that are not in the table."""
        found = {c: None for a in architectures for c in self.configurations(a)}
        return [configuration for configuration in found if configuration not in self.blocks]

    def configurations(self, architecture: Architecture) -> list[Configuration]:
        """The block configuration of every living node of a network."""
        return configurations(architecture, self.input_shape, self.outputs)

    def save(self, path: Path | str) -> None:
        """Write the table as JSON; a kill leaves the file as it was or as it should be.

        Raises:
            MeasurementError: It cannot be written there.
        """
        target = Path(path)
        draft = target.with_name(f"{target.name}.{os.getpid()}")
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            draft.write_text(json.dumps(self._to_json()))
            draft.replace(target)
        except OSError as error:
            raise MeasurementError(
                f"expected to write the latency table to {target}: {error.strerror}"
            ) from error

    @classmethod
    def load(cls, path: Path | str) -> LatencyTable:
        """Read a table that was written on this machine.

        Raises:
            MeasurementError: No such table, or one that was timed on another machine or with
                another version of its backend.
        """
        try:
            table = cls._from_json(json.loads(Path(path).read_text()))
        except OSError as error:
            raise MeasurementError(
                f"expected a latency table in {path}, got none: {error.strerror}; "
                "build it with `optuna-nas table build`"
            ) from error
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise MeasurementError(
                f"expected a latency table in {path}, got something else: "
                f"{type(error).__name__}: {error}"
            ) from error
        here = LatencyTable(table.input_shape, table.outputs, table.latency)
        if changes := changed(table._timed_by(), here._timed_by()):
            raise MeasurementError(
                f"expected a table that was timed on this machine as it is, got {path} of another "
                f"({changes}); build one here with `optuna-nas table build`"
            )
        return table

    def _timed_by(self) -> dict[str, Any]:
        return {**self.device, "backend_version": self.backend_version}

    def _amounts(self, architectures: Sequence[Architecture]) -> Values:
        """Sum of the blocks in ms, operator calls and weights of each network, (N, 3)."""
        if missing := self.missing(architectures):
            raise self._lacking(f"every block of {len(architectures)} networks", missing)
        rows = [self._amount(self.configurations(a)) for a in architectures]
        return np.array(rows).reshape(len(architectures), 3)

    def _lacking(self, wanted: str, missing: Sequence[Configuration]) -> MeasurementError:
        return MeasurementError(
            f"expected {wanted} to be in the table, got {len(missing)} that are not, such as "
            f"{missing[0]}; time them with `predictors.complete`, or go on with "
            "`optuna-nas table build`"
        )

    def _amount(self, nodes: Sequence[Configuration]) -> tuple[float, float, float]:
        amounts = work(nodes).items()
        calls = sum(amount for name, amount in amounts if name.endswith(".calls"))
        weights = sum(amount for name, amount in amounts if name.endswith(".weights"))
        return sum(self.blocks[node] for node in nodes), calls, weights

    def _to_json(self) -> dict[str, Any]:
        return {
            "format": FORMAT,
            "input_shape": self.input_shape,
            "outputs": self.outputs,
            "latency": how(self.latency),
            "device": dict(self.device),
            "backend_version": self.backend_version,
            "calibration": self.calibration,
            "networks": [{**_to_json(a), "ms": ms} for a, ms in self.networks.items()],
            "refused": [{**_to_json(s), "reason": reason} for s, reason in self.refused.items()],
            "blocks": [{**_to_json(c), "ms": ms} for c, ms in self.blocks.items()],
        }

    @classmethod
    def _from_json(cls, data: Mapping[str, Any]) -> LatencyTable:
        if data["format"] != FORMAT:
            raise ValueError(f"format {data['format']!r} instead of {FORMAT}")
        return cls(
            input_shape=tuple(data["input_shape"]),
            outputs=data["outputs"],
            latency=Latency(**data["latency"]),
            blocks={
                Configuration.from_json(block): float(block["ms"]) for block in data["blocks"]
            },
            networks={_network(found): float(found["ms"]) for found in data["networks"]},
            refused={_subject(found): found["reason"] for found in data["refused"]},
            calibration=data["calibration"],
            device=data["device"],
            backend_version=data["backend_version"],
        )


def how(latency: Latency) -> dict[str, Any]:
    """The arguments of a Latency that change what it measures."""
    return {f.name: getattr(latency, f.name) for f in fields(latency) if f.name in HOW}


def changed(before: Mapping[str, Any], after: Mapping[str, Any]) -> str:
    """What differs, such as `batch: 1 -> 2; threads: 2 -> 1`; empty where all is equal."""
    keys = [key for key in {**before, **after} if before.get(key) != after.get(key)]
    return "; ".join(f"{key}: {before.get(key)} -> {after.get(key)}" for key in keys)


def _version(latency: Latency) -> str:
    return backends.find(latency.backend)().version()


def _to_json(subject: Subject) -> dict[str, Any]:
    if isinstance(subject, Architecture):
        return {"architecture": json.loads(subject.to_json())}
    return subject.to_json()


def _subject(data: Mapping[str, Any]) -> Subject:
    return _network(data) if "architecture" in data else Configuration.from_json(dict(data))


def _network(data: Mapping[str, Any]) -> Architecture:
    return Architecture.from_json(data["architecture"])
