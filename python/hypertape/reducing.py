"""Sums and other reductions over axes, and order statistics."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from .elementwise import both, divide, either, multiply, subtract, truth, unary
from .refusals import refuse
from .shaping import axis_of, broadcast_to, moved, reshape
from .trace import REDUCTIONS, Shape, Trace, Traced, implements, two

Axis = int | tuple[int, ...] | None


def over(a: Traced, axis: Axis, keepdims: bool) -> tuple[tuple[int, ...], Shape]:
    """The axes that are reduced, and the shape of the result."""
    given = range(a.ndim) if axis is None else (axis,) if isinstance(axis, (int, np.integer)) else axis
    axes = tuple(sorted(axis_of(a, int(k)) for k in given))
    if keepdims:
        return axes, tuple(1 if k in axes else n for k, n in enumerate(a.shape))
    return axes, tuple(n for k, n in enumerate(a.shape) if k not in axes)


def _aligned(a: Traced, axes: tuple[int, ...]) -> tuple[Traced, tuple[int, int]]:
    """``a`` with the axes that are reduced as rows, as columns, or as both, and the shape of the result in two dimensions."""
    last = a.ndim - 1
    if len(axes) < a.ndim and axes not in ((last,), tuple(range(last))):
        # The axes that are reduced become the columns.
        a = np.transpose(a, [k for k in range(a.ndim) if k not in axes] + list(axes))
        a, axes = reshape(a, (math.prod(a.shape[: -len(axes)]), math.prod(a.shape[-len(axes) :]))), (1,)
    rows, cols = two(a.shape)
    return a, (1, 1) if len(axes) == a.ndim else (rows, 1) if axes == (a.ndim - 1,) else (1, cols)


def total(a: Traced, axis: Axis = None, keepdims: bool = False) -> Traced:
    """The sum over axes."""
    axes, shape = over(a, axis, keepdims)
    if not axes:
        return a
    a, kept = _aligned(a, axes)
    node = a.node if kept == two(a.shape) else _summed(a.owner, a.node, kept)
    return reshape(Traced(a.owner, kept, node), shape)


def extreme(op: str) -> Callable[[Traced, Axis, bool], Traced]:
    """A reduction to the first largest or smallest entry."""

    def reduce(a: Traced, axis: Axis, keepdims: bool) -> Traced:
        axes, shape = over(a, axis, keepdims)
        if not axes:
            return a
        a, kept = _aligned(a, axes)
        if kept == (1, 1):
            a = reshape(a, (1, a.size))
        node = a.owner.node(op, (a.node,), kept, axis="columns" if kept[1] == 1 else "rows")
        return reshape(Traced(a.owner, kept, node), shape)

    return reduce


def _summed(trace: Trace, node: int, shape: tuple[int, int]) -> int:
    """A sum over rows, columns or both; of products of entries as one operation."""
    of = trace.nodes[node]
    factors = of.args * 2 if of.op == "square" else of.args if of.op == "mul" else ()
    if factors and all(trace.nodes[k].shape == of.shape for k in factors):
        factors = _by_square(trace, *factors)
        if shape == (1, 1):
            return trace.node("dot", factors, shape)
        if shape[1] == 1 and of.shape[1] > 1:
            return trace.node("row_dot", factors, shape)
    return trace.node("sum_to", (node,), shape)


def _by_square(trace: Trace, a: int, b: int) -> tuple[int, int]:
    """Rewrites ``v w`` and ``w`` as ``v`` and ``w**2``, whose derivatives store less. Squares overflow above 1e154 (1e19 in ``float32``)."""
    for product, w in ((a, b), (b, a)):
        of = trace.nodes[product]
        if of.op == "mul" and w in of.args and all(trace.nodes[k].shape == of.shape for k in of.args):
            v = of.args[of.args[0] == w]
            return v, trace.node("square", (w,), of.shape)
    return a, b


def count(a: Traced, axis: Axis) -> int:
    axes, _ = over(a, axis, False)
    return int(np.prod([a.shape[k] for k in axes])) if axes else 1


def mean_of(a: Traced, axis: Axis = None, keepdims: bool = False) -> Traced:
    return unary(total(a, axis, keepdims), "over", number=float(count(a, axis)))


def halved(a: Traced, axis: Axis, keepdims: bool, pair: Callable[[Traced, Traced], Traced]) -> Traced:
    """A reduction by pairs: one half of the entries is combined with the other until one is left, and then with the odd ones."""
    axes, shape = over(a, axis, keepdims)
    for k in axes:
        odd = []
        while (n := a.shape[k]) > 1:
            part = lambda start, stop: a[(slice(None),) * k + (slice(start, stop),)]  # noqa: E731, B023
            half = n // 2
            odd += [part(n - 1, n)] if n % 2 else []
            a = pair(part(0, half), part(half, 2 * half))
        for last in odd:
            a = pair(a, last)
    return reshape(a, shape)


def _lifted(own: Callable) -> Callable:
    """Adapts ``own`` to the arguments of NumPy's reductions, and refuses those that no reduction here supports."""

    def reduce(trace: Trace, a: Any, axis: Axis = None, dtype: Any = None, out: None = None, keepdims: bool = False, **more: Any) -> Traced:
        if set(more) - {"where", "initial"} or more.get("where", True) is not True or more.get("initial") is not None:
            raise refuse(f"a sum or the like with {', '.join(more)}=", "choose with np.where before")
        return own(trace.lift(a), axis, bool(keepdims))

    return reduce


def _reduces(own: Callable, *functions: Callable, ufunc: str) -> None:
    REDUCTIONS[ufunc] = _lifted(own)
    implements(*functions)(_no_dtype(own) if ufunc in ("maximum", "minimum") else _lifted(own))


def _no_dtype(own: Callable) -> Callable:
    return lambda trace, a, axis=None, out=None, keepdims=False, **more: _lifted(own)(trace, a, axis, None, out, keepdims, **more)


_reduces(total, np.sum, ufunc="add")
_reduces(lambda a, axis, keep: halved(a, axis, keep, multiply), np.prod, ufunc="multiply")
_reduces(extreme("max_over"), np.max, np.amax, ufunc="maximum")
_reduces(extreme("min_over"), np.min, np.amin, ufunc="minimum")
_reduces(lambda a, axis, keep: halved(truth(a), axis, keep, both), ufunc="logical_and")
_reduces(lambda a, axis, keep: halved(truth(a), axis, keep, either), ufunc="logical_or")


@implements(np.all)
def all_of(trace: Trace, a: Any, axis: Axis = None, out: None = None, keepdims: bool = False) -> Traced:
    return halved(truth(trace.lift(a)), axis, keepdims, both)


@implements(np.any)
def any_of(trace: Trace, a: Any, axis: Axis = None, out: None = None, keepdims: bool = False) -> Traced:
    return halved(truth(trace.lift(a)), axis, keepdims, either)


@implements(np.mean)
def mean(trace: Trace, a: Any, axis: Axis = None, dtype: Any = None, out: None = None, keepdims: bool = False) -> Traced:
    return mean_of(trace.lift(a), axis, keepdims)


@implements(np.average)
def average(trace: Trace, a: Any, axis: Axis = None, weights: Any = None, *, keepdims: bool = False) -> Traced:
    found = trace.lift(a)
    if weights is None:
        return mean_of(found, axis, keepdims)
    w = trace.lift(weights)
    if w.shape != found.shape:
        axes = [int(k) % found.ndim for k in ((axis,) if isinstance(axis, (int, np.integer)) else axis or ())]
        if w.shape != tuple(found.shape[k] for k in axes) or not axes:
            raise refuse("np.average", f"found weights of shape {w.shape} for shape {found.shape}, expected this shape or that of the axes")
        along = [n if k in axes else 1 for k, n in enumerate(found.shape)]
        w = broadcast_to(trace, reshape(np.transpose(w, np.argsort(axes)), tuple(along)), found.shape)
    return divide(total(multiply(found, w), axis, keepdims), total(w, axis, keepdims))


@implements(np.var)
def var(
    trace: Trace, a: Any, axis: Axis = None, dtype: Any = None, out: None = None, ddof: float = 0, keepdims: bool = False, **more: Any
) -> Traced:  # fmt: skip
    if set(more) - {"correction"}:
        raise refuse(f"np.var with {', '.join(more)}=", "expected none")
    found = trace.lift(a)
    square = unary(subtract(found, mean_of(found, axis, True)), "square")
    return unary(total(square, axis, keepdims), "over", number=count(found, axis) - float(more.get("correction", ddof)))


@implements(np.std)
def std(trace: Trace, a: Any, *args: Any, **kwargs: Any) -> Traced:
    return unary(var(trace, a, *args, **kwargs), "sqrt")


@implements(np.ptp)
def ptp(trace: Trace, a: Any, axis: Axis = None, **kwargs: Any) -> Traced:
    return np.max(trace.lift(a), axis, **kwargs) - np.min(trace.lift(a), axis, **kwargs)


@implements(np.trace)
def trace_of(
    trace: Trace, a: Any, offset: int = 0, axis1: int = 0, axis2: int = 1, dtype: Any = None, out: None = None
) -> Traced:  # fmt: skip
    return total(moved(trace.lift(a), np.diagonal, offset, axis1, axis2), -1)


@implements(np.cumsum)
def cumsum(trace: Trace, a: Any, axis: int | None = None, dtype: Any = None, out: None = None) -> Traced:
    found = trace.lift(a)
    found, axis = (reshape(found, (found.size,)), 0) if axis is None else (found, axis)
    return lined(found, axis, lambda b, across: b.owner.node("cumulative_sum", (b.node,), two(b.shape), across=across, reversed=False))


@implements(np.count_nonzero)
def count_nonzero(trace: Trace, a: Any, axis: Axis = None, *, keepdims: bool = False) -> Traced:
    return total(truth(trace.lift(a)), axis, keepdims)


def lined(a: Traced, axis: int, node: Callable[[Traced, bool], int]) -> Traced:
    """Applies an operation on columns or rows along an axis; ``node`` makes its node."""
    axis = axis_of(a, axis)
    if 0 < axis < a.ndim - 1 or axis == 0 and a.ndim > 2:
        return np.moveaxis(lined(np.moveaxis(a, axis, -1), -1, node), -1, axis)
    return Traced(a.owner, a.shape, node(a, axis > 0))


@implements(np.sort)
def sort(trace: Trace, a: Any, axis: int | None = -1, kind: Any = None, *, stable: Any = None) -> Traced:
    found = trace.lift(a)
    found, axis = (reshape(found, (found.size,)), 0) if axis is None else (found, axis)
    return lined(found, axis, lambda b, across: b.owner.node("sorted", (b.node,), two(b.shape), axis="columns" if across else "rows"))


@implements(np.quantile)
def quantile(trace: Trace, a: Any, q: Any, axis: int | None = None, *, keepdims: bool = False, **more: Any) -> Traced:
    """Interpolates linearly between the two nearest entries in order."""
    found = trace.lift(a)
    axes, shape = over(found, axis, keepdims)
    if np.ndim(q) or len(axes) not in (1, found.ndim) or more:
        raise refuse("np.quantile", "expected one share q, one axis or none, and no other settings")
    ordered = sort(trace, found, None if len(axes) == found.ndim else axes[0])
    k = 0 if len(axes) == found.ndim else axes[0]
    place = float(q) * (ordered.shape[k] - 1)
    entry = lambda i: np.take(ordered, [int(i)], axis=k)  # noqa: E731
    low, share = entry(np.floor(place)), place - np.floor(place)
    return reshape(low if share == 0.0 else low + (entry(np.ceil(place)) - low) * share, shape)


@implements(np.percentile)
def percentile(trace: Trace, a: Any, q: Any, *args: Any, **kwargs: Any) -> Traced:
    return quantile(trace, a, np.asarray(q) / 100, *args, **kwargs)


@implements(np.median)
def median(trace: Trace, a: Any, *args: Any, **kwargs: Any) -> Traced:
    return quantile(trace, a, 0.5, *args, **kwargs)


def _untraced(function: Callable, use: str) -> None:
    @implements(function)
    def places(trace: Trace, *_: Any, **__: Any) -> Traced:
        raise refuse(f"np.{function.__name__}", f"places depend on values, which do not exist while a function is traced: {use}")


_untraced(np.argmax, "np.max(a) is the entry, and np.sum(np.where(a == np.max(a), b, 0)) the one of b beside it")
_untraced(np.argmin, "np.min(a) is the entry, and np.sum(np.where(a == np.min(a), b, 0)) the one of b beside it")
_untraced(np.argsort, "np.sort(a) has the entries in order")
