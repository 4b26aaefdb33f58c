"""Products of arrays, norms, linear systems."""

from __future__ import annotations

from typing import Any

import numpy as np

from .elementwise import constant, multiply, power, unary
from .reducing import Axis, over, total
from .shaping import gather, moved, places, reshape
from .trace import UFUNCS, Trace, Traced, implements, refuse, two


def flat(a: Traced) -> Traced:
    return reshape(a, (a.size,))


def inner(a: Traced, b: Traced) -> Traced:
    """``sum_i a_i b_i`` of vectors."""
    if a.shape != b.shape:
        raise refuse("a product of vectors", f"shapes {a.shape} and {b.shape} do not fit")
    return Traced(a.owner, (), a.owner.node("dot", (a.node, b.node), (1, 1)))


def matmul(a: Traced, b: Traced) -> Traced:
    """``a @ b`` of vectors and matrices."""
    if not a.shape or not b.shape:
        raise refuse("a @ b", "expected vectors or matrices, found a number")
    if a.ndim == b.ndim == 1:
        return inner(a, b)
    left, right = ((m if m.turned is None else m.turned).node for m in (a, b))
    turned_left, turned_right = (m.turned is not None for m in (a, b))
    # A vector on the left is a row, which its column is transposed.
    rows, inside = (1, a.shape[0]) if a.ndim == 1 else a.shape
    if a.ndim == 1:
        turned_left = True
    if inside != b.shape[0]:
        raise refuse("a @ b", f"shapes {a.shape} and {b.shape} do not fit")
    cols = 1 if b.ndim == 1 else b.shape[1]
    node = a.owner.node("matmul", (left, right), (rows, cols), transposed=(turned_left, turned_right))
    shape = a.shape[:-1] + b.shape[1:]
    return reshape(Traced(a.owner, (rows, cols), node), shape) if len(shape) < 2 else Traced(a.owner, shape, node)


UFUNCS["matmul"] = matmul
UFUNCS["vecdot"] = lambda a, b: total(multiply(a, b), -1)


@implements(np.transpose, np.matrix_transpose, lasting=True)
def transpose(trace: Trace, a: Any, axes: Any = None) -> Traced:
    """What is turned is only written down where no product takes it as it was."""
    found = trace.lift(a)
    if found.ndim < 2 or axes is not None and tuple(k % 2 for k in axes) == (0, 1):
        return found
    if found.turned is not None:
        return found.turned
    value = None if found.value is None else found.value.T
    return Traced(trace, found.shape[::-1], value=value, truth=found.truth, turned=found)


@implements(np.swapaxes, lasting=True)
def swapaxes(trace: Trace, a: Any, axis1: int, axis2: int) -> Traced:
    found = trace.lift(a)
    return found if axis1 % found.ndim == axis2 % found.ndim else transpose(trace, found)


@implements(np.dot)
def dot(trace: Trace, a: Any, b: Any) -> Traced:
    left, right = trace.lift(a), trace.lift(b)
    return multiply(left, right) if not left.shape or not right.shape else matmul(left, right)


@implements(np.vdot)
def vdot(trace: Trace, a: Any, b: Any) -> Traced:
    return inner(flat(trace.lift(a)), flat(trace.lift(b)))


@implements(np.inner)
def inner_of(trace: Trace, a: Any, b: Any) -> Traced:
    left, right = trace.lift(a), trace.lift(b)
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
    if not isinstance(axes, (int, np.integer)):
        first, second = (((k,) if isinstance(k, int) else tuple(k)) for k in axes)
        if len(first) == len(second) == 1:
            left = np.transpose(left) if left.ndim == 2 and first[0] % 2 == 0 else left
            right = np.transpose(right) if right.ndim == 2 and second[0] % 2 == 1 else right
            return matmul(left, right)
        if left.ndim == right.ndim == len(first) == len(second) == 2:
            same = (first[0] % 2 == second[0] % 2) and (first[1] % 2 == second[1] % 2)
            return inner(flat(left), flat(right if same else np.transpose(right)))
    elif axes == 1:
        return matmul(left, right)
    elif axes == 2 and left.ndim == right.ndim == 2:
        return inner(flat(left), flat(right))
    elif axes == 0 and left.ndim + right.ndim <= 2:
        return np.multiply.outer(left, right)
    raise refuse("np.tensordot", f"axes {axes} of shapes {left.shape} and {right.shape} leave more than two axes")


@implements(np.einsum)
def einsum(trace: Trace, subscripts: Any, *operands: Any, **kwargs: Any) -> Traced:
    """Of one or two operands: repeated letters by diagonals, one letter that is shared by a product of matrices."""
    if not isinstance(subscripts, str) or set(kwargs) - {"optimize"} or "." in subscripts:
        raise refuse("np.einsum", "expected letters for all axes, such as 'ij,j->i'")
    text, arrow, result = subscripts.replace(" ", "").partition("->")
    names, arrays = text.split(","), [trace.lift(a) for a in operands]
    if not arrow:
        result = "".join(sorted(c for c in set(text) - {","} if text.count(c) == 1))
    if len(names) != len(arrays) or any(len(n) != a.ndim for n, a in zip(names, arrays)):
        raise refuse("np.einsum", f"'{subscripts}' does not fit the operands")
    size = {c: n for name, a in zip(names, arrays) for c, n in zip(name, a.shape)}
    letters = result + "".join(c for c in size if c not in result)
    if len(arrays) == 2 and len(set(names[0] + names[1])) <= 3:
        shared = [c for c in names[0] if c in names[1] and c not in result]
        plain = all(len(set(name)) == len(name) for name in names) and len(result) + len(shared) == len(size)
        if len(shared) == 1 and plain and not (set(names[0]) & set(names[1]) & set(result)):
            (left, right), (a, b) = names, arrays
            a = np.transpose(a) if a.ndim == 2 and left[0] == shared[0] else a
            b = np.transpose(b) if b.ndim == 2 and right[1] == shared[0] else b
            found = matmul(a, b)
            order = (left + right).replace(shared[0], "")
            return np.transpose(found) if order != result else found
    if len(letters) > 2:
        raise refuse("np.einsum", f"'{subscripts}' needs an array of {len(letters)} axes")
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
            sums = total(size, 0 if ord == 1 else 1)
            return reshape(np.max(sums), shape)
        raise refuse(f"np.linalg.norm of a matrix with ord={ord!r}", "expected None, 'fro', 1 or inf")
    if ord in (np.inf, -np.inf):
        return (np.max if ord > 0 else np.min)(size, axis=axes, keepdims=keepdims)
    if ord == 0:
        return np.count_nonzero(found, axis=axes, keepdims=keepdims)
    p = constant(trace, float(ord))
    return power(total(size if ord == 1 else power(size, p), axes, keepdims), constant(trace, 1.0 / float(ord)))


@implements(np.linalg.solve, np.linalg.inv, np.linalg.slogdet, np.linalg.det)
def system(trace: Trace, *_: Any) -> Traced:
    raise refuse("np.linalg.solve, inv, slogdet or det", "graphs have no linear systems in this version")


@implements(np.convolve)
def convolve(trace: Trace, a: Any, v: Any, mode: str = "full") -> Traced:
    return correlate(trace, a, np.flip(trace.lift(v)), mode)


@implements(np.correlate)
def correlate(trace: Trace, a: Any, v: Any, mode: str = "valid") -> Traced:
    left, right = trace.lift(a), trace.lift(v)
    n, k = left.size, right.size
    if k > n:
        raise refuse("np.convolve and np.correlate", f"found {n} and {k} entries, expected the longer array first")
    ahead, behind = {"full": (k - 1, k - 1), "valid": (0, 0), "same": (k // 2, (k - 1) // 2)}[mode]
    padded = np.pad(left, (ahead, behind)) if ahead or behind else left
    count = padded.size - k + 1
    windows = moved(padded, lambda at: at[np.arange(count)[:, None] + np.arange(k)])
    return matmul(windows, right)
