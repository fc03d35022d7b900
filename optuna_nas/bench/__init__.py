"""Benchmarks that anyone can run: `optuna-nas bench NAME`; ratios of one run.

Each module has `run() -> dict` (JSON values) and `table(result)`.
"""
