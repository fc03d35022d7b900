"""Names of parameters that belong together."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from typing import Self

__all__ = ["scope"]


def scope(trial: Any, name: str) -> Any:
    """A trial whose parameters are named `<name>.<parameter>`, so that parts do not collide.

    Scopes nest: `scope(scope(trial, "stage2"), "block1")` asks for `stage2.block1.width`. What
    comes back may also be the subject of a `with`.

    Args:
        trial: A trial of any kind, or one in a scope.
        name: What the parameters belong to.

    Returns:
        What does all that the trial does, and asks for parameters under the longer name.
    """
    return _Scoped(trial, name)


class _Scoped:
    """A trial seen from inside a scope."""

    def __init__(self, trial: Any, name: str) -> None:
        self._trial = trial
        self._name = name

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):  # a copy that is being made has no trial yet
            raise AttributeError(name)
        found = getattr(self._trial, name)
        if not name.startswith("suggest_"):
            return found

        def suggest(name: str, *args: Any, **kwargs: Any) -> Any:
            return found(f"{self._name}.{name}", *args, **kwargs)

        return suggest

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass
