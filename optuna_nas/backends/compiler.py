"""The C++ compiler that PyTorch's compilers call."""

from __future__ import annotations

import os
import shutil
import sys

from optuna_nas.exceptions import MeasurementError

__all__ = ["expect_compiler"]


def expect_compiler() -> None:
    """See whether there is a C++ compiler: the one that CXX names, or the system's usual one.

    Raises:
        MeasurementError: There is none.
    """
    usual = {"darwin": "clang++", "win32": "cl"}.get(sys.platform, "g++")
    command = os.environ.get("CXX", usual)
    if shutil.which(command) is None:
        raise MeasurementError(
            f"expected a C++ compiler to compile networks with, got no {command}; install it "
            "(Debian and Ubuntu: apt install g++), or name yours in the environment variable CXX"
        )
