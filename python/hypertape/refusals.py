"""What is said of operations that cannot be traced, and of samples that are lost: the operation, its place in the user's code, and what to use."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from .errors import TraceError

OWN = (str(Path(__file__).parent), str(Path(np.__file__).parent))


USES = {
    "np.c_ or np.r_": "np.column_stack or np.concatenate",
    **{f"scipy.special.{name}": f"ht.{name}" for name in ("logsumexp", "softmax", "log_softmax", "polygamma")},
}
"""What to use in place of functions that cannot be traced."""


def place() -> tuple[str, int]:
    """File and line of the user's code that is being traced."""
    frame = sys._getframe(1)
    while frame.f_back and frame.f_code.co_filename.startswith(_others()):
        frame = frame.f_back
    return frame.f_code.co_filename, frame.f_lineno


def _others() -> tuple[str, ...]:
    """How the names of files begin that are not the user's."""
    return (*OWN, "<__array", *(str(Path(sys.modules[name].__file__).parent) for name in ("jax", "scipy") if name in sys.modules))


def refuse(operation: str, why: str) -> TraceError:
    """Makes the error for an operation that cannot be traced, with the place in the user's code."""
    return refusal(operation, why, *place())


def refusal(operation: str, why: str, file: str, line: int) -> TraceError:
    text = f"{operation} in {Path(file).name}, line {line}: {why}"
    return TraceError(text, operation=operation, file=file, line=line)


def lost(operation: str) -> str:
    """Says which operation has lost the samples of data."""
    file, line = place()
    use = f"use {USES[operation]}" if operation in USES else "compute it before, and give the result as data"
    return f"{operation} in {Path(file).name}, line {line} loses the samples: {use}"


def conversion() -> str:
    """What makes a plain array of a proxy: a function that does so itself, or the user's code."""
    frame, name = sys._getframe(2), ""
    while frame.f_back and frame.f_code.co_filename.startswith(_others()):
        name = f"{frame.f_globals['__name__'].partition('._')[0]}.{frame.f_code.co_name}"
        frame = frame.f_back
    name = "np.c_ or np.r_" if name == "numpy.lib.__getitem__" else name
    return name if name in USES or name.startswith("scipy.") else "a conversion to a plain array"


def record(function: Callable, *arguments: Any) -> Any:
    """Calls a function with proxies. What JAX says of them is told in terms of the user's code."""
    try:
        return function(*arguments)
    except TypeError as error:
        if f"{__package__}.trace.Traced" not in str(error) or "jax" not in sys.modules:
            raise
        frames = traceback.walk_tb(error.__traceback__)
        file, line = [(f.f_code.co_filename, n) for f, n in frames if not f.f_code.co_filename.startswith(_others())][-1]
        raise refusal("a function of JAX", "ht.Problem.from_jax reads losses that are written with JAX", file, line) from None
