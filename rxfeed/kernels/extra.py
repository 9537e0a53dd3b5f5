"""What needs the extra `fast` is loaded here, when it is asked for, with one clear error if it is not installed."""

from __future__ import annotations

from importlib import import_module
from typing import Any


def fast(module: str) -> Any:
    """Import a module of compiled loops. They are compiled the first time, which takes some seconds, and then kept on disk.

    Raises:
        ImportError: numba is not installed.
    """
    try:
        return import_module(module)
    except ImportError as error:
        if error.name != "numba":
            raise
        raise ImportError("fast=True needs numba, which is not installed; try: pip install 'rxfeed[fast]'") from error
