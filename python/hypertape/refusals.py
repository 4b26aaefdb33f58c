"""What is said of operations that cannot be traced, and of samples that are lost: the operation, its place in the user's code, and what to use."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from .errors import TraceError

CONVERSION = "a conversion to a plain array"

OWN = (str(Path(__file__).parent), str(Path(np.__file__).parent))


_INSTEAD = {
    "np.column_stack or np.concatenate": "np.c_ or np.r_", "np.concatenate": "np.append np.insert", "np.stack with axis=2": "np.dstack", "np.trunc(a)": "np.fix",
    "np.floor(a + 0.5)": "np.rint np.round np.around", "a // b and a % b": "np.divmod", "np.trunc(a) and a - np.trunc(a)": "np.modf",
    "np.abs(a) == np.inf": "np.isinf", "a < 0": "np.signbit", "a * 2.0**b": "np.ldexp", "np.cumsum": "np.cumulative_sum np.add.accumulate",
    "np.exp(np.cumsum(np.log(a))) for positive a": "np.cumprod np.cumulative_prod np.multiply.accumulate",
    "np.where(np.isnan(a), 0, a)": "np.nan_to_num", "np.sum(np.where(np.isnan(a), 0, a))": "np.nansum", "np.max(np.where(np.isnan(a), -np.inf, a))": "np.nanmax",
    "np.min(np.where(np.isnan(a), np.inf, a))": "np.nanmin", "np.sum(np.where(np.isnan(a), 0, a)) / np.sum(~np.isnan(a))": "np.nanmean",
    "np.where, once for each case": "np.select np.piecewise np.choose np.put np.place np.copyto np.putmask np.put_along_axis np.fill_diagonal",
    "np.abs(a - b) <= tolerance": "np.isclose np.allclose", "np.all(a == b)": "np.array_equal np.array_equiv", "np.diff": "np.ediff1d",
    "differences of slices, such as (a[2:] - a[:-2]) / 2": "np.gradient",
    "np.sum(h * (a[1:] + a[:-1]) / 2)": "np.trapezoid np.trapz", "np.stack([a**2, a, a**0], axis=1) or other powers": "np.vander",
    "products and sums, such as (p[0] * a + p[1]) * a + p[2]": "np.polyval", "np.sin(np.pi * a) / (np.pi * a)": "np.sinc",
    "a + (b - a) * np.linspace(0, 1, n)": "np.linspace", "np.exp(np.log(a) + np.log(b / a) * np.linspace(0, 1, n))": "np.geomspace",
    "10 ** (a + (b - a) * np.linspace(0, 1, n))": "np.logspace", "a[:, None] and b[None, :], which broadcast": "np.meshgrid",
    "np.sort": "np.partition np.argpartition np.lexsort", "np.moveaxis": "np.rollaxis", "an operation with axis=": "np.apply_along_axis np.apply_over_axes",
    "b = a - np.mean(a, axis=1, keepdims=True) and b @ b.T / (n - 1)": "np.cov", "products of entries, such as a[1] * b[2] - a[2] * b[1]": "np.cross np.linalg.cross",
    "the array itself": "np.real np.real_if_close", "a[0], a[1] and so on": "np.unstack", "np.linalg.norm": "np.linalg.vector_norm np.linalg.matrix_norm",
    "products by @": "np.linalg.matrix_power np.linalg.multi_dot np.linalg.matmul np.matvec np.vecmat", "np.sum(a * b, axis=-1)": "np.linalg.vecdot",
    "np.linalg.solve(a.T @ a, a.T @ b) for independent columns": "np.linalg.lstsq", "np.linalg.solve(a.T @ a, a.T) for independent columns": "np.linalg.pinv",
    **{f"np.{name}": f"np.linalg.{name}" for name in ("outer", "tensordot", "trace", "diagonal", "matrix_transpose")},
    "np.exp(ht.gammaln(a)) for positive a": "gamma", "np.exp(-ht.gammaln(a)) for positive a": "rgamma", "np.exp(scipy.special.betaln(a, b))": "beta",
    "0.5 * (1 + ht.erf(a / np.sqrt(2)))": "ndtr", "scipy.special.rel_entr(a, b) - a + b": "kl_div", "(a**b - 1) / b": "boxcox", "((1 + a)**b - 1) / b": "boxcox1p",
    "np.where(np.abs(b) <= a, b**2 / 2, a * (np.abs(b) - a / 2))": "huber", "a**2 * (np.sqrt(1 + (b / a)**2) - 1)": "pseudo_huber", "np.expm1(a) / a": "exprel",
    **{f"ht.{name}": f"scipy.special.{name}" for name in ("logsumexp", "softmax", "log_softmax", "polygamma")},
}  # fmt: skip
USES = {name: use for use, names in _INSTEAD.items() for name in ([names] if " or " in names else names.split())}
"""What to use in place of functions that cannot be traced, of arrays ``a`` and ``b``."""


def untraced(name: str) -> TraceError:
    """Makes the error for a function that cannot be traced, with what to use in its place."""
    return refuse(name, f"it cannot be traced: use {USES[name]}" if name in USES else "it has no counterpart here, so that it cannot be traced")


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


def lost(operation: str, use: str | None = None) -> str:
    """Says which operation has lost the samples of data."""
    file, line = place()
    own = operation.startswith(("scipy.", "np.c_")) and operation in USES
    use = use or (f"use {USES[operation]}" if own else "compute it before, and give the result as data")
    return f"{operation} in {Path(file).name}, line {line} loses the samples: {use}"


def conversion() -> str:
    """What makes a plain array of a proxy: a function that does so itself, or the user's code."""
    frame, name = sys._getframe(2), ""
    while frame.f_back and frame.f_code.co_filename.startswith(_others()):
        name = f"{frame.f_globals['__name__'].partition('._')[0]}.{frame.f_code.co_name}"
        frame = frame.f_back
    name = "np.c_ or np.r_" if name == "numpy.lib.__getitem__" else name
    return name if name in USES or name.startswith("scipy.") else CONVERSION


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
