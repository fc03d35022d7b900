"""Optional packages: there, or an error that says how to install them."""

from __future__ import annotations

import importlib.util

from optuna_nas.exceptions import NotInstalledError

__all__ = ["require"]


def require(extra: str, *packages: str) -> None:
    """See whether packages are installed, without importing them.

    Args:
        extra: Extra of this package that installs them.
        *packages: Names to import.

    Raises:
        NotInstalledError: One is missing; with the command that installs it.
    """
    missing = [package for package in packages if importlib.util.find_spec(package) is None]
    if missing:
        raise NotInstalledError(
            f'{", ".join(missing)} not installed; pip install "optuna-nas[{extra}]"'
        )
