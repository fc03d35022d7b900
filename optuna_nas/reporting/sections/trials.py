"""Every trial."""

from __future__ import annotations

from typing import Any

from optuna_nas.reporting.sections.seen import Seen, row

__all__ = ["section"]


def section(seen: Seen) -> dict[str, Any]:
    """All trials as rows, and their outcomes."""
    on_front = {record.number for record in seen.found}
    return {
        "rows": [row(record, seen, record.number in on_front) for record in seen.everything],
        "outcomes": sorted({record.outcome for record in seen.everything}),
    }
