"""The search itself: a description that can be run, and resumed from storage."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

import optuna
from optuna.distributions import BaseDistribution
from optuna.storages import BaseStorage

from optuna_nas.exceptions import DescriptionError
from optuna_nas.names import file_name, sqlite_url
from optuna_nas.study.begin import prepare
from optuna_nas.study.bucket import place_of
from optuna_nas.study.definition import Definition
from optuna_nas.study.exhaustion import Exhaustion
from optuna_nas.study.feasibility import Feasibility, look
from optuna_nas.study.loop import Callbacks, in_turn, run_trials
from optuna_nas.study.remeasure import Progress
from optuna_nas.study.storages.opening import connect, working
from optuna_nas.study.training import OnEpoch
from optuna_nas.study.transfer import measure_anew
from optuna_nas.study.trial import TrialRun
from optuna_nas.study.workers import Workers
from optuna_nas.study.workers.crew import in_processes

__all__ = ["Search"]


@dataclass(frozen=True, kw_only=True)
class Search(Definition):
    """A search for the Pareto front of a space, described once, run and resumed at will.

    Args:
        name: Name of the study.
        space: Draws an `Architecture` or a `torch.nn.Module` from a trial.
        data: The data; the test split is never touched.
        objectives: What a network must be good at, in order; objectives or their names.
        constraints: Quantities that are measured and capped, but not optimised.
        module: Makes the LightningModule to train from the network, and from the hyperparameters
            of a `Joint` space; a classifier by default.
        fidelity: How long a network is trained, at least and at most; on which share of the data
            and at which resolution.
        sampler: `nsga2`, `predictor`, `regularized-evolution`, `local-search`, `reinforce`,
            `tpe`, `gp`, `optuna-nsga2`, `random`, or any sampler; Optuna's own learn as in
            `samplers.MultiFidelity`.
        pruner: `hyperband`, `learning-curve` (stops what is unlikely to end on the front),
            `freeze-thaw` (with `predictor`, which takes paused networks up again), `none`, or any
            Optuna pruner that allows several objectives; `hyperband` by default.
        estimator: How what only trained weights show is found out: by training each network from
            scratch, or, by `supernet.OneShot`, with the weights of one training for all.
        trainer: Further arguments of the Lightning Trainer, such as `precision`: by default bf16
            autocast on a CUDA device that computes in it.
        threads: Threads that PyTorch may use for training; its own choice by default. Small
            networks train faster with 1, and never fight other workers for the cores.
        checkpoints: Folder from which a network that was paused, interrupted or lost is taken up
            again; by default `<name>.checkpoints` beside the study's SQLite file, or in the
            working directory. Or `s3://bucket/prefix`, a bucket of S3 or of a server like it, from
            which workers of other machines go on too; boto3 takes its endpoint and credentials
            from `AWS_ENDPOINT_URL` and the like. None for no checkpoints.
        quota: Bytes that all checkpoints together may take; beyond them the oldest go, and those
            networks begin anew when they are taken up again. As many as there are by default.
        time_limit: Seconds that one trial may take; one that takes longer, as where a data loader
            hangs, fails. What hangs in C code is ended, half a minute later, with its process, so
            only where trials run in workers, as `optuna-nas run` has them where there is a limit.
            As long as it takes by default.
        logger: Makes the Lightning logger of a training from the name of the study and the number
            of the trial, such as `lambda study, trial: TensorBoardLogger("logs", study, trial)`; a
            trial taken up again has its first number. By default nothing is logged.
        weights: Folder where the weights of networks trained to the end are kept, as safetensors;
            by default they are not.
        seed: Seed of the sampler, of the weights and of the training.
        samples: Untrained networks drawn before a search with caps begins, to see what share of
            the space keeps them; 0 for none.
        trials: Trials of a run that does not say otherwise.
        max_failures: After more failures of one kind in a row the search stops itself.
        smoke: Arguments that differ in a run of seconds; by default few trials and epochs.

    Raises:
        DescriptionError: An unknown name, or parts that do not fit together.
    """

    @cached_property
    def prepared(self) -> WeakKeyDictionary[BaseStorage, dict[int, dict[str, BaseDistribution]]]:
        """Parameters of each study that was prepared in this process, and their distributions."""
        return WeakKeyDictionary()

    def __getstate__(self) -> dict[str, Any]:
        return {key: value for key, value in vars(self).items() if key != "prepared"}

    def as_smoke(self) -> Search:
        """The same search in seconds, as a study of its own.

        Raises:
            DescriptionError: `smoke` has an argument that a Search does not.
        """
        smoke = self.estimator.smoke if self.smoke is None else self.smoke
        names = {f.name for f in fields(self)} - {"smoke", "name"}
        if unknown := sorted(set(smoke) - names):
            raise DescriptionError(f"expected smoke={{...}} of {sorted(names)}, got {unknown}")
        return replace(self, name=f"{self.name}-smoke", smoke={}, **smoke)

    def study(
        self,
        storage: str | BaseStorage | None = None,
        remeasure: bool = False,
        progress: Progress = lambda done, of: None,
        joins: bool = False,
    ) -> optuna.Study:
        """Create the study, or open it to continue.

        Args:
            storage: URL or storage; by default the SQLite file `<name>.db` in this directory.
            remeasure: Whether the trials of a study that was begun on another device are measured
                anew on this one; the old study stays as `<name>@<digest of its device>`.
            progress: Told after each trial that is measured anew, and of how many.
            joins: Whether this is a worker of a process that has used the bucket for the
                checkpoints: where that is away by now, trainings go on unsaved.

        Raises:
            StudyError: The storage cannot be opened, or holds another search under this name; or
                the bucket for the checkpoints cannot be used.
            NotInstalledError: What talks to such a bucket is missing.
        """
        directions = [o.direction for o in self.optimised]
        opened = connect(storage or sqlite_url(Path(file_name(self.name, ".db"))))
        place = place_of(self.checkpoints, self.name, opened)
        if place is not None and not joins:
            place.check()
        with working(storage or opened):
            if remeasure:
                measure_anew(self, opened, progress)
            study = optuna.create_study(
                study_name=self.name,
                storage=opened,
                directions=directions,
                sampler=self.make_sampler(),
                pruner=self.make_pruner(),
                load_if_exists=True,
            )
        prepare(self, study)
        return study

    def feasibility(self, samples: int | None = None) -> Feasibility:
        """See on untrained networks, drawn at random, what share of the space keeps the caps.

        Args:
            samples: How many to draw; `self.samples` by default.
        """
        return look(self, self.samples if samples is None else samples)

    def objective(self, trial: optuna.Trial, on_epoch: OnEpoch | None = None) -> list[float]:
        """Run one trial: a plain Optuna objective, for those who hold the loop themselves.

        Args:
            trial: A running trial of the study that `study` returned.
            on_epoch: As in `run`.
        """
        return TrialRun(self, trial, on_epoch)()

    def run(
        self,
        trials: int | None = None,
        storage: str | BaseStorage | None = None,
        timeout: float | None = None,
        until: int | None = None,
        callbacks: Callbacks = (),
        on_epoch: OnEpoch | None = None,
        remeasure: bool = False,
        workers: int | Workers | None = None,
    ) -> optuna.Study:
        """Start the search, or go on with it.

        It ends where the space has nothing new: a sampler that repeats itself is given a network
        that was not tried, and where there is none, the study's attribute `exhausted` says so.

        Args:
            trials: Trials to run now, beside those in storage; `self.trials` by default.
            storage: URL or storage; by default the SQLite file `<name>.db` in this directory.
            timeout: Seconds after which no further trial begins.
            until: Trials of the study, those of all workers on it, after which none begins here.
            callbacks: Called with the study and each trial that ends here, as in Optuna.
            on_epoch: Called with the trial's number, the epochs trained and the values reported.
            remeasure: As in `study`.
            workers: Processes that share the trials, so that one that crashes harms no other;
                all in this process by default.

        Raises:
            DescriptionError: The search, its storage or this machine is not for so many workers.
            StudyError: The study in storage belongs to another search, or to another machine.
            SearchStopped: Too many trials in a row failed for the same reason, or too many
                workers died.
            TrainingError: The supernet of a one-shot search cannot be trained.
            KeyboardInterrupt: The user stopped it; the running trial is marked and goes on next
                time.
        """
        study = self.study(storage, remeasure)
        self.estimator.prepare(self, study, on_epoch)
        count = self.trials if trials is None else trials
        if isinstance(workers, int):
            workers = Workers(workers)
        run_trials(
            study,
            in_turn(partial(self.objective, on_epoch=on_epoch))
            if workers is None
            else in_processes(self, workers, on_epoch),
            count,
            timeout,
            until,
            callbacks,
            self.max_failures,
            Exhaustion(self),
        )
        return study
