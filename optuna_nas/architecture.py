"""The genotype: a frozen graph of named nodes. Imports neither torch nor optuna.

`Architecture` goes to JSON and back without loss; its `digest` names the network it describes:
two architectures with one digest build the same network.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from types import MappingProxyType
from typing import Any

from optuna_nas.exceptions import SpaceError
from optuna_nas.folding import line
from optuna_nas.isomorphism import Vertex, canonical_form

__all__ = ["INPUT", "Architecture", "Node"]

INPUT = "input"
"""Name by which nodes refer to the network's input."""

COMMUTATIVE = frozenset({"add"})
"""Kinds whose inputs have no order, so that `add(a, b)` and `add(b, a)` are one network."""

FORMAT = 1

_dumps = json.JSONEncoder(sort_keys=True, separators=(",", ":")).encode
_strict = json.JSONEncoder(allow_nan=False).encode

_SHORT = {
    "channels": "c",
    "dimension": "d",
    "expand": "e",
    "experts": "x",
    "features": "f",
    "groups": "g",
    "heads": "h",
    "kernel": "k",
    "padding": "p",
    "squeeze": "se",
    "stride": "s",
}


@dataclass(frozen=True)
class Node:
    """One operator of an architecture.

    Args:
        name: Unique within the architecture; it names the parameters of the built module.
        kind: The block that builds it, as registered in `optuna_nas.blocks`.
        args: Keyword arguments of the block; JSON values only.
        inputs: Names of the nodes (or `INPUT`) whose outputs it takes, in order.
        module: Name of the module that computes it; nodes that name one module share its weights.
            By default its own name.

    Raises:
        SpaceError: Arguments that JSON cannot hold.
    """

    name: str
    kind: str
    args: Mapping[str, Any]
    inputs: tuple[str, ...]
    module: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "module", self.module or self.name)
        object.__setattr__(self, "args", _plain(self.name, self.args))
        object.__setattr__(self, "inputs", tuple(self.inputs))

    def __hash__(self) -> int:
        return hash((self.name, self.kind, self.inputs))

    def __reduce__(self) -> tuple[Any, ...]:
        return (Node, (self.name, self.kind, dict(self.args), self.inputs, self.module))

    def __str__(self) -> str:
        """Compact text such as `conv_c32_k3_s2_residual` or `linear_f128_batch_relu`.

        Flags are given by name and options by value. What is off, zero or "none" is left out, and
        so is a stride of one.
        """
        given = {k: v for k, v in self.args.items() if v and v != "none"}
        if given.get("stride") == 1:
            del given["stride"]
        return "_".join([self.kind, *(_argument(k, v) for k, v in given.items())])


@dataclass(frozen=True)
class Architecture:
    """A network as a directed acyclic graph of nodes, in topological order.

    Args:
        nodes: Every node after the nodes it reads from.
        output: Name of the node whose output is the network's; the last node by default.

    Raises:
        SpaceError: An empty graph, a repeated name, an input that is not an earlier node, or
            nodes that share a module but not their kind and arguments.
    """

    nodes: tuple[Node, ...]
    output: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "nodes", tuple(self.nodes))
        if not self.nodes:
            raise SpaceError("expected an architecture with at least one node, got none")
        object.__setattr__(self, "output", self.output or self.nodes[-1].name)
        known = {INPUT}
        modules: dict[str, Node] = {}
        for node in self.nodes:
            _expect_alike(modules.setdefault(node.module, node), node)
            if node.name in known:
                raise SpaceError(f"expected unique node names, got {node.name!r} twice")
            if not node.inputs:
                raise SpaceError(f"node {node.name!r} has no inputs; use {INPUT!r} for the data")
            for source in node.inputs:
                if source not in known:
                    raise SpaceError(
                        f"node {node.name!r} reads from {source!r}, which is not an earlier node; "
                        "list the nodes in topological order"
                    )
            known.add(node.name)
        if self.output not in known - {INPUT}:
            raise SpaceError(f"expected the output to be a node, got {self.output!r}")

    @classmethod
    def chain(cls, nodes: Iterable[tuple[str, str, Mapping[str, Any]]]) -> Architecture:
        """Build an architecture in which each (name, kind, args) reads from the one before."""
        built: list[Node] = []
        for name, kind, args in nodes:
            source = built[-1].name if built else INPUT
            built.append(Node(name, kind, args, (source,)))
        return cls(tuple(built))

    def to_json(self) -> str:
        """Text from which `from_json` restores an equal architecture."""
        nodes = [
            {"name": n.name, "kind": n.kind, "args": dict(n.args), "inputs": list(n.inputs)}
            | ({} if n.module == n.name else {"module": n.module})
            for n in self.nodes
        ]
        return json.dumps({"format": FORMAT, "nodes": nodes, "output": self.output})

    @classmethod
    def from_json(cls, text: str | Mapping[str, Any]) -> Architecture:
        """Restore an architecture written by `to_json`, from its text or from the parsed text.

        Raises:
            SpaceError: Text that is not such JSON, or of a newer format.
        """
        try:
            data = json.loads(text) if isinstance(text, str) else text
            if data["format"] != FORMAT:
                raise SpaceError(
                    f"expected architecture format {FORMAT}, got {data['format']!r}; "
                    "install the version of optuna_nas that wrote it"
                )
            nodes = tuple(
                Node(n["name"], n["kind"], n["args"], tuple(n["inputs"]), n.get("module", ""))
                for n in data["nodes"]
            )
            return cls(nodes, data["output"])
        except SpaceError:
            raise
        except (KeyError, TypeError, ValueError) as error:
            raise SpaceError(
                f"expected an architecture in JSON, got {str(text)[:80]!r}"
            ) from error

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the canonical form, as 64 hexadecimal digits.

        Dead nodes and names do not count, nor does the order in which parallel branches are
        listed. Equal digests always mean isomorphic graphs; the converse holds for every network
        that we know of (see `isomorphism`).
        """
        numbers, groups = {INPUT: 0}, dict[str, int]()
        vertices = []
        for number, node in enumerate(self.alive, start=1):
            numbers[node.name] = number
            sources = tuple(numbers[source] for source in node.inputs)
            group = groups.setdefault(node.module, number)
            label = _dumps([node.kind, dict(node.args)])
            vertices.append(Vertex(label, sources, node.kind not in COMMUTATIVE, group))
        return hashlib.sha256(canonical_form(vertices).encode()).hexdigest()

    def describe(self) -> str:
        """The network in one readable line, such as `conv_c32_k3_s2 > 2 x conv_c64_k5 > classify`.

        Brackets hold branches that join at their end: what does not simply follow the node before
        it says what it reads, where `input` is what comes before the bracket. `@` is followed by
        the module whose weights a node shares with others. Of a network that would take more than
        `folding.LONGEST` characters the line tells how many nodes of each sort there are.
        """
        return line(self.alive)

    @property
    def modules(self) -> tuple[str, ...]:
        """Names of the modules of living nodes, each once, in the order of first use."""
        return tuple(dict.fromkeys(node.module for node in self.alive))

    @cached_property
    def alive(self) -> tuple[Node, ...]:
        """The nodes that the output depends on, in topological order; the output is the last."""
        needed = {self.output}
        for node in reversed(self.nodes):
            if node.name in needed:
                needed.update(node.inputs)
        return tuple(node for node in self.nodes if node.name in needed)


def _expect_alike(first: Node, node: Node) -> None:
    if (node.kind, node.args) != (first.kind, first.args):
        raise SpaceError(
            f"expected nodes of one kind with one set of arguments to share the module "
            f"{node.module!r}, got {first.name!r} ({first}) and {node.name!r} ({node})"
        )


def _argument(key: str, value: Any) -> str:
    if isinstance(value, str):
        return value
    short = _SHORT.get(key, key)
    return short if value is True else f"{short}{_text(value)}"


def _text(value: Any) -> str:
    return "x".join(map(_text, value)) if isinstance(value, list) else str(value)


def _plain(name: str, args: Mapping[str, Any]) -> Mapping[str, Any]:
    """Copy arguments as JSON returns them, so that a round trip changes nothing."""
    try:
        return _read(_strict(dict(args)))
    except (TypeError, ValueError) as error:
        raise SpaceError(
            f"expected arguments of node {name!r} that JSON can hold, got {args}: {error}"
        ) from error


@lru_cache(maxsize=1 << 14)
def _read(text: str) -> Mapping[str, Any]:
    """Arguments from their JSON; many nodes have the same."""
    return MappingProxyType(json.loads(text, parse_float=_number))


def _number(text: str) -> float | int:
    """A float, or the integer that it equals: `dropout=0` and `dropout=0.0` are one network."""
    value = float(text)
    return int(value) if value.is_integer() and abs(value) < 2**53 else value
