"""Peak memory: known values, and what the system saw of a process that did the same."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from optuna_nas.exceptions import DescriptionError, MeasurementError
from optuna_nas.measuring import Setup
from optuna_nas.measuring.memory import peak_bytes
from optuna_nas.objectives import Candidate, PeakMemory

FLOAT = 4


def chain() -> nn.Module:
    return nn.Sequential(nn.Linear(256, 512), nn.ReLU(), nn.Linear(512, 128)).eval()


def test_a_chain_holds_its_weights_its_input_and_two_neighbours() -> None:
    measurement = PeakMemory()(Candidate(chain(), (256,), 128))
    weights = 256 * 512 + 512 + 512 * 128 + 128
    assert measurement.details["weights"] == FLOAT * weights
    assert measurement.details["activations"] == FLOAT * (256 + 512 + 512)
    assert measurement.value == FLOAT * (weights + 256 + 512 + 512)
    assert measurement.spread is None


def test_activations_grow_with_the_batch_and_weights_do_not() -> None:
    one, eight = (PeakMemory(batch=n)(Candidate(chain(), (256,), 128)) for n in (1, 8))
    assert eight.details["weights"] == one.details["weights"]
    assert eight.details["activations"] == 8 * one.details["activations"]


def test_half_precision_halves_the_weights_and_leaves_the_network_alone() -> None:
    one = Candidate(chain(), (256,), 128)
    full = PeakMemory()(one).details["weights"]
    assert PeakMemory(precision="bf16")(one).details["weights"] == full / 2
    assert next(one.network.parameters()).dtype == torch.float32


def test_a_branch_is_held_until_it_is_added() -> None:
    class Residual(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.second = nn.Linear(64, 64), nn.Linear(64, 64)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            kept = self.first(x)
            return kept + self.second(kept)

    found = PeakMemory()(Candidate(Residual(), (64,), 64))
    assert found.details["activations"] == FLOAT * 4 * 64  # input, kept, second, sum


def test_shared_weights_and_buffers_count_once() -> None:
    shared = nn.Linear(32, 32, bias=False)
    network = nn.Sequential(shared, nn.BatchNorm1d(32, affine=False), shared)
    found = PeakMemory()(Candidate(network, (32,), 32))
    counter = 8  # batches tracked, an int64
    assert found.details["weights"] == FLOAT * (32 * 32 + 2 * 32) + counter


def test_repeats_are_equal() -> None:
    network = nn.Sequential(nn.Conv2d(3, 24, 3), nn.ReLU(), nn.Conv2d(24, 8, 5, groups=4))
    values = {PeakMemory()(Candidate(network, (3, 20, 20))).value for _ in range(3)}
    assert len(values) == 1


BIG = """
import sys
import torch
from torch import nn
torch.set_num_threads(1)
network = nn.Sequential(
    nn.Conv2d(3, 64, 3, padding=1), nn.ReLU(), nn.Conv2d(64, 64, 3, padding=1), nn.SiLU(),
    nn.Conv2d(64, 64, 3, padding=1, groups=64), nn.Conv2d(64, 32, 3, padding=1),
).eval()
x = torch.ones(1, 3, 512, 512)
"""
SEEN = """
def memory(key):
    lines = open('/proc/self/status').read().splitlines()
    return next(1024 * int(line.split()[1]) for line in lines if line.startswith(key))

with torch.inference_mode():
    network(x[..., :16, :16])
    open('/proc/self/clear_refs', 'w').write('5')  # forget the peak so far
    before = memory('VmRSS')
    network(x)
    print(memory('VmHWM') - before)
"""


def test_it_is_what_the_system_sees_a_process_take(absent) -> None:
    """Operators of convolutions hold half as much again as the tensors between them."""
    if not Path("/proc/self/clear_refs").exists():
        absent("needs Linux, which tells the peak of a process's memory")
    command = [sys.executable, "-c", BIG + SEEN]
    seen = int(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    namespace: dict[str, nn.Module] = {}
    exec(BIG, namespace)  # the same network
    found = PeakMemory()(Candidate(namespace["network"], (3, 512, 512), None))
    allocated = found.details["activations"] - namespace["x"].nbytes
    assert allocated == pytest.approx(seen, rel=0.02)
    tensors = 2 * 64 * 512 * 512 * FLOAT
    assert allocated > 1.4 * tensors


def test_a_profiler_that_reports_nothing_is_no_measurement(monkeypatch) -> None:
    monkeypatch.setattr("optuna_nas.measuring.memory._on_cpu", lambda network, example: 0)
    with pytest.raises(MeasurementError, match=r"expected .* 1024 bytes of the input, got 0"):
        peak_bytes(chain(), torch.zeros(1, 256), Setup())


def test_too_little_memory_is_a_recorded_failure() -> None:
    class Huge(nn.Linear):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 9 TiB")

    with pytest.raises(MeasurementError, match=r"on cpu: .*out of memory.*9 TiB"):
        peak_bytes(Huge(4, 4), torch.zeros(1, 4), Setup())


def test_on_a_gpu_the_allocators_statistics_are_read(monkeypatch) -> None:
    from optuna_nas.measuring import memory

    calls = []
    stubs = {
        "synchronize": lambda device: None,
        "memory_allocated": lambda device: 1000,
        "reset_peak_memory_stats": lambda device: calls.append("reset"),
        "max_memory_allocated": lambda device: 6120 if calls == ["reset", "run"] else 0,
    }
    for name, stub in stubs.items():
        monkeypatch.setattr(torch.cuda, name, stub)
    network = nn.Identity()
    network.register_forward_hook(lambda *_: calls.append("run"))
    assert memory._on_gpu(network, torch.zeros(1, 256)) == 5120


def test_wrong_arguments_and_absent_devices_are_refused() -> None:
    with pytest.raises(DescriptionError, match="batch"):
        PeakMemory(batch=0)
    with pytest.raises(DescriptionError, match="fp32"):
        PeakMemory(precision="fp3")
    if not torch.cuda.is_available():
        with pytest.raises(MeasurementError, match="cuda"):
            PeakMemory(device="cuda:0").check()
