"""Whether a signal came while a storage was being read or written."""

from __future__ import annotations

import os
from types import FrameType

__all__ = ["in_storage"]

PLACES = (
    "sqlalchemy",
    os.path.join("optuna", "storages"),
    os.path.join("optuna_nas", "study", "storages"),
)
"""Parts of the paths of code that must not be left half-way."""


def in_storage(frame: FrameType | None) -> bool:
    """Whether a frame, or one that called it, is code of a storage."""
    while frame is not None:
        if any(place in frame.f_code.co_filename for place in PLACES):
            return True
        frame = frame.f_back
    return False
