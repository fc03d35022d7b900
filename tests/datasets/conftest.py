"""Where real data may lie."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest


@pytest.fixture
def published(absent: Callable[[str], object]) -> Path:
    """Folder of the published data sets."""
    folder = Path(os.environ.get("OPTUNA_NAS_DATA", Path(__file__).parents[3] / "shared/data"))
    if not folder.is_dir():
        absent(f"the published data sets are not in {folder}")
    return folder
