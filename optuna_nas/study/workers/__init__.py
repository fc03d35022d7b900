"""Trials in several processes: of this host, of a Ray cluster, or of any machine with the file."""

from optuna_nas.study.workers.resources import Workers

__all__ = ["Workers"]
