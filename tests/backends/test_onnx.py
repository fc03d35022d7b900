"""ONNX files: exported, opened in ONNX Runtime, and quantised."""

import os
import subprocess
import sys
from collections import Counter

import pytest
import torch
from torch import nn

import optuna_nas as nas
from optuna_nas import backends
from optuna_nas.exceptions import MeasurementError
from optuna_nas.testing.backends import standardise

SHAPE = (3, 8, 8)


pytestmark = pytest.mark.usefixtures("onnxruntime")


def architecture() -> nas.Architecture:
    """Every kind of operator of the CNN space."""
    return nas.Architecture.chain(
        [
            ("stem", "conv", {"channels": 8, "stride": 2}),
            ("wide", "separable", {"channels": 8, "kernel": 5, "squeeze": True, "residual": True}),
            ("mix", "conv", {"channels": 16, "kernel": 1, "activation": "silu"}),
            ("head", "classify", {}),
        ]
    )


@pytest.fixture(scope="module")
def network() -> nn.Module:
    torch.manual_seed(0)
    network = nas.build(architecture(), SHAPE, 10)
    standardise(network, torch.randn(64, *SHAPE))
    return network.eval()


@pytest.fixture(scope="module")
def exported(network: nn.Module) -> bytes:
    return backends.export_onnx(network, torch.zeros(1, *SHAPE), dynamic_batch=True)


def operators(model: bytes) -> Counter[str]:
    import onnx

    return Counter(node.op_type for node in onnx.load_from_string(model).graph.node)


def test_batches_of_any_size_compute_as_eager_pytorch(network: nn.Module, exported: bytes) -> None:
    opened = backends.session(exported)
    for batch in (1, 2, 7):
        x = torch.randn(batch, *SHAPE)
        (output,) = opened.run(None, {"input": x.numpy()})
        torch.testing.assert_close(torch.from_numpy(output), network(x).detach())


def test_the_backend_runs_what_onnx_runtime_runs(network: nn.Module) -> None:
    x = torch.randn(4, *SHAPE)
    with torch.inference_mode():
        output = backends.find("onnxruntime")().load(network, x, 1)()
    (direct,) = backends.session(backends.export_onnx(network, x)).run(None, {"input": x.numpy()})
    assert torch.equal(output, torch.from_numpy(direct))


def test_batch_normalisation_is_folded_into_convolutions(exported: bytes) -> None:
    assert "BatchNormalization" not in operators(exported)


def test_equal_networks_make_equal_files(exported: bytes, tmp_path) -> None:
    """In another process, from code that lies elsewhere."""
    script = tmp_path / "elsewhere.py"
    script.write_text(
        "import sys, torch, optuna_nas as nas\n"
        "from optuna_nas.backends import export_onnx\n"
        f"sys.path.insert(0, {os.path.dirname(__file__)!r})\n"
        "import test_onnx\n"
        "network = test_onnx.network.__wrapped__()\n"
        "file = export_onnx(network, torch.zeros(1, *test_onnx.SHAPE), dynamic_batch=True)\n"
        "sys.stdout.buffer.write(file)\n"
    )
    result = subprocess.run([sys.executable, script], capture_output=True, check=True)
    assert result.stdout == exported
    assert b"optuna_nas" not in exported and os.path.dirname(__file__).encode() not in exported


def test_exporting_says_nothing_and_changes_nothing(
    network: nn.Module, capfd: pytest.CaptureFixture[str]
) -> None:
    backends.export_onnx(network, torch.zeros(1, *SHAPE))
    assert capfd.readouterr() == ("", "")
    assert not network.training and torch.is_grad_enabled()


@pytest.mark.parametrize("threads", [1, 2])
def test_threads_are_those_asked_for(exported: bytes, threads: int) -> None:
    options = backends.session(exported, threads).get_session_options()
    assert options.intra_op_num_threads == threads
    assert options.inter_op_num_threads == 1
    assert options.get_session_config_entry("session.force_spinning_stop") == "1"


def test_the_backend_asks_for_its_threads(network: nn.Module, monkeypatch) -> None:
    asked = []
    before = torch.get_num_threads()
    real = backends.session

    def watched(model: bytes, threads: int, device: torch.device):
        asked.append(threads)
        return real(model, threads, device)

    monkeypatch.setattr("optuna_nas.backends.onnxruntime.session", watched)
    backends.find("onnxruntime")().load(network, torch.zeros(1, *SHAPE), threads=2)
    torch.set_num_threads(before)
    assert asked == [2]


def test_a_device_without_a_provider_is_an_error(
    exported: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("onnxruntime.get_available_providers", lambda: ["CPUExecutionProvider"])
    for ask in (
        lambda: backends.session(exported, device="cuda:0"),
        lambda: backends.find("onnxruntime")().check("cuda:0"),
    ):
        with pytest.raises(MeasurementError, match=r"CUDAExecutionProvider.*onnxruntime-gpu"):
            ask()


def test_quantised_convolutions_and_linear_layers_are_computed_in_integers(
    network: nn.Module, exported: bytes, tmp_path
) -> None:
    import onnxruntime

    int8 = backends.quantize(exported, [torch.randn(16, *SHAPE)])
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(tmp_path / "optimised.onnx")
    options.log_severity_level = 3
    onnxruntime.InferenceSession(int8, options, providers=["CPUExecutionProvider"])
    found = operators((tmp_path / "optimised.onnx").read_bytes())
    assert found["QLinearConv"] == 6 and found["QGemm"] == 1 and found["QLinearAdd"] == 1
    assert not {"Conv", "Gemm", "Add", "Mul", "Sigmoid"} & set(found)


def test_quantised_networks_mostly_agree(network: nn.Module, exported: bytes) -> None:
    x = torch.randn(256, *SHAPE)
    opened = backends.session(backends.quantize(exported, [torch.randn(64, *SHAPE)] * 2))
    (output,) = opened.run(None, {"input": x.numpy()})
    agree = torch.from_numpy(output).argmax(1) == network(x).argmax(1)
    assert agree.float().mean() > 0.9


def test_the_calibration_decides_the_ranges(exported: bytes) -> None:
    x = torch.randn(16, *SHAPE)
    narrow, wide = (backends.quantize(exported, [scale * x]) for scale in (1, 100))
    assert narrow != wide
    assert narrow == backends.quantize(exported, [x])


def test_quantising_without_data_says_so(exported: bytes) -> None:
    with pytest.raises(MeasurementError, match=r"cannot be quantised: ValueError: No data"):
        backends.quantize(exported, [])


def test_layer_normalisation_stays_in_single_precision() -> None:
    drawn = nas.Architecture.chain(
        [("hidden", "linear", {"features": 8, "norm": "layer"}), ("head", "classify", {})]
    )
    network = nas.build(drawn, (4,), 3).eval()
    file = backends.export_onnx(network, torch.zeros(1, 4), dynamic_batch=True)
    int8 = backends.quantize(file, [torch.randn(8, 4)])
    assert operators(int8)["LayerNormalization"] == 1
    assert b"norm.weight_quantized" not in int8
