"""Recipes that take their process with them, or keep it for ever."""

import ctypes
import os
import signal
from pathlib import Path

import torch

import optuna_nas as nas


class Crashing:
    """A recipe that takes its process with it: once, or, without a file, always."""

    def __init__(self, file: Path | None = None) -> None:
        self.file = file

    def __call__(self, network: torch.nn.Module) -> nas.model.Classifier:
        if self.file is None or not self.file.exists():
            if self.file is not None:
                self.file.touch()
            os.kill(os.getpid(), signal.SIGSEGV)
        return nas.model.Classifier(network)


def stuck(network: torch.nn.Module) -> nas.model.Classifier:
    """Hangs in C, with the lock of Python, where no signal wakes it: it waits for itself."""
    library, mutex = ctypes.PyDLL(None), ctypes.create_string_buffer(64)
    for _ in range(2):
        library.pthread_mutex_lock(mutex)
    raise AssertionError("expected to be ended while it waits")
