"""Blocks: one node of an architecture -> `nn.Module`.

Every module of this folder is imported here, so a file that registers a block is all that a new
block needs.
"""

import importlib
import pkgutil

from optuna_nas.blocks.attention import Attention
from optuna_nas.blocks.auxiliary import add_auxiliary_loss, auxiliary_losses
from optuna_nas.blocks.batch_norm import BatchNorm
from optuna_nas.blocks.block import BLOCKS, Block, Head, Shape, find, register
from optuna_nas.blocks.constant import Constant, Zero
from optuna_nas.blocks.convnext import ConvNeXt
from optuna_nas.blocks.convolution import Conv, Separable
from optuna_nas.blocks.darts import DilConv, FactorizedReduce, SepConv
from optuna_nas.blocks.dense import Linear
from optuna_nas.blocks.embedding import ClassToken, Crop, Patches, Position, Projection, Tokens
from optuna_nas.blocks.feed_forward import FeedForward
from optuna_nas.blocks.head import Classify
from optuna_nas.blocks.image_attention import ImageAttention
from optuna_nas.blocks.merge import Add, Concat
from optuna_nas.blocks.mobile import MBConv
from optuna_nas.blocks.pool import Pool
from optuna_nas.blocks.readout import Readout
from optuna_nas.blocks.relu_conv import Reduction, ReLUConv
from optuna_nas.blocks.tabular import EmbedColumns
from optuna_nas.blocks.truncate import Truncate

__all__ = [
    "BLOCKS",
    "Add",
    "Attention",
    "BatchNorm",
    "Block",
    "ClassToken",
    "Classify",
    "Concat",
    "Constant",
    "Conv",
    "ConvNeXt",
    "Crop",
    "DilConv",
    "EmbedColumns",
    "FactorizedReduce",
    "FeedForward",
    "Head",
    "ImageAttention",
    "Linear",
    "MBConv",
    "Patches",
    "Pool",
    "Position",
    "Projection",
    "ReLUConv",
    "Readout",
    "Reduction",
    "SepConv",
    "Separable",
    "Shape",
    "Tokens",
    "Truncate",
    "Zero",
    "add_auxiliary_loss",
    "auxiliary_losses",
    "find",
    "register",
]

for _module in pkgutil.iter_modules(__path__):
    importlib.import_module(f"{__name__}.{_module.name}")
