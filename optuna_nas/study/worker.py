"""A worker: a process that runs a trial whenever the process that started it says so.

python -m optuna_nas.study.worker DESCRIPTOR
"""

from __future__ import annotations

import logging
import os
import pickle
import signal
import sys
import threading
import time
from collections.abc import Mapping
from functools import partial
from multiprocessing.connection import Connection
from typing import TYPE_CHECKING, Any

import optuna

from optuna_nas.exceptions import NASError
from optuna_nas.study.interrupts import Interrupts
from optuna_nas.study.loop import cheap_collection, run_trial
from optuna_nas.study.messages import Died, Epoch, Forward, Line, Ready

if TYPE_CHECKING:
    from optuna_nas.study.search import Search

__all__ = ["main"]


def main(descriptor: int) -> None:
    """Open the study that the first message describes, then run a trial for each message."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C in a terminal is for the parent
    interrupts = Interrupts((signal.SIGTERM,))
    threading.Thread(target=_end_with, args=(os.getppid(),), daemon=True).start()
    connection = Connection(descriptor)
    line = Line(connection)
    try:
        sys.path[:], levels = line.receive()
        search, storage = pickle.loads(connection.recv_bytes())
        _serve(search, storage, line, interrupts, levels)
    except (EOFError, KeyboardInterrupt):
        return
    except NASError as error:
        line.send(Died(str(error), type(error)(str(error))))
    except Exception as error:
        logging.getLogger(__name__).info("a worker ends", exc_info=True)
        line.send(Died(f"{type(error).__name__}: {error}"))


def _serve(
    search: Search, storage: Any, line: Line, interrupts: Interrupts, levels: tuple[int, int]
) -> None:
    def on_epoch(trial: int | None, epoch: int, values: Mapping[str, float]) -> None:
        interrupts.check()
        line.send(Epoch(trial, epoch, dict(values)))

    optuna.logging.set_verbosity(optuna.logging.ERROR)  # that the study is there is no news
    study = search.study(storage)
    _forward_logs(line, *levels)
    search.estimator.prepare(search, study, on_epoch)
    with cheap_collection():
        line.send(Ready(None))
        while line.receive():
            ended = run_trial(study, partial(search.objective, on_epoch=on_epoch))
            interrupts.check()
            line.send(Ready(ended._trial_id))


def _forward_logs(line: Line, level: int, verbosity: int) -> None:
    root = logging.getLogger()
    root.setLevel(level)
    root.addHandler(Forward(line))
    logging.captureWarnings(True)
    optuna.logging.disable_default_handler()
    optuna.logging.enable_propagation()
    optuna.logging.set_verbosity(verbosity)


def _end_with(parent: int) -> None:
    """Interrupt this process once its parent is no more, even in a trial."""
    while os.getppid() == parent:
        time.sleep(1)
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    main(int(sys.argv[1]))
