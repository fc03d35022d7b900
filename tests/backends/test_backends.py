"""Backends: found by name, and what they say where something is missing or does not work."""

import logging
import subprocess
import sys

import pytest
import torch
from torch import nn

from optuna_nas import backends
from optuna_nas.backends.compiler import expect_compiler
from optuna_nas.exceptions import DescriptionError, MeasurementError

EXAMPLE = torch.zeros(1, 4)


class DataDependent(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * 2 if x.sum() > 0 else x


class Named(nn.Module):
    def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
        return {"logits": x}


class Pair(nn.Module):
    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return x + 1, x * 2


def test_an_unknown_backend_is_told_the_known_ones() -> None:
    with pytest.raises(DescriptionError, match=r"onnxruntime.*did you mean 'onnxruntime'"):
        backends.find("onnx-runtime")


@pytest.mark.parametrize("name", sorted(backends.BACKENDS))
def test_a_missing_package_is_told_with_the_command_that_installs_it(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    backend = backends.find(name)()
    for package in backend.packages:
        monkeypatch.setitem(sys.modules, package, None)
    if backend.extra is None:
        backend.check(backend.devices[0])
        return
    for ask in (backend.check, lambda: backend.load(nn.Identity(), EXAMPLE, 1)):
        with pytest.raises(
            MeasurementError, match=rf'pip install "optuna-nas\[{backend.extra}\]"'
        ):
            ask()


def test_the_functions_of_onnx_tell_it_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxscript", None)
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    for call in (
        lambda: backends.export_onnx(nn.Identity(), EXAMPLE),
        lambda: backends.quantize(b"", []),
        lambda: backends.session(b""),
    ):
        with pytest.raises(
            MeasurementError, match=r'onnxruntime.*pip install "optuna-nas\[onnx\]"'
        ):
            call()


@pytest.mark.parametrize("name", ["aotinductor", "compile"])
def test_a_missing_compiler_is_told(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CXX", "no-such-compiler")
    with pytest.raises(MeasurementError, match=r"no-such-compiler.*install.*CXX"):
        backends.find(name)().check()


def test_the_compiler_that_is_named_is_looked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CXX", sys.executable)
    expect_compiler()


@pytest.mark.parametrize("name", ["aotinductor", "compile", "onnxruntime", "onnxruntime-int8"])
@pytest.mark.usefixtures("onnxruntime")
def test_a_network_that_cannot_be_exported_says_why_in_one_line(
    name: str, capfd: pytest.CaptureFixture[str]
) -> None:
    with torch.inference_mode(), pytest.raises(MeasurementError, match=r"(?i)data-dep") as caught:
        backends.find(name)().load(DataDependent().eval(), EXAMPLE, 1)
    assert "\n" not in str(caught.value)
    assert capfd.readouterr() == ("", "")
    assert not logging.getLogger("torch.fx.experimental.symbolic_shapes").disabled


def test_only_cuda_has_cuda_graphs() -> None:
    with pytest.raises(MeasurementError, match="expected a device of type cuda for CUDAGraph"):
        backends.find("cudagraph")().load(nn.Identity(), EXAMPLE, 1)


@pytest.mark.usefixtures("onnxruntime")
def test_several_outputs_come_back_as_several() -> None:
    run = backends.find("onnxruntime")().load(Pair().eval(), torch.ones(1, 4), 1)
    first, second = run()
    assert first.tolist() == second.tolist() == [[2.0] * 4]


@pytest.mark.usefixtures("onnxruntime")
def test_onnx_runtime_needs_tensors() -> None:
    with pytest.raises(MeasurementError, match="got dict; wrap it"):
        backends.find("onnxruntime")().load(Named().eval(), EXAMPLE, 1)


@pytest.mark.usefixtures("onnxruntime")
def test_int8_needs_single_precision_and_onnx_runtime_the_operators() -> None:
    convolution = nn.Conv1d(4, 4, 1).to(torch.bfloat16).eval()
    example = torch.zeros(1, 4, 4, dtype=torch.bfloat16)
    with torch.inference_mode():
        with pytest.raises(MeasurementError, match="expected a network in fp32"):
            backends.find("onnxruntime-int8")().load(convolution, example, 1)
        with pytest.raises(MeasurementError, match=r"bfloat16.*Conv"):
            backends.find("onnxruntime")().load(convolution, example, 1)


@pytest.mark.usefixtures("onnxruntime")
def test_half_precision_runs() -> None:
    linear, example = nn.Linear(4, 4).half().eval(), torch.ones(1, 4).half()
    with torch.inference_mode():
        run = backends.find("onnxruntime")().load(linear, example, 1)
        torch.testing.assert_close(run(), linear(example), rtol=1e-2, atol=1e-2)


def test_importing_the_backends_loads_no_onnx() -> None:
    loaded = "{'onnx', 'onnxruntime', 'onnxscript'} & set(sys.modules)"
    check = f"import sys, optuna_nas.backends; print({loaded})"
    result = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True)
    assert result.stdout.strip() == "set()", result.stderr


def test_compiled_networks_do_not_share_what_was_compiled(monkeypatch) -> None:
    """Networks of one class share their code; PyTorch would stop compiling at the limit."""
    monkeypatch.setattr("torch._dynamo.config.recompile_limit", 1)
    backend = backends.find("compile")()
    with torch.inference_mode():
        loaded = []
        for width in (3, 5):
            network = nn.Sequential(nn.Linear(4, width)).eval()
            loaded.append((backend.load(network, EXAMPLE, 1), network))
        for run, network in loaded:
            torch.testing.assert_close(run(), network(EXAMPLE))
