"""What a training does for a GPU, decided here without one; on a CPU nothing changes."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from lightning.pytorch.callbacks import Callback
from optuna.storages import InMemoryStorage
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import optuna_nas as nas
from optuna_nas.datasets.batches import EpochSampler, TensorData
from optuna_nas.study.acceleration import ChannelsLast, near, precision

CUDA = torch.device("cuda")


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """A pretended CUDA device that computes in bf16, with 1 MB free."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: True)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (1_000_000, 2_000_000))
    monkeypatch.setattr(TensorData, "to", lambda self, device: _Placed(self.x, self.y, device))
    return monkeypatch


class _Placed(TensorData):
    """Data that was copied to a device, in pretence."""

    def __init__(self, x: torch.Tensor, y: torch.Tensor, device: torch.device) -> None:
        super().__init__(x, y)
        self.device = device


def data(size: int = 100, **options: Any) -> nas.datasets.ArrayDataModule:
    x = np.random.default_rng(0).normal(size=(size, 1, 8, 8))
    made = nas.datasets.ArrayDataModule(x, np.arange(size) % 2, batch_size=16, **options)
    made.setup("fit")
    return made


def search(**trainer: Any) -> nas.Search:
    return nas.Search(
        name="accelerated",
        space=nas.spaces.CNN(input_shape=(1, 8, 8), blocks=(1, 1), channels=(8,)),
        data=data(),
        objectives=["accuracy", "parameters"],
        fidelity=nas.Budget(1),
        pruner="none",
        trainer=trainer,
        trials=1,
    )


class TestPrecision:
    @pytest.mark.parametrize("accelerator", ["auto", "gpu", "cuda"])
    def test_is_bf16_on_a_gpu_that_computes_in_it(
        self, gpu: pytest.MonkeyPatch, accelerator: str
    ) -> None:
        assert precision({"accelerator": accelerator}) == precision({}) == "bf16-mixed"
        gpu.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: False)
        assert precision({"accelerator": accelerator}) == "32-true"

    @pytest.mark.usefixtures("gpu")
    def test_is_what_the_user_says(self) -> None:
        assert precision({"precision": "16-mixed"}) == "16-mixed"
        assert precision({"accelerator": "cpu"}) == "32-true"
        assert precision({"plugins": []}) == "32-true"

    def test_is_single_without_a_gpu(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
        assert precision({}) == "32-true"

    def test_is_part_of_a_trainings_identity_but_not_of_the_search(
        self, gpu: pytest.MonkeyPatch
    ) -> None:
        on_gpu = search()
        assert on_gpu.training_description["precision"] == "bf16-mixed"
        gpu.setattr(torch.cuda, "is_available", lambda: False)
        on_cpu = search()
        assert on_cpu.training_description != on_gpu.training_description
        assert on_cpu.description == on_gpu.description
        explicit = search(precision="bf16-mixed").training_description["precision"]
        assert explicit == "bf16-mixed"


class TestChannelsLast:
    def laid_out(self, device: str) -> tuple[bool, bool]:
        """Whether the kernels are channels-last in training, and after it."""
        network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten(), nn.Linear(4, 2))
        trainer: Any = SimpleNamespace(strategy=SimpleNamespace(root_device=torch.device(device)))
        callback, kernels, linear = ChannelsLast(), network[0].weight, network[2].weight.clone()
        found = []
        for step in (callback.setup, callback.teardown):
            step(trainer, nas.model.Classifier(network), "fit")
            found.append(network[0].weight.is_contiguous(memory_format=torch.channels_last))
        assert network[0].weight is kernels
        assert torch.equal(network[2].weight, linear)
        return found[0], found[1]

    @pytest.mark.parametrize("device", ["cpu", "cuda"])
    def test_kernels_are_so_during_training(self, device: str) -> None:
        assert self.laid_out(device) == (True, False)

    def test_nothing_changes_elsewhere(self) -> None:
        assert self.laid_out("mps") == (False, False)


@pytest.mark.usefixtures("gpu")
class TestData:
    def test_small_data_is_copied_to_the_gpu_once(self) -> None:
        made = data()
        own, placed = made.train_dataloader(), near(made.train_dataloader, CUDA)
        assert isinstance(placed.dataset, _Placed)
        assert placed.dataset.device == CUDA
        assert isinstance(placed.sampler, EpochSampler)
        for epoch in (0, 3):
            own.sampler.set_epoch(epoch)
            placed.sampler.set_epoch(epoch)
            assert all(
                torch.equal(a, b)
                for one, other in zip(own, placed, strict=True)
                for a, b in zip(one, other, strict=True)
            )

    def test_larger_data_is_pinned(self) -> None:
        made = data(size=2000)
        for make in (made.train_dataloader, made.val_dataloader):
            assert make().dataset.nbytes > 0
        pinned = near(made.train_dataloader, CUDA)
        assert pinned.pin_memory
        assert pinned.dataset is made.train_dataloader().dataset

    def test_workers_and_other_loaders_stay(self) -> None:
        working = data(num_workers=1).train_dataloader()
        others = DataLoader(TensorDataset(torch.zeros(4)))
        for loader in (working, others, [1, 2]):
            assert near(lambda loader=loader: loader, CUDA) is loader

    def test_on_a_cpu_loaders_stay(self) -> None:
        loader = data().train_dataloader()
        assert near(lambda: loader, torch.device("cpu")) is loader


class _Looking(Callback):
    """Notes how it is trained."""

    seen: dict[str, Any] = {}

    def on_train_epoch_end(self, trainer: Any, pl_module: Any) -> None:
        kernels = [p for p in pl_module.parameters() if p.ndim == 4]
        _Looking.seen = {
            "precision": trainer.precision,
            "contiguous": all(p.is_contiguous() for p in kernels),
            "loader": trainer.train_dataloader,
        }


def test_on_a_cpu_a_search_trains_as_it_did() -> None:
    made = search(accelerator="cpu", callbacks=[_Looking()])
    made.run(storage=InMemoryStorage())
    assert _Looking.seen["precision"] == "32-true"
    assert _Looking.seen["contiguous"]
    assert _Looking.seen["loader"].dataset is made.data.train_dataloader().dataset
    assert not {"train_dataloader", "val_dataloader"} & set(vars(made.data))
