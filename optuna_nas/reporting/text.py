"""Numbers and names as people read them."""

from __future__ import annotations

import math
from collections.abc import Iterable

__all__ = ["duration", "heading", "one_line", "quantity", "with_spread"]


def quantity(value: float) -> str:
    """A number with four significant digits; whole numbers with thousands separated."""
    if not math.isfinite(value):
        return str(value)
    if value == int(value) and abs(value) < 1e15:
        return f"{int(value):,}"
    magnitude = math.floor(math.log10(abs(value)))
    if not -5 < magnitude < 9:
        return f"{value:.3e}"
    return f"{value:,.{max(0, 3 - magnitude)}f}"


def with_spread(value: float, spread: float | None) -> str:
    """A number and its spread to the same decimal, such as `0.412 ± 0.011`."""
    if spread is None or not (math.isfinite(spread) and spread > 0) or not math.isfinite(value):
        return quantity(value)
    decimals = min(9, max(0, 1 - math.floor(math.log10(spread))))
    return f"{value:,.{decimals}f} ± {spread:,.{decimals}f}"


def duration(seconds: float) -> str:
    """Seconds as `2 d 3:04:05`, `1:02:03` or `2:03`."""
    minutes, second = divmod(round(seconds), 60)
    hours, minute = divmod(minutes, 60)
    days, hour = divmod(hours, 24)
    if days:
        return f"{days} d {hour}:{minute:02}:{second:02}"
    return f"{hour}:{minute:02}:{second:02}" if hour else f"{minute}:{second:02}"


def heading(name: str, unit: str) -> str:
    """Name and unit of an objective as one heading, such as `latency (ms)`."""
    return f"{name} ({unit})" if unit else name


def one_line(parts: Iterable[str]) -> str:
    """The parts that are not empty, on one line and without control characters."""
    text = "  ".join(part for part in parts if part)
    return "".join(c for c in " ".join(text.splitlines()) if c.isprintable())
