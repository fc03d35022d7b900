"""How a training uses its device well: its precision, its memory format, where its data is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.accelerators import CUDAAccelerator
from lightning.pytorch.callbacks import Callback
from torch.utils.data import DataLoader

from optuna_nas.datasets.batches import TensorData
from optuna_nas.study.loaders import again

__all__ = ["ChannelsLast", "near", "precision"]

FASTER = ("cpu", "cuda")
"""Types of devices on which kernels are laid out channels-last."""

SHARE = 0.25
"""Most of a GPU's free memory that a split of the data may take."""


def precision(arguments: Mapping[str, Any]) -> str:
    """Precision of a training, as Lightning names it.

    The user's own, else bf16 autocast on a CUDA device that computes in it, else single.

    Args:
        arguments: The user's for the Trainer.

    Source: Kalamkar et al. 2019, arXiv:1905.12322.
    """
    if arguments.get("precision") is not None:
        return str(arguments["precision"])
    wanted = arguments.get("accelerator", "auto")
    on_gpu = wanted in ("auto", "cuda", "gpu") or isinstance(wanted, CUDAAccelerator)
    if "plugins" in arguments or not on_gpu or not torch.cuda.is_available():
        return "32-true"
    bf16 = torch.cuda.is_bf16_supported(including_emulation=False)
    return "bf16-mixed" if bf16 else "32-true"


class ChannelsLast(Callback):
    """Keeps the kernels of convolutions channels-last while they are trained, on CPU and CUDA.

    Activations follow the kernels: tensor cores want them so, and so does oneDNN, 1 to 1.5 times
    as fast with the convolutions of our spaces. What has no kernels stays.
    """

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Lay them out, in the process that trains."""
        if trainer.strategy.root_device.type in FASTER:
            pl_module.to(memory_format=torch.channels_last)

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Leave the network as it came."""
        if trainer.strategy.root_device.type in FASTER:
            pl_module.to(memory_format=torch.contiguous_format)


def near(make: Callable[[], Any], device: torch.device) -> Any:
    """The loader that a data module makes, with data in memory as near to the device as it fits.

    Data of an `ArrayDataModule` is copied to a CUDA device once, where it takes little of what is
    free; otherwise its batches are pinned, so that they are copied while the device computes.
    Other loaders, and those with workers, stay as they are.
    """
    loader = make()
    plain = isinstance(loader, DataLoader) and isinstance(loader.dataset, TensorData)
    if device.type != "cuda" or not plain or loader.num_workers:
        return loader
    free, _ = torch.cuda.mem_get_info(device)
    if loader.dataset.nbytes > SHARE * free:
        return again(loader, pin_memory=True)
    return again(loader, dataset=loader.dataset.to(device), pin_memory=False)
