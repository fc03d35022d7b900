"""Weights that every network of a space shares, without elastic versions of its layers.

Source: weight sharing by slices, Cai et al. 2020 (Once-for-all), arXiv:1908.09791; Yu and Huang
2019 (universally slimmable networks), arXiv:1903.05134.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from pickle import UnpicklingError
from typing import Any, NamedTuple

import optuna
import torch
from torch import Tensor, nn

import optuna_nas
from optuna_nas.architecture import Architecture
from optuna_nas.blocks import Block
from optuna_nas.exceptions import SpaceError
from optuna_nas.model import Network
from optuna_nas.samplers.uniform import seed_of
from optuna_nas.study.description import describe, digest
from optuna_nas.study.training import seeded
from optuna_nas.supernet.extent import Entry, Extent, Origin, Space, survey
from optuna_nas.supernet.pieces import Piece, Place, cut, pieces, placed, places, skeleton
from optuna_nas.supernet.subnet import Subnet

__all__ = ["SharedWeights", "fingerprint_of", "read"]

KEPT = 2048
"""Blocks without weights that a store keeps for the next network that has them."""


class SharedWeights(nn.Module):
    """One tensor for each (node, kind, name), as large as any network of a space needs it.

    Networks take views of them: the leading channels and features, the centre of a kernel. What a
    network has of running statistics is shared likewise; its tables and masks are its own.

    Args:
        space: Draws an `Architecture` or a module from a trial.
        input_shape: Shape of one sample.
        outputs: Values per sample that a network returns.
        seed: Of the weights at first, and of the networks drawn to see how large they must be.

    Attributes:
        extent: What was seen of the space.

    Raises:
        SpaceError: The space cannot be drawn from, or its weights do not nest; names the node.
    """

    def __init__(
        self, space: Space, input_shape: tuple[int, ...], outputs: int, seed: int = 0
    ) -> None:
        super().__init__()
        self.extent: Extent = survey(space, input_shape, outputs, seed)
        self.seed = seed
        self._kept: dict[Any, _Part] = {}
        origins: dict[int, dict[str, Tensor]] = {}
        for key, entry in self.extent.entries.items():
            seen = origins.setdefault(id(entry.origin), self._state_of(entry.origin))
            self._add(key, entry, seen)

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return next(self.parameters(), torch.empty(0)).device

    @cached_property
    def identity(self) -> str:
        """SHA-256 of the space, its sizes and the version of the package, in hexadecimal."""
        shapes = {key: entry.shape for key, entry in self.extent.entries.items()}
        sizes = [self.extent.input_shape, self.extent.outputs, shapes]
        return digest([describe(self.extent.space), sizes, optuna_nas.__version__])

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the weights as they are, in hexadecimal."""
        return fingerprint_of(self.state_dict())

    def network(self, drawn: Architecture | nn.Module) -> Subnet:
        """A network of the space whose weights are views of these: gradients flow into them.

        Args:
            drawn: What the space returned.

        Raises:
            SpaceError: It needs more than any network that was seen of the space.
        """
        if isinstance(drawn, nn.Module):
            return Subnet(self, drawn, self._checked(pieces(drawn)))
        parts = {place.node: self._part(place) for place in self._places(drawn)}
        found = tuple(piece for part in parts.values() for piece in part.pieces)
        return Subnet(self, _joined(drawn, parts), self._checked(found))

    def extract(self, drawn: Architecture | nn.Module) -> nn.Module:
        """A network with copies of its weights, which stands alone: to be scored or trained on.

        A module of the user's own gets the weights itself.

        Raises:
            SpaceError: As `network`.
        """
        weights = self.network(drawn).weights()
        if isinstance(drawn, nn.Module):
            network: nn.Module = drawn
        else:
            network = _joined(drawn, {p.node: self._fresh(p) for p in self._places(drawn)})
        copies = {name: view.detach().clone() for name, view in weights.items()}
        network.load_state_dict(copies, strict=False, assign=True)
        return network.to(self.device)

    def draw(self, params: Mapping[str, Any]) -> Architecture | nn.Module:
        """What the space returns for a set of parameters, with real buffers."""
        trial: Any = optuna.trial.FixedTrial(dict(params))
        if self.extent.graphs:  # seeding costs more than drawing
            return self.extent.space(trial)
        drawn: nn.Module = seeded(self.extent.space, self.seed, trial)
        return drawn

    def views(self, found: tuple[Piece, ...]) -> dict[str, Tensor]:
        """Name in a network -> view of the weights, for what it takes from the store."""
        return {p.name: cut(self._tensor(p), p.shape, p.kernel) for p in found}

    def save(self, path: str | os.PathLike[str], **facts: float) -> None:
        """Write the weights to a file, which is there as a whole or not at all.

        Args:
            path: The file.
            **facts: What else to keep there, such as what the weights cost.
        """
        target = Path(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        part = target.with_suffix(".part")
        whole = {"identity": self.identity, "weights": self.state_dict(), "facts": facts}
        torch.save(whole, part)
        os.replace(part, target)

    def load(self, path: str | os.PathLike[str]) -> dict[str, float]:
        """Take the weights that `save` wrote, and return the facts beside them.

        Raises:
            SpaceError: It wrote no such file, or the weights are of another space, or of another
                version of the package.
        """
        stored = read(path)
        if stored["identity"] != self.identity:
            raise SpaceError(
                f"expected shared weights of this space in {path}, got those of another, or of "
                f"another version than {optuna_nas.__version__}; train them anew"
            )
        self.load_state_dict(stored["weights"])
        return dict(stored["facts"])

    def _tensor(self, piece: Piece) -> Tensor:
        found = (self._parameters if piece.learned else self._buffers)[piece.key]
        assert found is not None
        return found

    def _add(self, key: str, entry: Entry, seen: Mapping[str, Tensor]) -> None:
        """Begin with the weights of the largest block, and fill up with entries drawn of them."""
        name = entry.piece.name
        value = seen[name.partition(".")[2] if isinstance(entry.origin, Place) else name].detach()
        if tuple(value.shape) != entry.largest:
            raise SpaceError(
                f"expected the space to return networks of one shape for one set of parameters, "
                f"got {name!r} of node {entry.piece.node!r} with the shapes {entry.largest} and "
                f"{tuple(value.shape)}; its weights cannot be shared"
            )
        tensor = seeded(_filled, self._seed(key), value, entry.shape, entry.piece.kernel)
        if entry.piece.learned:
            self.register_parameter(key, nn.Parameter(tensor))
        else:
            self.register_buffer(key, tensor)

    def _state_of(self, origin: Origin) -> dict[str, Tensor]:
        if not isinstance(origin, Place):
            module = self.draw(origin)
        else:
            module = seeded(origin.configuration.build, self._seed(origin.node))
        assert isinstance(module, nn.Module)
        return {**dict(module.named_parameters()), **dict(module.named_buffers())}

    def _seed(self, name: str) -> int:
        return int(seed_of(self.seed, name).generate_state(1)[0])

    def _places(self, architecture: Architecture) -> tuple[Place, ...]:
        return places(architecture, self.extent.input_shape, self.extent.outputs)

    def _part(self, place: Place) -> _Part:
        """The block of a node, which all networks have in common that have it."""
        key = place, self.device
        if key not in self._kept:
            if len(self._kept) >= KEPT:
                del self._kept[next(iter(self._kept))]
            self._kept[key] = self._fresh(place)
        return self._kept[key]

    def _fresh(self, place: Place) -> _Part:
        found = tuple(placed(place))
        return _Part(skeleton(place, found, self.device), found)

    def _checked(self, found: tuple[Piece, ...]) -> tuple[Piece, ...]:
        for piece in found:
            entry = self.extent.entries.get(piece.key)
            if entry is None or not entry.covers(piece.shape):
                seen = "none" if entry is None else f"at most {entry.shape}"
                raise SpaceError(
                    f"expected a network of the space that was looked at, got {piece.name!r} of "
                    f"node {piece.node!r} with shape {piece.shape}, and had seen {seen}"
                )
        return found


class _Part(NamedTuple):
    """A block without weights, but with its own buffers, and what it takes from the store."""

    block: Block
    pieces: tuple[Piece, ...]


def _joined(architecture: Architecture, parts: Mapping[str, _Part]) -> Network:
    return Network(architecture, {n.name: parts[n.module].block for n in architecture.alive})


def fingerprint_of(weights: Mapping[str, Tensor]) -> str:
    """SHA-256 of weights by name, in hexadecimal."""
    found = hashlib.sha256()
    for key, tensor in sorted(weights.items()):
        values = tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8)
        found.update(f"{key} {tensor.dtype} {tuple(tensor.shape)} ".encode())
        found.update(values.numpy().data)
    return found.hexdigest()


def read(path: str | os.PathLike[str]) -> dict[str, Any]:
    """What `SharedWeights.save` wrote: `identity`, `weights` and `facts`.

    Raises:
        SpaceError: It wrote no such file.
    """
    try:
        stored = torch.load(path, map_location="cpu", weights_only=True)
        return {key: stored[key] for key in ("identity", "weights", "facts")}
    except (EOFError, KeyError, OSError, RuntimeError, TypeError, UnpicklingError) as error:
        raise SpaceError(
            f"expected a file that SharedWeights.save wrote in {path}, got "
            f"{type(error).__name__}: {error}; train the weights anew"
        ) from error


def _filled(value: Tensor, shape: tuple[int, ...], kernel: bool) -> Tensor:
    """A tensor of a shape whose piece is a value, and whose other entries are drawn from it."""
    flat = value.reshape(-1)
    full = flat[torch.randint(len(flat), shape)].contiguous()
    cut(full, tuple(value.shape), kernel).copy_(value)
    return full
