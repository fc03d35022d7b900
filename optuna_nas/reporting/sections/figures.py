"""Figures in a page."""

from __future__ import annotations

import gzip
import json
from base64 import b64encode
from typing import Any, NamedTuple

import plotly.graph_objects as go
from markupsafe import Markup

__all__ = ["Embedded", "embedded", "packed", "quoted"]


class Embedded(NamedTuple):
    """A figure in the page.

    Args:
        name: Tells it from others of the page.
        label: What it shows, for those who do not see it.
        json: Its data and layout.
        height: In pixels, where its contents ask for one.
    """

    name: str
    label: str
    json: Markup
    height: int | None


def embedded(name: str, label: str, drawn: go.Figure) -> Embedded:
    """A figure without its title, which the page has above it."""
    legend = 64 if any(trace.showlegend is not False for trace in drawn.data) else 16
    drawn.update_layout(title=None, margin_t=legend)
    return Embedded(name, label, quoted(drawn.to_json()), drawn.layout.height)


def quoted(text: str) -> Markup:
    """JSON that no text inside it can end early."""
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return Markup(text)


def packed(content: Any) -> Markup:
    """Text, or values as JSON, compressed: gzip in Base64, which browsers unpack by themselves."""
    text = content if isinstance(content, str) else json.dumps(content, separators=(",", ":"))
    data = text.encode("utf-8", errors="replace")
    return Markup(b64encode(gzip.compress(data, mtime=0)).decode("ascii"))
