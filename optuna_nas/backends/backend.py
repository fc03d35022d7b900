"""What every backend is, and the registry that finds one by its name."""

from __future__ import annotations

import abc
from collections.abc import Callable
from typing import ClassVar

import torch
from torch import Tensor, nn

from optuna_nas.backends.attempt import attempt
from optuna_nas.backends.require import require
from optuna_nas.exceptions import MeasurementError
from optuna_nas.names import choose, registrar

__all__ = ["BACKENDS", "Backend", "Run", "find", "register"]

Run = Callable[[], object]
"""Runs one forward pass and returns the network's output on its device, a tensor or a tuple of
tensors, which the next run may overwrite. On a GPU the work may still be going on."""


class Backend(abc.ABC):
    """A way to run a network.

    Attributes:
        extra: Extra of this package that installs what it needs; None where PyTorch is enough.
        packages: What that extra installs.
        devices: Types of the devices that it runs on.
        references: Name of the backend that runs the reference networks beside it: one that
            makes them ready in little time, with the same threads.
    """

    extra: ClassVar[str | None] = None
    packages: ClassVar[tuple[str, ...]] = ()
    devices: ClassVar[tuple[str, ...]] = ("cpu", "cuda")
    references: ClassVar[str] = "eager"

    def load(self, network: nn.Module, example: Tensor, threads: int) -> Run:
        """Make a network ready to run: compiled for this input, and run once.

        Load and run inside `torch.inference_mode()`. What comes back runs one forward pass on the
        example and nothing else: nothing is copied to or from the device.

        Args:
            network: In evaluation mode, on the device and in the precision to run in.
            example: One input (B, ...) alike.
            threads: Threads of the CPU for one pass. PyTorch counts them for the whole process
                (`torch.set_num_threads`), and they are set here.

        Raises:
            MeasurementError: The backend is not installed, does not run on this device, or cannot
                run this network, with the reason.
        """
        self.check(example.device.type)
        torch.set_num_threads(threads)
        on = f"{example.device} ({str(example.dtype).removeprefix('torch.')})"
        what = f"{type(self).__name__} cannot run the network on {tuple(example.shape)}, {on}"
        with attempt(what), torch.inference_mode():
            network(example)  # what does not fit is told best by PyTorch itself
            run = self.prepare(network, example, threads)
            run()
        return run

    @abc.abstractmethod
    def prepare(self, network: nn.Module, example: Tensor, threads: int) -> Run:
        """Do what `load` promises, but for its checks and the first run; any error may be raised.

        Args:
            network: As given to `load`.
            example: As given to `load`.
            threads: As given to `load`; already set in PyTorch.
        """

    def check(self, device: str = "cpu") -> None:
        """See whether the backend is here, without a network; this costs next to nothing.

        Args:
            device: Where it shall run, such as `cpu` or `cuda:0`.

        Raises:
            MeasurementError: It is not installed or not for this device, with what to do.
        """
        if self.extra is not None:
            require(self.extra, *self.packages)
        if torch.device(device).type not in self.devices:
            raise MeasurementError(
                f"expected a device of type {' or '.join(self.devices)} for "
                f"{type(self).__name__}, got {device}; choose another backend or device"
            )

    def version(self) -> str:
        """What runs the network, such as `torch 2.13.0`."""
        return f"torch {torch.__version__}"


BACKENDS: dict[str, type[Backend]] = {}
"""Name -> backend, which needs no arguments."""

register = registrar("backend", BACKENDS)
"""Decorator `register(name)`: makes a class the backend of this name."""


def find(name: str) -> type[Backend]:
    """Return the class of a backend.

    Raises:
        DescriptionError: There is none of that name; the error lists the names there are.
    """
    return choose("backend", name, BACKENDS)
