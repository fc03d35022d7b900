"""Blocks: one node of an architecture -> `nn.Module`.

Every module of this folder is imported here, so a file that registers a block is all that a new
block needs.
"""

import importlib
import pkgutil

from optuna_nas.blocks.block import BLOCKS, Block, Head, Shape, find, register
from optuna_nas.blocks.convolution import Conv, Separable
from optuna_nas.blocks.darts import DilConv, FactorizedReduce, SepConv
from optuna_nas.blocks.dense import Linear
from optuna_nas.blocks.head import Classify
from optuna_nas.blocks.merge import Add, Concat
from optuna_nas.blocks.mobile import MBConv
from optuna_nas.blocks.pool import Pool
from optuna_nas.blocks.relu_conv import ReLUConv
from optuna_nas.blocks.truncate import Truncate

__all__ = [
    "BLOCKS",
    "Add",
    "Block",
    "Classify",
    "Concat",
    "Conv",
    "DilConv",
    "FactorizedReduce",
    "Head",
    "Linear",
    "MBConv",
    "Pool",
    "ReLUConv",
    "SepConv",
    "Separable",
    "Shape",
    "Truncate",
    "find",
    "register",
]

for _module in pkgutil.iter_modules(__path__):
    importlib.import_module(f"{__name__}.{_module.name}")
