"""Numbers and names as people read them."""

from __future__ import annotations

import math
from collections.abc import Iterable

__all__ = [
    "duration",
    "finite",
    "heading",
    "one_line",
    "percent",
    "quantity",
    "short",
    "with_spread",
]


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


def finite(value: float | None) -> float | None:
    """A number that JSON has; None for NaN and infinities, which it has not."""
    return value if value is not None and math.isfinite(value) else None


def short(value: float) -> str:
    """A number with three significant digits, large ones as `5.4M`."""
    for limit, suffix in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if limit <= abs(value) < 1e12:
            return f"{value / limit:.3g}{suffix}"
    return f"{value:.3g}"


def with_spread(value: float, spread: float | None) -> str:
    """A number and its spread to the same decimal, such as `0.412 ± 0.011`."""
    if spread is None or not (math.isfinite(spread) and spread > 0) or not math.isfinite(value):
        return quantity(value)
    decimals = min(9, max(0, 1 - math.floor(math.log10(spread))))
    return f"{value:,.{decimals}f} ± {spread:,.{decimals}f}"


def percent(share: float) -> str:
    """A share as per cent with two significant digits, such as `1.5 %`."""
    return f"{float(f'{100 * share:.2g}'):g} %"


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
