"""What is finished of a long comparison, so that it can go on after an interruption."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import optuna_nas
from optuna_nas.bench.ledger import Payment
from optuna_nas.bench.replay import Replay
from optuna_nas.exceptions import DescriptionError

__all__ = ["Kept", "Lines", "digest"]


def digest(path: Path) -> str:
    """SHA-256 of a file, its first twelve digits."""
    return hashlib.sha256(path.read_bytes()).hexdigest()[:12]


class Lines:
    """What is finished, in a file beside the result, a line for each.

    Args:
        output: File that the result will be in; None keeps nothing.
        about: What is compared; what was kept of something else is not taken over.

    Attributes:
        lines: What was kept before, as JSON values.

    Raises:
        DescriptionError: The result is there already, or what is kept is of something else.
    """

    def __init__(self, output: Path | None, about: Mapping[str, Any]) -> None:
        self.lines: list[Any] = []
        self._output = output
        if output is None:
            return
        if output.exists() or not output.parent.is_dir():
            why = "there already" if output.exists() else "in no folder that there is"
            raise DescriptionError(f"expected a new file for the result, got {output}, {why}")
        self._file = output.with_name(f"{output.name}.part")
        about = json.loads(json.dumps(about))
        if self._file.exists():
            self.lines = self._read(about)
        else:
            self.add(about)

    def add(self, value: Any) -> None:
        """Keep what is finished."""
        if self._output is not None:
            with self._file.open("a") as file:
                file.write(json.dumps(value) + "\n")

    def finish(self, result: Mapping[str, Any]) -> None:
        """Write the result, and drop what was kept for it."""
        if self._output is not None:
            draft = self._output.with_name(f"{self._output.name}.draft")
            draft.write_text(json.dumps(result) + "\n")
            draft.replace(self._output)
            self._file.unlink()

    def _read(self, about: Mapping[str, Any]) -> list[Any]:
        text = self._file.read_text()
        whole = text[: text.rfind("\n") + 1]  # a kill may have cut the last line
        first, *lines = [json.loads(line) for line in whole.splitlines()] or [None]
        if first != about:
            raise DescriptionError(
                f"expected {self._file} to be of this comparison, {about}, got {first}; "
                "remove it, or choose another file for the result"
            )
        self._file.write_text(whole)
        return lines


class Kept:
    """Finished replays, as `Lines` keeps them; those of other code are not taken over.

    Args:
        output: File that the result will be in; None keeps nothing.
        about: What is compared.

    Attributes:
        found: Method and seed -> their replay.

    Raises:
        DescriptionError: The result is there already, or what is kept is of something else.
    """

    def __init__(self, output: Path | None, about: Mapping[str, Any]) -> None:
        self.found: dict[tuple[str, int], Replay] = {}
        self._lines = Lines(output, {**about, "code": _code()})
        for method, seed, paid, milliseconds in self._lines.lines:
            searches = [[Payment(*payment) for payment in search] for search in paid]
            self.found[method, seed] = Replay(searches, milliseconds)

    def add(self, method: str, seed: int, replay: Replay) -> None:
        """Keep a finished replay."""
        self.found[method, seed] = replay
        self._lines.add([method, seed, replay.paid, replay.milliseconds])

    def finish(self, result: Mapping[str, Any]) -> None:
        """Write the result, and drop what was kept for it."""
        self._lines.finish(result)


def _code() -> str:
    """Digest of this package's code, by which replays are what they are."""
    folder = Path(optuna_nas.__file__).parent
    return hashlib.sha256(
        b"".join(path.read_bytes() for path in sorted(folder.rglob("*.py")))
    ).hexdigest()[:12]
