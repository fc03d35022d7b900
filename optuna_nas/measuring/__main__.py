"""The measuring process: answers what its parent asks, until the parent closes the line."""

from __future__ import annotations

import gc
import pickle
import sys
from multiprocessing.connection import Connection
from typing import Any

import cloudpickle

from optuna_nas.exceptions import MeasurementError


def main(descriptor: int) -> None:
    """Call each function that arrives, and send back what it returns or raises."""
    connection = Connection(descriptor)
    sys.path[:] = connection.recv()
    while True:
        try:
            request = connection.recv_bytes()
        except EOFError:
            return
        try:
            function, arguments = pickle.loads(request)
            answer = True, function(*arguments)
        except Exception as error:
            answer = False, error
        connection.send_bytes(_packed(answer))
        del request, answer
        _release()


def _release() -> None:
    """Give memory of the GPU back to others; after an error as well."""
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_initialized():
        gc.collect()
        torch.cuda.empty_cache()


def _packed(answer: tuple[bool, Any]) -> bytes:
    try:
        return bytes(cloudpickle.dumps(answer))
    except Exception:  # an error that holds what cannot be sent
        return pickle.dumps((False, MeasurementError(f"{type(answer[1]).__name__}: {answer[1]}")))


if __name__ == "__main__":
    main(int(sys.argv[1]))
