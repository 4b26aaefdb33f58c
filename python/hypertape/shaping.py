"""Operations that move entries without changing them: indices, slices, transposes, concatenation.

Whatever is not a contiguous piece is gathered from the flat array. NumPy itself computes the positions, so every index that NumPy accepts,
including integers from the data, has the same meaning here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from .refusals import refuse
from .trace import Shape, Trace, Traced, implements, two


def reshape(a: Traced, shape: Shape) -> Traced:
    """The same entries in row order, with another shape."""
    node = a.node if two(shape) == two(a.shape) else a.owner.node("reshape", (a.node,), two(shape))
    return Traced(a.owner, shape, node, truth=a.truth)


def axis_of(a: Traced, axis: int) -> int:
    """An axis, counted from the first."""
    if not -a.ndim <= axis < a.ndim:
        raise refuse("an axis", f"axis {axis} is out of bounds for an array of {a.ndim} axes")
    return axis % a.ndim


def gather(a: Traced, places: np.ndarray) -> Traced:
    """Entries of the flat array at ``places``; slices, blocks and whole rows are recognised and become operations of their own."""
    if places.size == 0:
        raise refuse(f"a result of shape {places.shape}", "expected at least one number")
    trace, shape, flat = a.owner, places.shape, places.ravel()
    (rows, cols), (height, width), start = two(a.shape), two(shape), int(flat[0])

    def made(op: str, result: tuple[int, int] = (height, width), **settings: Any) -> Traced:
        return reshape(Traced(trace, result, trace.node(op, (a.node,), result, **settings), truth=a.truth), shape)

    if np.array_equal(flat, np.arange(start, start + flat.size)):
        return reshape(a, shape) if flat.size == a.size else made("slice", start=start)
    if cols == 1:
        return made("gather_rows", (flat.size, 1), indices=flat.astype(np.int64))
    grid, row, column = places.reshape(height, width), start // cols, start % cols
    if row + height <= rows and column + width <= cols:
        if np.array_equal(grid, start + cols * np.arange(height)[:, None] + np.arange(width)):
            return made("block", row=row, column=column)
    if width == cols and np.array_equal(grid, grid[:, :1] // cols * cols + np.arange(cols)):
        return made("gather_rows", indices=grid[:, 0] // cols)
    return made("entries", places=flat.astype(np.int64))


def places(a: Traced) -> np.ndarray:
    """The position of each entry in the flat array."""
    return np.arange(a.size).reshape(a.shape)


def moved(a: Traced, function: Callable, *args: Any, **kwargs: Any) -> Traced:
    """Applies a function that only moves entries."""
    try:
        return gather(a, np.asarray(function(places(a), *args, **kwargs)))
    except (IndexError, ValueError, TypeError) as error:
        if isinstance(error, Exception) and hasattr(error, "operation"):
            raise
        raise refuse(getattr(function, "__name__", "an index"), str(error).splitlines()[0]) from None


def take(a: Traced, index: Any) -> Traced:
    """``a[index]``"""
    parts = index if isinstance(index, tuple) else (index,)
    if len(parts) == 1 and isinstance(parts[0], Traced) and parts[0].step and a.ndim:
        shape = a.shape[1:]
        node = a.owner.node("gather_rows", (a.node,), (1, two(a.shape)[1]), step=True)
        return reshape(Traced(a.owner, (1, two(a.shape)[1]), node), shape)
    if isinstance(parts[-1], Traced) and parts[-1].listed is not None:
        return _by_samples(a, parts, tuple(part.value if isinstance(part, Traced) else part for part in parts))
    for part in parts:
        if isinstance(part, Traced) and part.value is None:
            why = "np.where chooses" if part.truth else "take integers from the data or write them down"
            raise refuse("an index", f"a value does not exist while a function is traced: {why}")
    samples = [part for part in parts if isinstance(part, Traced) and part.rows]
    plain = tuple(part.value if isinstance(part, Traced) else np.asarray(part) if isinstance(part, list) else part for part in parts)
    if a.value is not None:
        value = np.asarray(a.value[plain if isinstance(index, tuple) else plain[0]])
        samples += [a] if a.rows else []
        return a.owner.known("an index", value, samples, lambda _: _leads(parts[0], a, sum(part is not None for part in parts)))
    if samples:
        return _by_samples(a, parts, plain)
    if len(parts) == 2 and a.ndim == 2 and isinstance(plain[1], np.ndarray) and plain[1].ndim == 1 and plain[1].dtype.kind in "iu":
        if _is_every(plain[0], a.shape[0]) and len(plain[1]) == a.shape[0] and plain[1].min() >= 0:
            return pick(a, Traced(a.owner, plain[1].shape, value=plain[1]))
    return moved(a, lambda at: at[plain if isinstance(index, tuple) else plain[0]])


def _leads(first: Any, a: Traced, count: int) -> bool:
    """Whether an index of ``count`` parts, of which this is the first, gives a row for each sample, in order."""
    n = a.shape[0] if a.shape else 0
    if isinstance(first, slice):
        return a.rows and range(n)[first] == range(n)
    if isinstance(first, Traced):
        return first.rows and first.dtype.kind in "iu"
    return first is Ellipsis and a.rows and count <= a.ndim or _is_every(first, n)


def _is_every(index: Any, rows: int) -> bool:
    """Whether an index selects each row once, in order."""
    return isinstance(index, np.ndarray) and index.ndim == 1 and np.array_equal(index, np.arange(rows))


def _by_samples(a: Traced, parts: tuple, plain: tuple) -> Traced:
    """Indexes with one integer per sample: selects one entry of each row, or whole rows."""
    labels = parts[-1]
    if labels.dtype.kind not in "iu":
        raise refuse("an index", f"found dtype {labels.dtype}, expected integers: use labels.astype(int)")
    n = labels.shape[0] if labels.shape else 0
    if len(parts) == 2 and a.ndim == 2 and labels.ndim == 1:
        if _is_every(plain[0], a.shape[0]) and n == a.shape[0]:
            return pick(a, labels)
    if len(parts) == 1 and labels.ndim == 1:
        shape = (n,) + a.shape[1:]
        node = a.owner.node("gather_rows", (a.node,), two(shape), labels=_held(labels))
        return Traced(a.owner, shape, node)
    raise refuse("an index from the data", "expected a[np.arange(len(labels)), labels], a[labels] or np.take_along_axis(a, labels[:, None], 1)")


def pick(a: Traced, labels: Traced) -> Traced:
    """Selects entry ``labels[i]`` of each row ``i``."""
    n = a.shape[0]
    return Traced(a.owner, (n,), a.owner.node("pick", (a.node,), (n, 1), labels=_held(labels)))


@implements(np.take_along_axis)
def take_along_axis(trace: Trace, arr: Any, indices: Any, axis: int | None = -1) -> Traced:
    """One entry of each row is a choice by labels, which may be those of samples."""
    a, at = trace.lift(arr), trace.lift(indices)
    if at.value is None:
        raise refuse("an index", "a value does not exist while a function is traced: take integers from the data or write them down")
    if a.ndim == 2 and at.shape == (a.shape[0], 1) and axis in (1, -1) and at.dtype.kind in "iu" and at.value.min() >= 0:
        return reshape(pick(a, at[:, 0]), at.shape)
    return moved(a, np.take_along_axis, at.value, axis)


def _held(labels: Traced) -> int | str:
    """The number or the name by which a trace refers to labels."""
    return labels.listed or labels.owner.hold(labels.value, labels.rows)


@implements(np.concatenate)
def concatenate(trace: Trace, arrays: Any, axis: int | None = 0, out: None = None, *, dtype: Any = None, casting: Any = None) -> Traced:
    parts = [trace.lift(array) for array in arrays]
    if axis is None:
        parts, axis = [reshape(part, (part.size,)) for part in parts], 0
    try:
        shape = np.concatenate([np.broadcast_to(False, part.shape) for part in parts], axis).shape
    except ValueError as error:
        raise refuse("joining arrays", str(error).splitlines()[0]) from None
    axis %= len(shape)
    if 0 < axis < len(shape) - 1:
        return np.moveaxis(concatenate(trace, [np.moveaxis(part, axis, 0) for part in parts]), 0, axis)
    across = axis > 0
    return Traced(trace, shape, trace.node("joined", tuple(part.node for part in parts), two(shape), across=across))


@implements(np.stack)
def stack(trace: Trace, arrays: Any, axis: int = 0, out: None = None, *, dtype: Any = None, casting: Any = None) -> Traced:
    return concatenate(trace, [np.expand_dims(trace.lift(array), axis) for array in arrays], axis)


@implements(np.vstack)
def vstack(trace: Trace, arrays: Any, *, dtype: Any = None, casting: Any = None) -> Traced:
    return concatenate(trace, [part if part.ndim > 1 else reshape(part, (1, part.size)) for part in map(trace.lift, arrays)])


@implements(np.hstack)
def hstack(trace: Trace, arrays: Any, *, dtype: Any = None, casting: Any = None) -> Traced:
    parts = [part if part.ndim else reshape(part, (1,)) for part in map(trace.lift, arrays)]
    return concatenate(trace, parts, 0 if parts[0].ndim == 1 else 1)


@implements(np.column_stack)
def column_stack(trace: Trace, arrays: Any) -> Traced:
    return concatenate(trace, [part if part.ndim > 1 else reshape(part, (part.size, 1)) for part in map(trace.lift, arrays)], 1)


@implements(np.block)
def block(trace: Trace, arrays: Any) -> Traced:
    nested = isinstance(arrays[0], list)
    rows = arrays if nested else [arrays]
    if any(isinstance(part, list) for row in rows for part in row):
        raise refuse("np.block", "expected a list of arrays or of rows of arrays")
    least = 2 if nested else 1
    full = lambda part: reshape(part, (1,) * (least - part.ndim) + part.shape)  # noqa: E731
    joined = [np.concatenate([full(trace.lift(part)) for part in row], axis=-1) for row in rows]
    return np.concatenate(joined, axis=-2) if nested else joined[0]


def _moves(function: Callable) -> None:
    @implements(function)
    def own(trace: Trace, a: Any, *args: Any, **kwargs: Any) -> Traced:
        found = trace.lift(a)
        if found.ndim > 1 and any(isinstance(order, str) and order.upper() in ("A", "K") for order in (*args, *kwargs.values())):
            raise refuse(f"np.{function.__name__} in the order of memory", "a proxy has no memory: write order='C' or order='F'")
        return moved(found, function, *args, **kwargs)


for _function in (
    np.squeeze, np.expand_dims, np.ravel, np.reshape, np.tile, np.repeat, np.roll, np.flip,
    np.fliplr, np.flipud, np.rot90, np.diagonal, np.take, np.delete, np.resize,
):  # fmt: skip
    _moves(_function)


@implements(np.atleast_1d, np.atleast_2d)
def at_least_axes(trace: Trace, *arrays: Any) -> Any:
    raise refuse("np.atleast_1d or np.atleast_2d", "write a[None], a[:, None] or np.reshape")


@implements(np.copy)
def copy(trace: Trace, a: Any, order: str = "K", subok: bool = False) -> Traced:
    return trace.lift(a)


def _split(function: Callable) -> None:
    @implements(function)
    def own(trace: Trace, a: Any, *args: Any, **kwargs: Any) -> list[Traced]:
        found = trace.lift(a)
        try:
            parts = function(places(found), *args, **kwargs)
        except (IndexError, ValueError, TypeError) as error:
            raise refuse(f"np.{function.__name__}", str(error)) from None
        return [gather(found, np.asarray(part)) for part in parts]


for _function in (np.split, np.array_split, np.hsplit, np.vsplit):
    _split(_function)


def masked(a: Traced, function: Callable, *args: Any, **kwargs: Any) -> Traced:
    """Applies a function that moves entries and fills the rest with zeros."""
    where = np.asarray(function(places(a) + 1, *args, **kwargs))
    inside, shape = np.flatnonzero(where), two(where.shape)
    if inside.size == 0:
        return Traced(a.owner, where.shape, value=np.zeros(where.shape))
    kept = gather(a, where.ravel()[inside] - 1)
    return Traced(a.owner, where.shape, a.owner.node("scatter_entries", (kept.node,), shape, places=inside))


def _masks(function: Callable) -> None:
    @implements(function)
    def own(trace: Trace, a: Any, *args: Any, **kwargs: Any) -> Traced:
        found = trace.lift(a)
        if function is np.diag and found.ndim == 2:
            return moved(found, np.diag, *args, **kwargs)
        return masked(found, function, *args, **kwargs)


for _function in (np.diag, np.diagflat, np.tril, np.triu):
    _masks(_function)


@implements(np.pad)
def pad(trace: Trace, a: Any, pad_width: Any, mode: str = "constant", **kwargs: Any) -> Traced:
    found = trace.lift(a)
    if mode in ("edge", "wrap", "reflect", "symmetric") and kwargs.get("reflect_type", "even") == "even":
        return moved(found, np.pad, pad_width, mode, **kwargs)
    if mode != "constant":
        raise refuse(f"np.pad in the mode {mode!r}", "expected constant, edge, wrap, or the even reflect or symmetric")
    if np.any(kwargs.get("constant_values", 0)):
        raise refuse("np.pad", "expected constant_values of 0")
    return masked(found, np.pad, pad_width)


@implements(np.zeros_like, np.ones_like, np.full_like, np.empty_like)
def like(trace: Trace, a: Any, *args: Any, **kwargs: Any) -> np.ndarray:
    raise refuse("np.zeros_like and its like", "write np.zeros(a.shape)")


@implements(np.shape)
def shape_of(trace: Trace, a: Any) -> Shape:
    return trace.lift(a).shape


@implements(np.ndim)
def axes_of(trace: Trace, a: Any) -> int:
    return trace.lift(a).ndim


@implements(np.size)
def size_of(trace: Trace, a: Any, axis: int | None = None) -> int:
    found = trace.lift(a)
    return found.size if axis is None else np.size(np.broadcast_to(0, found.shape), axis)


@implements(np.broadcast_to)
def broadcast_to(trace: Trace, array: Any, shape: Any, subok: bool = False) -> Traced:
    """The repetition is only recorded if no operation broadcasts the array anyway."""
    found = trace.lift(array)
    shape = (int(shape),) if isinstance(shape, (int, np.integer)) else tuple(int(n) for n in shape)
    try:
        fits = np.broadcast_shapes(found.shape, shape) == shape
    except ValueError:
        fits = False
    if not fits:
        raise refuse("np.broadcast_to", f"found {found.shape}, expected what broadcasts to {shape}")
    row = reshape(found, (1,) * (len(shape) - found.ndim) + found.shape)
    return found if found.shape == shape else Traced(trace, shape, spread=row, truth=found.truth)


@implements(np.broadcast_arrays)
def broadcast_arrays(trace: Trace, *arrays: Any, subok: bool = False) -> tuple[Traced, ...]:
    lifted = [trace.lift(array) for array in arrays]
    shape = np.broadcast_shapes(*(array.shape for array in lifted))
    return tuple(broadcast_to(trace, array, shape) for array in lifted)


@implements(np.diff)
def diff(trace: Trace, a: Any, n: int = 1, axis: int = -1, prepend: Any = None, append: Any = None) -> Traced:
    found = trace.lift(a)
    ends = [None if end is None else trace.lift(end) for end in (prepend, append)]
    axis = axis_of(found, axis)
    one = found.shape[:axis] + (1,) + found.shape[axis + 1 :]
    before, after = (() if end is None else (end if end.ndim else broadcast_to(trace, end, one),) for end in ends)
    found = concatenate(trace, [*before, found, *after], axis) if before or after else found
    for _ in range(n):
        ahead = [slice(None)] * found.ndim
        ahead[axis] = slice(1, None)
        behind = [slice(None)] * found.ndim
        behind[axis] = slice(None, -1)
        found = found[tuple(ahead)] - found[tuple(behind)]
    return found


@implements(np.extract, np.compress, np.unique, np.nonzero, np.flatnonzero, np.argwhere)
def by_value(trace: Trace, *_: Any, **__: Any) -> Traced:
    raise refuse("a choice by values", "a value does not exist while a function is traced: use np.where with three arguments")
