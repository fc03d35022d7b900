"""ONNX file -> ONNX Runtime session."""

from __future__ import annotations

from typing import Any

import torch

from optuna_nas.backends.export import EXTRA, PACKAGES
from optuna_nas.backends.require import require
from optuna_nas.exceptions import MeasurementError

__all__ = ["expect_provider", "session"]

_PROVIDERS = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}


def session(model: bytes, threads: int = 1, device: torch.device | str = "cpu") -> Any:
    """Open an ONNX file in ONNX Runtime.

    Args:
        model: The file's content.
        threads: Threads of the CPU for one pass.
        device: Where it runs: the CPU, or a CUDA device.

    Raises:
        MeasurementError: The packages are missing, or ONNX Runtime has no provider for the device.
    """
    require(EXTRA, *PACKAGES)
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3  # errors
    # Threads spin while a pass runs, as by default, but not on after it: they would take the
    # cores from what is measured next.
    options.add_session_config_entry("session.force_spinning_stop", "1")
    where = torch.device(device)
    provider = expect_provider(where)
    settings = {}
    if where.type == "cuda":
        settings["device_id"] = where.index or 0
        # No operator may run on the CPU in silence.
        options.add_session_config_entry("session.disable_cpu_ep_fallback", "1")
    opened = onnxruntime.InferenceSession(model, options, providers=[(provider, settings)])
    if provider not in opened.get_providers():  # it falls back to the CPU without an error
        raise _no(provider, opened.get_providers())
    return opened


def expect_provider(device: torch.device | str) -> str:
    """What runs networks on a device in ONNX Runtime, which must be installed.

    Raises:
        MeasurementError: This ONNX Runtime was built without.
    """
    import onnxruntime

    provider = _PROVIDERS[torch.device(device).type]
    if provider not in onnxruntime.get_available_providers():
        raise _no(provider, onnxruntime.get_available_providers())
    return provider


def _no(provider: str, there: list[str]) -> MeasurementError:
    return MeasurementError(
        f"expected ONNX Runtime with {provider}, got {', '.join(there)}; "
        "for a GPU install onnxruntime-gpu in the place of onnxruntime, with CUDA and cuDNN"
    )
