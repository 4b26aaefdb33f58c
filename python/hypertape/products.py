"""Products of arrays, norms and linear systems."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .elementwise import constant, multiply, power, unary
from .reducing import Axis, over, total
from .refusals import refuse
from .shaping import axis_of, gather, moved, places, reshape
from .trace import UFUNCS, Trace, Traced, implements, two


def flat(a: Traced) -> Traced:
    return reshape(a, (a.size,))


def inner(a: Traced, b: Traced) -> Traced:
    """``sum_i a_i b_i`` of vectors."""
    if a.shape != b.shape:
        raise refuse("a product of vectors", f"shapes {a.shape} and {b.shape} do not fit")
    return Traced(a.owner, (), a.owner.node("dot", (a.node, b.node), (1, 1)))


def matmul(a: Traced, b: Traced) -> Traced:
    """``a @ b`` of vectors, matrices or stacks of matrices."""
    if not a.shape or not b.shape:
        raise refuse("a @ b", "expected vectors or matrices, found a number")
    if a.ndim == b.ndim == 1:
        return inner(a, b)
    if max(a.ndim, b.ndim) > 2:
        return batched(a, b)
    left, right = ((m if m.turned is None else m.turned).node for m in (a, b))
    turned_left, turned_right = (m.turned is not None for m in (a, b))
    # A vector on the left is a row. It is stored as a column, so its transpose is used.
    rows, inside = (1, a.shape[0]) if a.ndim == 1 else a.shape
    if a.ndim == 1:
        turned_left = True
    if inside != b.shape[0]:
        raise refuse("a @ b", f"shapes {a.shape} and {b.shape} do not fit")
    cols = 1 if b.ndim == 1 else b.shape[1]
    node = a.owner.node("matmul", (left, right), (rows, cols), transposed=(turned_left, turned_right))
    shape = a.shape[:-1] + b.shape[1:]
    return reshape(Traced(a.owner, (rows, cols), node), shape) if len(shape) < 2 else Traced(a.owner, shape, node)


def batched(a: Traced, b: Traced) -> Traced:
    """``a @ b`` where one or both are stacks of matrices: a batched product, or one product over all rows."""
    if a.ndim == 1:
        return np.squeeze(batched(reshape(a, (1, a.size)), b), axis=-2)
    if b.ndim == 1:
        return np.squeeze(batched(a, reshape(b, (b.size, 1))), axis=-1)
    if a.shape[-1] != b.shape[-2]:
        raise refuse("a @ b", f"shapes {a.shape} and {b.shape} do not fit")
    if b.ndim == 2:
        found = matmul(reshape(a, two(a.shape)), b)
        return reshape(found, a.shape[:-1] + b.shape[-1:])
    lead = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    a, b = (np.broadcast_to(m, lead + m.shape[-2:]) for m in (a, b))
    shape = lead + (a.shape[-2], b.shape[-1])
    node = a.owner.node("batched_matmul", (a.node, b.node), two(shape), count=math.prod(lead))
    return Traced(a.owner, shape, node)


UFUNCS["matmul"] = matmul
UFUNCS["vecdot"] = lambda a, b: total(multiply(a, b), -1)


@implements(*([np.matrix_transpose] if hasattr(np, "matrix_transpose") else []), lasting=True)  # NumPy 1 does not have it.
def matrix_transpose(trace: Trace, a: Any) -> Traced:
    return swapaxes(trace, a, -1, -2)


@implements(np.transpose, lasting=True)
def transpose(trace: Trace, a: Any, axes: Any = None) -> Traced:
    """The transpose is only recorded if no product can use the untransposed array instead."""
    found = trace.lift(a)
    order = tuple(range(found.ndim))
    order = order[::-1] if axes is None else tuple(axis_of(found, k) for k in ((axes,) if isinstance(axes, int) else axes))
    if sorted(order) != list(range(found.ndim)):
        raise refuse("np.transpose", f"found the axes {order}, expected each of {found.ndim} once")
    if found.ndim < 2 or order == tuple(range(found.ndim)):
        return found
    if found.ndim > 2:
        return moved(found, np.transpose, order) if found.value is None else trace.lift(np.transpose(found.value, order))
    if found.turned is not None:
        return found.turned
    value = None if found.value is None else found.value.T
    return Traced(trace, found.shape[::-1], value=value, truth=found.truth, turned=found)


@implements(np.swapaxes, lasting=True)
def swapaxes(trace: Trace, a: Any, axis1: int, axis2: int) -> Traced:
    found = trace.lift(a)
    order = list(range(found.ndim))
    first, second = axis_of(found, axis1), axis_of(found, axis2)
    order[first], order[second] = second, first
    return transpose(trace, found, order)


@implements(np.moveaxis, lasting=True)
def moveaxis(trace: Trace, a: Any, source: Any, destination: Any) -> Traced:
    found = trace.lift(a)
    sizes = np.moveaxis(np.empty(range(1, found.ndim + 1), bool), source, destination).shape
    return transpose(trace, found, [size - 1 for size in sizes])


@implements(np.dot)
def dot(trace: Trace, a: Any, b: Any) -> Traced:
    left, right = trace.lift(a), trace.lift(b)
    if left.ndim and right.ndim > 2:
        return contracted(left, right, (-1,), (-2,))
    return multiply(left, right) if not left.shape or not right.shape else matmul(left, right)


@implements(np.vdot)
def vdot(trace: Trace, a: Any, b: Any) -> Traced:
    return inner(flat(trace.lift(a)), flat(trace.lift(b)))


@implements(np.inner)
def inner_of(trace: Trace, a: Any, b: Any) -> Traced:
    left, right = trace.lift(a), trace.lift(b)
    if left.ndim and right.ndim > 2:
        return contracted(left, right, (-1,), (-1,))
    return multiply(left, right) if not left.shape or not right.shape else matmul(left, np.transpose(right))


@implements(np.outer)
def outer(trace: Trace, a: Any, b: Any) -> Traced:
    left, right = flat(trace.lift(a)), flat(trace.lift(b))
    return multiply(reshape(left, (left.size, 1)), reshape(right, (1, right.size)))


@implements(np.kron)
def kron(trace: Trace, a: Any, b: Any) -> Traced:
    left, right = trace.lift(a), trace.lift(b)
    count = np.kron(np.ones(left.shape), np.ones(right.shape)).shape
    first = np.kron(places(left), np.ones(right.shape, int)).reshape(count)
    second = np.kron(np.ones(left.shape, int), places(right)).reshape(count)
    return multiply(gather(left, first), gather(right, second))


@implements(np.tensordot)
def tensordot(trace: Trace, a: Any, b: Any, axes: Any = 2) -> Traced:
    left, right = trace.lift(a), trace.lift(b)
    if isinstance(axes, (int, np.integer)):
        first, second = range(left.ndim - axes, left.ndim), range(axes)
    else:
        first, second = (((k,) if isinstance(k, int) else tuple(k)) for k in axes)
    return contracted(left, right, first, second)


def contracted(a: Traced, b: Traced, first: Any, second: Any, batch: tuple[Any, Any] = ((), ())) -> Traced:
    """Sums products of ``a`` and ``b`` over axis ``first[k]`` of ``a`` and ``second[k]`` of ``b``, for each index along the batch axes. The
    axes of the result are the batch axes, then the remaining axes of ``a`` and of ``b``."""
    sides = []
    for of, summed, apart in ((a, first, batch[0]), (b, second, batch[1])):
        summed, apart = [axis_of(of, k) for k in summed], [axis_of(of, k) for k in apart]
        sides.append((apart, [k for k in range(of.ndim) if k not in summed + apart], summed))
    (apart, own, summed), (apart_b, own_b, summed_b) = sides
    if [a.shape[k] for k in apart + summed] != [b.shape[k] for k in apart_b + summed_b]:
        raise refuse("a product over axes", f"shapes {a.shape} and {b.shape} do not fit")
    shape = tuple(a.shape[k] for k in apart + own) + tuple(b.shape[k] for k in own_b)
    if not own and not own_b and apart == sorted(apart):
        other = np.transpose(b, [(apart_b + summed_b)[(apart + summed).index(k)] for k in range(a.ndim)])
        return total(multiply(a, other), tuple(summed))
    sizes = [math.prod(a.shape[k] for k in axes) for axes in (apart, own, summed)]
    lead = sizes[:1] if apart else []
    left = _formed(a, apart + own + summed, (*lead, sizes[1], sizes[2]))
    right = _formed(b, apart_b + summed_b + own_b, (*lead, sizes[2], math.prod(b.shape[k] for k in own_b)))
    return reshape(matmul(left, right), shape)


def _formed(a: Traced, order: list[int], shape: tuple[int, ...]) -> Traced:
    """Permutes axes, then reshapes; an array that only needs to be transposed is not reshaped."""
    turned = np.transpose(a, order) if a.ndim > 1 else a
    return turned if turned.shape == shape else reshape(turned, shape)


@implements(np.einsum)
def einsum(trace: Trace, subscripts: Any, *operands: Any, **kwargs: Any) -> Traced:
    """Two operands become a matrix product, batched if they share letters of the result; otherwise all index combinations are listed."""
    if not isinstance(subscripts, str) or set(kwargs) - {"optimize"} or "." in subscripts:
        raise refuse("np.einsum", "expected letters for all axes, such as 'ij,j->i'")
    text, arrow, result = subscripts.replace(" ", "").partition("->")
    names, arrays = text.split(","), [trace.lift(a) for a in operands]
    if not arrow:
        result = "".join(sorted(c for c in set(text) - {","} if text.count(c) == 1))
    if len(names) != len(arrays) or any(len(n) != a.ndim for n, a in zip(names, arrays)):
        raise refuse("np.einsum", f"'{subscripts}' does not fit the operands")
    if len(arrays) == 2 and all(len(set(name)) == len(name) for name in names):
        shared = [c for c in names[0] if c in names[1]]
        for k in (0, 1):
            alone = tuple(i for i, c in enumerate(names[k]) if c not in shared and c not in result)
            arrays[k], names[k] = total(arrays[k], alone) if alone else arrays[k], "".join(c for c in names[k] if c in shared or c in result)
        kept, summed = ([c for c in shared if (c in result) == kept] for kept in (True, False))
        places = [[[name.index(c) for c in letters] for name in names] for letters in (summed, kept)]
        found = contracted(*arrays, *places[0], tuple(places[1]))
        letters = kept + [c for name in names for c in name if c not in shared]
        return np.transpose(found, [letters.index(c) for c in result])
    size = {c: n for name, a in zip(names, arrays) for c, n in zip(name, a.shape)}
    letters = result + "".join(c for c in size if c not in result)
    full = tuple(size[c] for c in letters)
    grid = dict(zip(letters, np.indices(full) if full else ()))
    product = None
    for name, a in zip(names, arrays):
        where = np.zeros(full, int)
        for c in name:
            where = where * size[c] + grid[c]
        product = gather(a, where) if product is None else multiply(product, gather(a, where))
    return total(product, tuple(range(len(result), len(letters))) or ())


@implements(np.linalg.norm)
def norm(trace: Trace, x: Any, ord: Any = None, axis: Axis = None, keepdims: bool = False) -> Traced:
    found = trace.lift(x)
    axes, shape = over(found, axis, keepdims)
    matrix = len(axes) == 2 and ord is not None
    if ord in (None, 2, "fro") and not (matrix and ord == 2):
        if len(axes) == found.ndim:
            return reshape(Traced(trace, (), trace.node("norm", (found.node,), (1, 1))), shape)
        return unary(total(unary(found, "square"), axes, keepdims), "sqrt")
    size = unary(found, "abs")
    if matrix:
        if ord in (1, np.inf):
            summed = (axis or (0, 1))[0 if ord == 1 else 1]
            return np.max(total(size, summed, True), axis=axes, keepdims=keepdims)
        raise refuse(f"np.linalg.norm of a matrix with ord={ord!r}", "expected None, 'fro', 1 or inf")
    if ord in (np.inf, -np.inf):
        return (np.max if ord > 0 else np.min)(size, axis=axes, keepdims=keepdims)
    if ord == 0:
        return np.count_nonzero(found, axis=axes, keepdims=keepdims)
    p = constant(trace, float(ord))
    return power(total(size if ord == 1 else power(size, p), axes, keepdims), constant(trace, 1.0 / float(ord)))


def _square(trace: Trace, a: Any, what: str) -> Traced:
    found = trace.lift(a)
    if found.ndim != 2 or found.shape[0] != found.shape[1]:
        raise refuse(what, f"found shape {found.shape}, expected a square matrix")
    return found


@implements(np.linalg.solve)
def solve(trace: Trace, a: Any, b: Any, method: str = "lu") -> Traced:
    matrix, right = _square(trace, a, "np.linalg.solve"), trace.lift(b)
    if right.ndim not in (1, 2) or right.shape[0] != matrix.shape[0]:
        raise refuse("np.linalg.solve", f"shapes {matrix.shape} and {right.shape} do not fit")
    return Traced(trace, right.shape, trace.node("solve", (matrix.node, right.node), two(right.shape), method=method))


@implements(np.linalg.inv)
def inv(trace: Trace, a: Any) -> Traced:
    matrix = _square(trace, a, "np.linalg.inv")
    return solve(trace, matrix, np.eye(matrix.shape[0]))


@implements(np.linalg.slogdet)
def slogdet(trace: Trace, a: Any) -> Any:
    matrix = _square(trace, a, "np.linalg.slogdet")
    parts = (Traced(trace, (), trace.node(op, (matrix.node,), (1, 1), method="lu")) for op in ("det_sign", "log_det"))
    return type(np.linalg.slogdet(np.eye(1)))(*parts)


@implements(np.linalg.det)
def det(trace: Trace, a: Any) -> Traced:
    sign, size = slogdet(trace, _square(trace, a, "np.linalg.det"))
    return multiply(sign, unary(size, "exp"))


@implements(np.linalg.cholesky)
def cholesky(trace: Trace, a: Any, upper: bool = False) -> Traced:
    matrix = _square(trace, a, "np.linalg.cholesky")
    lower = Traced(trace, matrix.shape, trace.node("cholesky", (matrix.node,), matrix.shape))
    return np.transpose(lower) if upper else lower


@implements(np.convolve)
def convolve(trace: Trace, a: Any, v: Any, mode: str = "full") -> Traced:
    return correlate(trace, a, np.flip(trace.lift(v)), mode)


@implements(np.correlate)
def correlate(trace: Trace, a: Any, v: Any, mode: str = "valid") -> Traced:
    left, right = trace.lift(a), trace.lift(v)
    n, k = left.size, right.size
    if k > n:
        raise refuse("np.convolve and np.correlate", f"found {n} and {k} entries, expected the longer array first")
    widths = {"full": (k - 1, k - 1), "valid": (0, 0), "same": (k // 2, (k - 1) // 2)}
    if mode not in widths:
        raise refuse(f"np.convolve or np.correlate in the mode {mode!r}", "expected full, valid or same")
    ahead, behind = widths[mode]
    padded = np.pad(left, (ahead, behind)) if ahead or behind else left
    count = padded.size - k + 1
    windows = moved(padded, lambda at: at[np.arange(count)[:, None] + np.arange(k)])
    return matmul(windows, right)
