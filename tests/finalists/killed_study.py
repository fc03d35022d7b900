"""A study of seconds whose finalists are killed, and a process that starts each command by a fork.

    python -m tests.finalists.killed_study

reads a command a line, as the JSON list of its arguments, a file for its output, and after how
many steps of its work it shall kill itself, 0 for never; it answers with how many it took, and
with its exit status. Steps are what the interpreter tells audit hooks: files that are opened,
moved and removed, modules that are imported ... They are the same however fast the machine is.
"""

from __future__ import annotations

import importlib
import json
import os
import signal
import sys
import traceback
from functools import partial
from typing import Any

import sklearn.datasets
import torch

import optuna_nas as nas
from optuna_nas.cli import main
from optuna_nas.finalists import forms
from optuna_nas.study import checkpoints

x, y = sklearn.datasets.load_digits(return_X_y=True)
search = nas.Search(
    name="killed",
    space=nas.spaces.MLP(layers=(1, 2), widths=(8, 16)),
    data=nas.datasets.ArrayDataModule(x[:600], y[:600], batch_size=64),
    module=partial(nas.model.Classifier, learning_rate=1e-2, warmup_steps=5),
    objectives=["accuracy", "parameters"],
    fidelity=nas.Budget(epochs=(1, 2)),
    threads=1,
    trials=4,
)
retraining = nas.finalists.Retraining(epochs=6, seeds=2, average=0.9, patience=4)


def _serve() -> None:
    torch.set_num_threads(1)
    checkpoints.EVERY_SECONDS, checkpoints.SHARE = 0.0, float("inf")  # every epoch leaves one
    forms._time = lambda *_: (None, "")  # latencies take seconds each, and are no work to lose
    for name in ("lightning", "torch.export", "torch._dynamo", "scipy.stats", "onnxruntime"):
        importlib.import_module(name)
    for line in sys.stdin:
        arguments, output, last = json.loads(line)
        told, tell = os.pipe()
        process = os.fork()
        if process == 0:
            os.dup2(os.open(output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), 1)
            _run(arguments, last, tell)
        os.close(tell)
        status = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
        with os.fdopen(told) as steps:
            print(json.dumps([int(steps.read() or 0), status]), flush=True)


def _run(arguments: list[str], last: int, tell: int) -> None:
    """Run a command and exit, past what PyTorch would do, which a fork has no threads for."""
    status: Any = 1
    begin, steps = nas.finalists.run_finals, 0

    def step(*_: Any) -> None:
        nonlocal last, steps
        steps += 1
        if 0 < last <= steps:
            last = 0  # to kill is such a step, too
            os.kill(os.getpid(), signal.SIGKILL)

    def begun(*given: Any, **named: Any) -> Any:
        sys.addaudithook(step)
        return begin(*given, **named)

    nas.finalists.run_finals = begun
    try:
        main(arguments)
    except SystemExit as exited:
        status = exited.code or 0
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        os.write(tell, b"%d" % steps)
        os._exit(status)


if __name__ == "__main__":
    _serve()
