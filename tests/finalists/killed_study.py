"""A study of seconds whose finalists are killed, and a process that starts each command by a fork.

    python -m tests.finalists.killed_study

reads a command a line, as the JSON list of its arguments and a file for its output; it answers
with the number of its process, `begun` where its work begins, and in the end its exit status.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
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
    answers = os.dup(1)
    begin = nas.finalists.run_finals

    def begun(*arguments: Any, **named: Any) -> Any:
        os.write(answers, b"begun\n")
        return begin(*arguments, **named)

    nas.finalists.run_finals = begun
    for line in sys.stdin:
        arguments, output = json.loads(line)
        process = os.fork()
        if process == 0:
            os.dup2(os.open(output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), 1)
            _run(arguments)
        os.write(answers, b"%d\n" % process)
        status = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
        os.write(answers, b"%d\n" % status)


def _run(arguments: list[str]) -> None:
    """Run a command and exit, past what PyTorch would do, which a fork has no threads for."""
    status: Any = 1
    try:
        main(arguments)
    except SystemExit as exited:
        status = exited.code or 0
    finally:
        sys.stdout.flush()
        os._exit(status)


if __name__ == "__main__":
    _serve()
