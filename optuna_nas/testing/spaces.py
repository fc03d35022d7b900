"""Laws of a space."""

from __future__ import annotations

import json
import os
import pickle
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import asdict, replace
from hashlib import sha256
from typing import Any

import numpy as np
import optuna
import pytest
import torch

from optuna_nas.architecture import COMMUTATIVE, INPUT, Architecture, Node
from optuna_nas.backends import export_onnx, session
from optuna_nas.blocks import BLOCKS, Head
from optuna_nas.exceptions import SpaceError
from optuna_nas.folding import LONGEST
from optuna_nas.model import build
from optuna_nas.samplers.virtual import Proposal, draw, heir
from optuna_nas.testing.backends import relative_error, standardise

__all__ = ["SpaceConformance"]

SAMPLES = 100
ANEW = 8
"""Times that a network with a parameter without effect gets other weights."""


def draws(space: Any, count: int = SAMPLES) -> Iterator[tuple[optuna.Trial, Architecture]]:
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    for _ in range(count):
        trial = study.ask()
        yield trial, space(trial)


def inputs(network: torch.nn.Module, batch: int, input_shape: tuple[int, ...]) -> torch.Tensor:
    """Noise (B, *input_shape); for a network that takes token ids, ids of a vocabulary of two."""
    if getattr(network, "input_dtype", None) is not None:
        return torch.randint(2, (batch, *input_shape))
    return torch.randn(batch, *input_shape)


def backward(network: torch.nn.Module, input_shape: tuple[int, ...]) -> set[str]:
    """Run forward and backward once; the parameters that a change of the output does not feel."""
    output = network(inputs(network, 4, input_shape))
    assert output.shape[:2] == (4, 5)
    assert torch.isfinite(output).all()
    (output * torch.randn_like(output)).sum().backward()
    silent = set()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None, name
        assert torch.isfinite(parameter.grad).all(), name
        silent |= set() if parameter.grad.any() else {name}
    return silent


def unfolded(architecture: Architecture) -> str:
    """What a network computes, as the hash of a tree: a node that is read twice is two nodes.

    Found without the digest, which it checks; networks with one digest have one tree.
    """
    texts = {INPUT: INPUT}
    for node in architecture.alive:
        read = [texts[source] for source in node.inputs]
        tree = f"{node}({','.join(sorted(read) if node.kind in COMMUTATIVE else read)})"
        texts[node.name] = sha256(tree.encode()).hexdigest()
    return texts[architecture.output]


def wiring(architecture: Architecture) -> str:
    """Kinds, arguments, connections and shared modules of the living nodes, without names."""
    places = {INPUT: -1} | {node.name: place for place, node in enumerate(architecture.alive)}
    modules = {module: place for place, module in enumerate(architecture.modules)}
    rows = [
        (n.kind, dict(n.args), [places[source] for source in n.inputs], modules[n.module])
        for n in architecture.alive
    ]
    return json.dumps(rows, sort_keys=True)


def kinds_of(space: Any, count: int) -> set[str]:
    """Kinds of blocks of networks drawn from a space, without those that end a network."""
    drawn = {node.kind for _, architecture in draws(space, count) for node in architecture.alive}
    return {kind for kind in drawn if not issubclass(BLOCKS[kind], Head)}


def is_constant(node: Node) -> bool:
    """Whether what a node returns does not depend on what it reads."""
    return BLOCKS[node.kind].constant


class SpaceConformance:
    """Laws of a space. Subclass it with fixtures `space` and `input_shape`."""

    def test_one_parameter_name_has_one_distribution(self, space: Any) -> None:
        known: dict[str, optuna.distributions.BaseDistribution] = {}
        for trial, _ in draws(space):
            for name, distribution in trial.distributions.items():
                assert known.setdefault(name, distribution) == distribution, name

    def test_ordered_sizes_are_no_categories(self, space: Any) -> None:
        for trial, _ in draws(space):
            for name, distribution in trial.distributions.items():
                if isinstance(distribution, optuna.distributions.CategoricalDistribution):
                    assert all(isinstance(c, (str, bool)) for c in distribution.choices), name

    def test_every_parameter_is_a_choice(self, space: Any) -> None:
        for trial, _ in draws(space):
            for name, distribution in trial.distributions.items():
                assert not distribution.single(), name

    def test_parameters_alone_decide(self, space: Any) -> None:
        for trial, architecture in draws(space, 20):
            assert space(optuna.trial.FixedTrial(trial.params)) == architecture

    def test_different_parameters_are_different_networks(self, space: Any) -> None:
        """Unless the digest says that they are one."""
        digests: dict[str, Architecture] = {}
        for _, architecture in draws(space):
            known = digests.setdefault(architecture.digest, architecture)
            assert unfolded(known) == unfolded(architecture)

    def test_networks_wired_alike_have_one_digest(self, space: Any) -> None:
        """Whatever their parameters are: among samples, and others that differ in one or two."""
        digests: dict[str, str] = {}
        generator = np.random.default_rng(0)
        for trial, architecture in draws(space):
            parent = Proposal(trial.params, trial.distributions)
            near = heir([parent], mutation=1 / len(trial.params), rng=generator)
            for network in (architecture, draw(space, near).drawn):
                assert digests.setdefault(wiring(network), network.digest) == network.digest

    def test_kinds_that_are_not_allowed_are_not_drawn(self, space: Any) -> None:
        """Each in turn, where the space can do without it; else it says that it cannot."""
        if not hasattr(space, "allowed"):
            pytest.skip("this space has no argument allowed")
        kinds = kinds_of(space, SAMPLES)
        assert kinds_of(replace(space, allowed=tuple(kinds)), 20) <= kinds
        for kind in kinds:
            others = tuple(kinds - {kind})
            try:
                restricted = replace(space, allowed=others)
            except SpaceError as refusal:
                assert "expected allowed" in str(refusal)
                assert repr(kind) in str(refusal) or not others
            else:
                assert kinds_of(restricted, 20) <= set(others)

    def test_json_restores_every_sample(self, space: Any) -> None:
        for _, architecture in draws(space):
            restored = Architecture.from_json(architecture.to_json())
            assert restored == architecture
            assert restored.digest == architecture.digest

    def test_every_sample_is_described_in_one_line(self, space: Any) -> None:
        for _, architecture in draws(space):
            line = architecture.describe()
            assert "\n" not in line and len(line) <= LONGEST
            start = re.match(r"(\d+ nodes: )?(\d+ x )?\[*(\w+=)?", line)
            assert start and line[start.end() :].startswith(tuple(BLOCKS))

    def test_every_sample_builds(self, space: Any, input_shape: tuple[int, ...]) -> None:
        for _, architecture in draws(space):
            network = build(architecture, input_shape, 5, device="meta")
            assert all(parameter.is_meta for parameter in network.parameters())

    def test_samples_run_forward_and_backward(
        self, space: Any, input_shape: tuple[int, ...]
    ) -> None:
        """Each parameter has an effect: with some weights, since with others a ReLU may rest."""
        torch.manual_seed(0)
        for _, architecture in draws(space, 8):
            silent = backward(build(architecture, input_shape, 5), input_shape)
            for _ in range(ANEW):
                silent &= silent and backward(build(architecture, input_shape, 5), input_shape)
            assert not silent

    def test_a_restored_sample_computes_the_same(
        self, space: Any, input_shape: tuple[int, ...]
    ) -> None:
        for _, architecture in draws(space, 4):
            network = build(architecture, input_shape, 5).eval()
            twin = build(Architecture.from_json(architecture.to_json()), input_shape, 5).eval()
            twin.load_state_dict(network.state_dict())
            x = inputs(network, 2, input_shape)
            torch.testing.assert_close(twin(x), network(x))

    def test_a_sample_computes_the_same_in_onnx_runtime(
        self, space: Any, input_shape: tuple[int, ...]
    ) -> None:
        """The smallest of some that depend on their input, since an export takes seconds.

        Within 1e-4 of how much the input changes the output, which with untrained statistics of
        batch normalisation would be next to nothing.
        """
        pytest.importorskip("onnxruntime")
        drawn = [a for _, a in draws(space, 12) if not any(map(is_constant, a.alive))]
        torch.manual_seed(0)
        network = build(min(drawn, key=lambda a: len(a.alive)), input_shape, 5)
        standardise(network, inputs(network, 64, input_shape))
        x = inputs(network.eval(), 4, input_shape)
        (found,) = session(export_onnx(network, x)).run(None, {"input": x.numpy()})
        with torch.inference_mode():
            assert relative_error(torch.from_numpy(found), network(x)) <= 1e-4

    def test_the_description_is_json_and_stable(self, space: Any) -> None:
        described = json.loads(json.dumps(asdict(space)))
        assert type(space)(**described) == space
        assert repr(type(space)(**described)) == repr(space)

    def test_digests_are_equal_in_another_process(self, space: Any) -> None:
        """Which has another hash seed and does without torch."""
        code = (
            "import optuna, pickle, sys; optuna.logging.set_verbosity(optuna.logging.ERROR)\n"
            f"space = pickle.loads({pickle.dumps(space)!r})\n"
            "study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))\n"
            "print(*(space(study.ask()).digest for _ in range(10)))\n"
            "assert 'torch' not in sys.modules, 'spaces must not import torch'"
        )
        environment = {**os.environ, "PYTHONHASHSEED": "7"}
        command = [sys.executable, "-c", code]
        output = subprocess.run(command, env=environment, check=True, capture_output=True)
        assert output.stdout.decode().split() == [a.digest for _, a in draws(space, 10)]
