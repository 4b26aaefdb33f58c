"""Which functions of known data keep their samples: row ``i`` of the result belongs to sample ``i``, so that mini-batches can cut it."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any

import numpy as np

ENTRIES: set[Callable] = {
    np.where, np.clip, np.round, np.around, np.zeros_like, np.ones_like, np.full_like, np.broadcast_to, np.nan_to_num, np.isclose, np.isin,
    np.interp, np.digitize, np.searchsorted, np.select, np.polyval, np.copy, np.real, np.sinc,
}  # fmt: skip
"""Functions of entries: samples stay apart if operands with samples have as many axes as the result."""

SHAPED: set[Callable] = {
    np.reshape, np.ravel, np.squeeze, np.atleast_1d, np.atleast_2d, np.hstack, np.column_stack, np.block, np.pad, np.vander,
}  # fmt: skip
"""Functions whose result belongs to the samples, row by row, whenever it has as many rows as there are samples."""

LED: dict[Callable, Callable] = {
    **dict.fromkeys((np.matmul, np.dot, np.inner), lambda a, *_, **__: _rows(a) and a.ndim == 2),
    np.outer: lambda a, *_, **__: _rows(a),
    np.tensordot: lambda a, b, axes=2: _rows(a) and (axes < a.ndim if np.ndim(axes) == 0 else all(np.ravel(axes[0]) % a.ndim)),
    np.einsum: lambda text, a, *_, **__: _rows(a) and isinstance(text, str) and text.strip()[0] == text.partition("->")[2].strip()[:1],
}
"""Functions of which the first axis of the result is that of an operand, and whether this has samples."""


def _rows(a: Any) -> bool:
    return getattr(a, "rows", False)


@functools.cache
def signature(function: Callable) -> inspect.Signature | None:
    try:
        return inspect.signature(function)
    except (TypeError, ValueError):  # Of some functions, NumPy 1 does not tell.
        return None


def _axis(function: Callable, args: tuple, kwargs: dict) -> Any:
    theirs = signature(function)
    if theirs is None:
        return kwargs.get("axis", args[1] if len(args) > 1 else None)
    bound = theirs.bind(*args, **kwargs)
    bound.apply_defaults()
    return bound.arguments.get("axis")


def keeps(function: Callable, args: tuple, kwargs: dict, samples: list, result: np.ndarray) -> bool:
    """Whether row ``i`` of ``result`` belongs to sample ``i``; ``samples`` are the operands whose rows are samples.

    All else is known by its ``axis``, which must not be that of the samples.
    """
    if function in ENTRIES or isinstance(function, np.ufunc) and function.signature is None:
        return all(a.ndim == result.ndim for a in samples)
    if function in SHAPED:
        return True
    if function in LED:
        return bool(LED[function](*args, **kwargs))
    axis, ndim = _axis(function, args, kwargs), max(result.ndim, *(a.ndim for a in samples))
    return axis is not None and all(np.ravel(axis) % ndim)
