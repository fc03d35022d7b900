"""Laws of every registered block; a new block is tested without a new test."""

import pytest

from optuna_nas.blocks import BLOCKS, Block
from optuna_nas.testing import BlockConformance


class TestRegisteredBlocks(BlockConformance):
    @pytest.fixture(params=sorted(BLOCKS))
    def block(self, request: pytest.FixtureRequest) -> type[Block]:
        return BLOCKS[request.param]
