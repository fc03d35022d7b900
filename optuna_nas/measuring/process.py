"""A process that only measures: a crash or a leak in a candidate harms nothing else."""

from __future__ import annotations

import atexit
import os
import pickle
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable
from functools import lru_cache
from multiprocessing.connection import Connection
from typing import Any, TypeVar, cast

import cloudpickle
import psutil

from optuna_nas.exceptions import MeasurementError
from optuna_nas.processes import command

__all__ = ["MeasuringProcess", "for_device"]

T = TypeVar("T")

SECONDS = 1800.0
"""How long an answer may take: waiting for the device and compiling are included."""
LEAK = 2 << 30
"""Bytes that the process may grow by before it is started anew."""


class MeasuringProcess:
    """Calls functions in another process, started at the first call and again after a crash.

    Functions, arguments and results are pickled; classes that a script defines travel whole.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None

    def call(self, function: Callable[..., T], *arguments: Any) -> T:
        """Call a function there and return its result.

        Raises:
            MeasurementError: The arguments cannot be sent, or the process died or hung.
            Exception: What the function raised.
        """
        try:
            request = cloudpickle.dumps((function, arguments))
        except Exception as error:
            raise MeasurementError(
                f"expected a network that can be pickled, to be measured in a process of its own, "
                f"got {type(error).__name__}: {error}"
            ) from error
        with self._lock:
            try:
                self._start()
                succeeded, result = self._answer(request)
            except BaseException:
                self.stop()
                raise
            self._stop_if_leaking()
        if not succeeded:
            raise result
        return cast("T", result)

    def stop(self) -> None:
        """End the process; the next call starts another one."""
        if self._process is None:
            return
        if self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGKILL)  # with the compilers that it started
        self._process.wait()
        self._connection.close()
        self._errors.close()
        self._process = None

    def _start(self) -> None:
        if self._process is not None and self._process.poll() is None:
            return
        self.stop()
        ours, theirs = socket.socketpair()
        with theirs:
            self._errors = tempfile.TemporaryFile()
            self._process = subprocess.Popen(
                command("optuna_nas.measuring", str(theirs.fileno())),
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=self._errors,
                start_new_session=True,  # Ctrl-C in the terminal is for the parent
            )
        self._connection = Connection(ours.detach())
        self._size = 0

    def _answer(self, request: bytes) -> tuple[bool, Any]:
        try:
            self._connection.send(sys.path)
            self._connection.send_bytes(request)
            if not self._connection.poll(SECONDS):
                raise MeasurementError(
                    f"gave up a measurement after {SECONDS:g} s without an answer"
                )
            answer: tuple[bool, Any] = pickle.loads(self._connection.recv_bytes())
            return answer
        except (EOFError, OSError) as error:
            raise MeasurementError(self._death()) from error

    def _death(self) -> str:
        code = self._process.wait() if self._process else 0
        names = {-known: known.name for known in signal.Signals}
        ending = f"by {names.get(code, -code)}" if code < 0 else f"with exit code {code}"
        self._errors.seek(0)
        said = self._errors.read().decode(errors="replace").strip().splitlines()[-5:]
        return "\n  ".join([f"the measuring process ended {ending} while it measured", *said])

    def _stop_if_leaking(self) -> None:
        size = psutil.Process(self._process.pid).memory_info().rss if self._process else 0
        self._size = self._size or size
        if size > self._size + LEAK:
            self.stop()


@lru_cache
def for_device(device: str) -> MeasuringProcess:
    """The measuring process of this process for a device such as `cpu` or `cuda:0`."""
    process = MeasuringProcess()
    atexit.register(process.stop)
    return process
