"""A run that is killed in the middle of a training, and two processes that go on with its study.

python examples/resume_and_workers.py
"""

import subprocess
import sys
import time

import optuna_nas as nas

storage = "sqlite:///shared.db"  # workers on several machines need a server: postgresql://...
search = nas.Search(
    name="shared",
    space=nas.spaces.CNN(input_shape=(1, 8, 8), blocks=(1, 3), channels=(8, 16)),
    data=nas.datasets.Digits(),
    objectives=["accuracy", "parameters"],
    fidelity=nas.Budget(epochs=(1, 9)),
    threads=1,  # so that workers do not fight for the cores
)


if __name__ == "__main__":
    if sys.argv[1:] == ["worker"]:
        search.run(trials=3, storage=storage)
        raise SystemExit
    worker = subprocess.Popen([sys.executable, __file__, "worker"])
    study = search.study(storage)
    while not any("nas:step:1" in trial.system_attrs for trial in study.trials):
        time.sleep(0.05)
    worker.kill()  # in the middle of a training, as a power cut would
    worker.wait()
    search.run(trials=4, storage=storage, workers=2)  # in two processes
    for trial in study.trials:  # the first was lost; a later one goes on with its network
        left = trial.user_attrs
        print(trial.number, trial.state.name, left.get("continues"), left.get("ended"))
    print(nas.reporting.front_json(study))
