"""Laws of a block."""

from __future__ import annotations

import json
import pickle

import torch

from optuna_nas.blocks import Block, Shape
from optuna_nas.blocks.usual import SHAPES, usual

__all__ = ["BlockConformance"]


class BlockConformance:
    """Laws of a block. Subclass it with a fixture `block`, the class."""

    def cases(self, block: type[Block]) -> list[tuple[Block, tuple[Shape, ...], Shape]]:
        """Blocks with usual arguments, the shapes that they read, and the one they promise."""
        found = [
            (module.double(), shapes, module.output_shape(*shapes))
            for module, shapes in usual(block)
        ]
        assert found, f"no inputs of {SHAPES} suit {block.__name__}"
        return found

    def inputs(self, block: Block, shapes: tuple[Shape, ...]) -> list[torch.Tensor]:
        """Noise; for a block that takes token ids, ids that any vocabulary of two has."""
        generator = torch.Generator().manual_seed(0)
        if block.input_dtype is not None:
            return [torch.randint(2, (6, *shape), generator=generator) for shape in shapes]
        return [
            torch.randn(6, *s, generator=generator, dtype=torch.double, requires_grad=True)
            for s in shapes
        ]

    def test_output_has_the_shape_that_was_promised(self, block: type[Block]) -> None:
        for module, shapes, promised in self.cases(block):
            for training in (True, False):
                output = module.train(training)(*self.inputs(module, shapes))
                assert output.shape == (6, *promised)
                assert torch.isfinite(output).all()

    def test_default_output_shape_agrees(self, block: type[Block]) -> None:
        for module, shapes, promised in self.cases(block)[:3]:
            assert Block.output_shape(module.float(), *shapes) == promised

    def test_every_parameter_and_input_receives_a_gradient(self, block: type[Block]) -> None:
        torch.manual_seed(0)
        for module, shapes, _ in self.cases(block):
            inputs = self.inputs(module, shapes)
            output = module(*inputs)
            (output * torch.randn_like(output)).sum().backward()
            felt = [("input", x) for x in inputs if x.requires_grad and not block.constant]
            for name, tensor in [*module.named_parameters(), *felt]:
                assert tensor.grad is not None, name
                assert torch.isfinite(tensor.grad).all(), name
                assert tensor.grad.abs().max() > 1e-9, f"{name} has no effect"

    def test_only_a_constant_block_ignores_its_input(self, block: type[Block]) -> None:
        for module, shapes, _ in self.cases(block)[:3]:
            if module.input_dtype is None:
                one, other = ([sign * x for x in self.inputs(module, shapes)] for sign in (1, -1))
                assert torch.equal(module(*one), module(*other)) == block.constant

    def test_a_pickled_copy_computes_the_same(self, block: type[Block]) -> None:
        for module, shapes, _ in self.cases(block):
            inputs = self.inputs(module, shapes)
            copy = pickle.loads(pickle.dumps(module.eval()))
            torch.testing.assert_close(copy(*inputs), module(*inputs))

    def test_builds_without_memory_on_the_meta_device(self, block: type[Block]) -> None:
        with torch.device("meta"):
            for module, _ in usual(block):
                assert all(parameter.is_meta for parameter in module.parameters())

    def test_choices_are_plain_data(self, block: type[Block]) -> None:
        assert json.loads(json.dumps(block.choices)) == {k: [*v] for k, v in block.choices.items()}

    def test_names_its_source(self, block: type[Block]) -> None:
        assert block.__doc__
