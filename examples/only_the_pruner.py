"""Hyperband with two objectives in a plain Optuna study, trained by Lightning."""

import lightning
import optuna
import torch

import optuna_nas as nas

data = nas.datasets.Digits()  # or any LightningDataModule


def objective(trial):
    width = trial.suggest_int("width", 4, 64)
    hidden = torch.nn.Linear(64, width), torch.nn.ReLU()
    network = torch.nn.Sequential(torch.nn.Flatten(), *hidden, torch.nn.Linear(width, 10))
    size = sum(p.numel() for p in network.parameters())
    callback = nas.PruningCallback(trial, monitor="val_accuracy", known={"parameters": size})
    trainer = lightning.Trainer(
        max_epochs=9,
        callbacks=[callback],
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
    )
    trainer.fit(nas.model.Classifier(network), datamodule=data)  # or any LightningModule
    return trainer.callback_metrics["val_accuracy"].item(), size


if __name__ == "__main__":
    study = optuna.create_study(
        study_name="only_the_pruner",  # the bracket of a trial hangs on the name
        directions=["maximize", "minimize"],
        sampler=nas.samplers.NSGAII(seed=0),
        pruner=nas.pruners.ParetoHyperband(min_resource=1, max_resource=9),
    )
    study.set_metric_names(["accuracy", "parameters"])
    study.optimize(objective, n_trials=10)
    for trial in study.best_trials:
        print({"number": trial.number, "params": trial.params, "values": trial.values})
