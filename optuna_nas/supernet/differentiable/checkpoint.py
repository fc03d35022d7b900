"""Saving a search by gradients after each epoch, and finding out whether a file is of the same."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback

from optuna_nas.exceptions import StudyError
from optuna_nas.study.description import differences

__all__ = ["Saved"]


class Saved(Callback):
    """Writes a checkpoint after each epoch, which is there as a whole or not at all.

    Args:
        path: The file.
        description: What the search is, as JSON values.
    """

    def __init__(self, path: str | os.PathLike[str], description: dict[str, Any]) -> None:
        self.path = Path(path)
        self._description = description

    @property
    def resumed(self) -> Path | None:
        """The file to go on from, where there is one."""
        return self.path if self.path.exists() else None

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write it."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        part = self.path.with_name(f"{self.path.name}.part")
        trainer.save_checkpoint(part)
        os.replace(part, self.path)

    def state_dict(self) -> dict[str, Any]:
        """What the search is."""
        return {"description": self._description}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Refuse the checkpoint of another search.

        Raises:
            StudyError: It is; says what differs.
        """
        if changes := list(differences(state_dict["description"], self._description)):
            raise StudyError(
                f"expected in {self.path} the checkpoint of this search, got that of another: "
                f"{'; '.join(changes)}; name another file, or remove it"
            )
