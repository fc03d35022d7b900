"""A worker: a process that runs a trial whenever the process that started it says so.

python -m optuna_nas.study.workers.worker DESCRIPTOR
"""

from __future__ import annotations

import logging
import os
import pickle
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from multiprocessing.connection import Connection
from typing import TYPE_CHECKING

import optuna

from optuna_nas.exceptions import NASError
from optuna_nas.study.loop import cheap_collection, run_trial
from optuna_nas.study.storages.opening import patiently
from optuna_nas.study.storages.patience import PATIENCE
from optuna_nas.study.workers.interrupts import Interrupts
from optuna_nas.study.workers.messages import Begun, Died, Epoch, Forward, Line, Ready

if TYPE_CHECKING:
    from optuna.storages import BaseStorage

    from optuna_nas.study.search import Search

__all__ = ["main", "serve"]

_logger = logging.getLogger(__name__)


def main(descriptor: int) -> None:
    """Be a worker of the process that started this one."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C in a terminal is for the parent
    interrupts = Interrupts((signal.SIGTERM,))
    threading.Thread(target=_end_with, args=(os.getppid(),), daemon=True).start()
    serve(Connection(descriptor), interrupts.check)


def serve(connection: Connection, check: Callable[[], None] = lambda: None) -> None:
    """Open the study that the first message describes, then run a trial for each message.

    Args:
        connection: To the process that started this one.
        check: Raises KeyboardInterrupt where an interrupt was lost.
    """
    line = Line(connection)
    try:
        paths, levels = line.receive()
        sys.path[:] = dict.fromkeys((*paths, *sys.path))
        # Whoever started this process has reached the storage, so it is waited for.
        search, storage = patiently(partial(pickle.loads, connection.recv_bytes()), PATIENCE)
        _serve(search, storage, line, check, levels)
    except (EOFError, KeyboardInterrupt):
        return
    except NASError as error:
        line.send(Died(str(error), type(error)(str(error))))
    except Exception as error:
        _logger.info("a worker ends", exc_info=True)
        line.send(Died(f"{type(error).__name__}: {error}"))


def _serve(
    search: Search,
    storage: BaseStorage,
    line: Line,
    check: Callable[[], None],
    levels: tuple[int, int],
) -> None:
    def on_epoch(trial: int | None, epoch: int, values: Mapping[str, float]) -> None:
        check()
        line.send(Epoch(trial, epoch, dict(values)))

    def objective(trial: optuna.Trial) -> list[float]:
        line.send(Begun(trial._trial_id))
        return search.objective(trial, on_epoch)

    optuna.logging.set_verbosity(optuna.logging.ERROR)  # that the study is there is no news
    study = search.study(storage, joins=True)
    search.estimator.prepare(search, study, on_epoch)
    with _forwarded_logs(line, *levels), cheap_collection():
        line.send(Ready(None))
        while line.receive():
            ended = run_trial(study, objective)
            check()
            line.send(Ready(ended._trial_id))


@contextmanager
def _forwarded_logs(line: Line, level: int, verbosity: int) -> Iterator[None]:
    """Have what is logged here logged by the process that started this one."""
    root, handler = logging.getLogger(), Forward(line)
    root.setLevel(level)
    root.addHandler(handler)
    logging.captureWarnings(True)
    optuna.logging.disable_default_handler()
    optuna.logging.enable_propagation()
    optuna.logging.set_verbosity(verbosity)
    try:
        yield
    finally:
        root.removeHandler(handler)


def _end_with(parent: int) -> None:
    """Interrupt this process once its parent is no more, even in a trial."""
    while os.getppid() == parent:
        time.sleep(1)
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    main(int(sys.argv[1]))
