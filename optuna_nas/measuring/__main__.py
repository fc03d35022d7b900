"""The measuring process: answers what its parent asks, until the parent closes the line."""

from __future__ import annotations

import gc
import os
import pickle
import signal
import sys
import threading
import time
from multiprocessing.connection import Connection
from typing import Any

import cloudpickle
import torch  # before it looks into folders of the user's

from optuna_nas.exceptions import MeasurementError


def main(descriptor: int) -> None:
    """Call each function that arrives, and send back what it returns or raises."""
    threading.Thread(target=_end_with, args=(os.getppid(),), daemon=True).start()
    connection = Connection(descriptor)
    while True:
        try:
            sys.path[:] = connection.recv()
            request = connection.recv_bytes()
        except EOFError:
            return
        answer = _answer(request)
        _release()
        connection.send_bytes(answer)


def _answer(request: bytes) -> bytes:
    try:
        function, arguments = pickle.loads(request)
        return _packed((True, function(*arguments)))
    except Exception as error:
        return _packed((False, error))


def _packed(answer: tuple[bool, Any]) -> bytes:
    try:
        packed = bytes(cloudpickle.dumps(answer))
        pickle.loads(packed)
        return packed
    except Exception:  # an error that cannot be sent, or made again
        return pickle.dumps((False, MeasurementError(f"{type(answer[1]).__name__}: {answer[1]}")))


def _release() -> None:
    """Give memory of the GPU back to others, now that nothing holds the network.

    After some errors a GPU does nothing more in this process: this raises then, and the parent
    finds the process ended and starts another one.
    """
    if torch.cuda.is_initialized():
        gc.collect()
        for device in range(torch.cuda.device_count()):
            if torch.cuda.memory_reserved(device):  # others are not opened for this
                torch.cuda.synchronize(device)
        torch.cuda.empty_cache()


def _end_with(parent: int) -> None:
    """End this process and all that it started once its parent is no more, even in a call."""
    while os.getppid() == parent:
        time.sleep(1)
    os.killpg(0, signal.SIGKILL)


if __name__ == "__main__":
    main(int(sys.argv[1]))
