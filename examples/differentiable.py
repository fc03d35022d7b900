"""Operators of a cell found by gradients, and the network trained from scratch in a study."""

import optuna_nas as nas

space = nas.spaces.NASBench201(input_shape=(1, 8, 8), cells=1, channels=8)
data = nas.datasets.Digits()

search = nas.Search(
    name="cells",
    space=space,
    data=data,
    objectives=["accuracy", "parameters"],
    fidelity=nas.Budget(epochs=(1, 3)),
    trainer={"accelerator": "cpu"},
)


def told(epoch):
    print(f"epoch {epoch.number}: loss {epoch.loss:.3f}, skips {epoch.skips:.0%}")


if __name__ == "__main__":
    darts = nas.supernet.DARTS(
        space=space,
        epochs=4,
        learning_rate=0.03,  # so high for a search this short
        selection="perturbation",  # keeps what is missed most, not what has the largest weight
        dropout=0.3,  # of what has no weights, and so learns the fastest
        trainer={"accelerator": "cpu"},
    )
    found = darts.fit(data, on_epoch=told)
    study = search.study()
    study.enqueue_trial(found.params)
    search.run(trials=2)  # its network first, then one of the study's sampler
    print(study.trials[0].user_attrs["network"], study.trials[0].values)
    print(nas.reporting.front_json(study))
