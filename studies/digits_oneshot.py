"""Loss against FLOPs of small CNNs on handwritten digits, with inherited weights.

The data and the space of digits_cnn.py. One supernet is trained for all networks; then each takes
a twentieth of a second. Two to three minutes on two cores.

    optuna-nas run studies/digits_oneshot.py
"""

from functools import partial

import optuna_nas as nas

search = nas.Search(
    name="digits_oneshot",
    space=nas.spaces.CNN(
        input_shape=(1, 8, 8), blocks=(1, 5), channels=(8, 16, 32, 64), kernels=(3, 5)
    ),
    data=nas.datasets.Digits(validation=0.25, batch_size=64),
    module=partial(nas.model.Classifier, learning_rate=1e-2, warmup_steps=100),
    objectives=["validation_loss", nas.objectives.FLOPs(max=3e6)],
    constraints=["accuracy"],
    estimator=nas.supernet.OneShot(epochs=60),
    threads=1,
    trials=400,
    smoke={"estimator": nas.supernet.OneShot(epochs=2), "samples": 50, "trials": 20},
)
