"""Derivatives of NumPy functions: each transform takes a function ``f(x, *args)`` and returns one with the same first argument.

``f(x, *args)`` is traced once for each shape of ``x`` and of ``args``, which may be given by name: ``x`` is an array, or a dict or list of arrays, and is what
derivatives are taken in; of ``args`` numbers with a fraction are given anew with each call, integers and all else are part of the
trace. What ``f`` closes over is taken as it is at that time.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any

import numpy as np

from . import _core
from .errors import InputError
from .graph import Data, Graph, text
from .layout import Arrays, Layout, numbers
from .results import Checks
from .refusals import record
from .trace import Shape, Trace, two

KEPT = 32
"""Number of traces that are cached per function."""


class Compiled:
    """A function that was traced for arrays of given shapes."""

    def __init__(self, f: Callable, layout: Layout, args: list[Any]) -> None:
        trace, data = Trace(), Data()
        parts = [trace.variable("x", k, shape) for k, shape in enumerate(layout.shapes)]
        given = [trace.variable("arg", k, a.shape) if _is_passive(a) else a for k, a in enumerate(args)]
        result = trace.lift(record(f, layout.together(parts), *given))
        self.shape: Shape = result.shape
        names = {("x", k): f"x.{k}" for k in range(len(parts))}
        passive = {("arg", k): f"arg.{k}" for k, a in enumerate(args) if _is_passive(a)}
        graph = Graph(trace, [result], names | passive, data, "data")
        for (group, k), name in (names | passive).items():
            graph.declare(name, two((parts if group == "x" else given)[k].shape))
        self.core = _core.Function(
            text(graph.json()), list(names.values()), list(passive.values()),
            [(name, numbers(array, name).ravel()) for name, array in data.arrays.items()],
        )  # fmt: skip

    def scalar(self, what: str) -> None:
        if self.shape:
            raise InputError(f"ht.{what}: found a function of shape {self.shape}, expected one number")


class Transform:
    """A function, and its traces by the shapes of its arguments."""

    def __init__(self, f: Callable) -> None:
        self.f = f
        self.known: dict[tuple, Compiled] = {}

    def at(self, x: Arrays, args: tuple) -> tuple[Compiled, Layout, np.ndarray, list[np.ndarray]]:
        layout, flat = Layout.of(x, "x")
        given = [numbers(a, f"argument {k + 2}") if _varies(a) else a for k, a in enumerate(args)]
        key = (layout.kind, *layout.names, *layout.shapes, *map(_key, given))
        compiled = self.known.get(key)
        if compiled is None:
            compiled = Compiled(self.f, layout, given)
            if len(self.known) == KEPT:
                self.known.pop(next(iter(self.known)))
            self.known[key] = compiled
        return compiled, layout, flat, [a.ravel() for a in given if _is_passive(a)]


def _varies(value: Any) -> bool:
    if isinstance(value, (float, np.floating)):
        return True
    return isinstance(value, (np.ndarray, list)) and np.asarray(value).dtype.kind == "f"


def _is_passive(value: Any) -> bool:
    """Whether an argument is passed to the trace with each call, and not part of it."""
    return isinstance(value, np.ndarray) and value.dtype == np.float64


def _key(value: Any) -> Any:
    if not isinstance(value, np.ndarray):
        return (type(value), value) if isinstance(value, (int, str, bool, type(None))) else (type(value), id(value))
    return value.shape if value.dtype == np.float64 else (value.shape, value.dtype.str, value.tobytes())


def _transform(method: Callable) -> Callable:
    """Turns ``method(transform, x, ...)`` into a transform of functions."""

    own = len(inspect.signature(method).parameters) - 2  # x, and what the method itself takes

    @functools.wraps(method)
    def transform(f: Callable) -> Callable:
        made = Transform(f)

        @functools.wraps(f)
        def derived(*args: Any, **named: Any) -> Any:
            return method(made, *(_placed(f, args, named, own) if named else args))

        return derived

    return transform


def _placed(f: Callable, args: tuple, named: dict[str, Any], own: int) -> tuple:
    """Returns all arguments by position. ``f`` takes the first one and those after ``own``."""
    if len(args) < own:
        raise InputError(f"found {len(args)} arguments without a name, expected the first {own} by their places")
    bound = inspect.signature(f).bind(*args[:1], *args[own:], **named)
    bound.apply_defaults()
    if bound.kwargs:
        raise InputError(f"{next(iter(bound.kwargs))}: found an argument that can only be given by its name, expected one with a place")
    return *args[:own], *bound.args[1:]


@_transform
def value_and_grad(f: Any, x: Arrays, *args: Any) -> Any:
    """``ht.value_and_grad(f)(x, *args)``: the value of a scalar function and its gradient, which has the shape of ``x``.

    Cost: about four evaluations.

    >>> import hypertape as ht, numpy as np
    >>> ht.value_and_grad(lambda x: np.sum(x**3))(np.array([1.0, 2.0]))
    (9.0, array([ 3., 12.]))
    """
    compiled, layout, flat, given = f.at(x, args)
    compiled.scalar("value_and_grad")
    value, gradient = compiled.core.gradient(flat, given)
    return value, layout.unpack(gradient)


@_transform
def grad(f: Any, x: Arrays, *args: Any) -> Any:
    """``ht.grad(f)(x, *args)``: the gradient of a scalar function, with the shape of ``x``. Cost: about four evaluations."""
    compiled, layout, flat, given = f.at(x, args)
    compiled.scalar("grad")
    return layout.unpack(compiled.core.gradient(flat, given)[1])


@_transform
def hvp(f: Any, x: Arrays, v: Arrays, *args: Any) -> Any:
    """``ht.hvp(f)(x, v, *args)``: the product of the Hessian of a scalar function with ``v``, with the shape of ``x``.

    Cost: about eight evaluations, whatever the number of variables.

    >>> import hypertape as ht, numpy as np
    >>> ht.hvp(lambda x: np.sum(x**3))(np.array([1.0, 2.0]), np.array([1.0, 1.0]))
    array([ 6., 12.])
    """
    compiled, layout, flat, given = f.at(x, args)
    compiled.scalar("hvp")
    return layout.unpack(compiled.core.hvp(flat, layout.pack(v, "v"), given)[2])


@_transform
def jvp(f: Any, x: Arrays, dx: Arrays, *args: Any) -> Any:
    """``ht.jvp(f)(x, dx, *args)``: the value and ``J dx``, both with the shape of the value. Cost: about two evaluations."""
    compiled, layout, flat, given = f.at(x, args)
    y, dy = compiled.core.jvp(flat, layout.pack(dx, "dx"), given)
    return _shaped(y, compiled.shape), _shaped(dy, compiled.shape)


@_transform
def vjp(f: Any, x: Arrays, y_bar: Any, *args: Any) -> Any:
    """``ht.vjp(f)(x, y_bar, *args)``: the value, and ``J^T y_bar`` with the shape of ``x``. Cost: about four evaluations."""
    compiled, layout, flat, given = f.at(x, args)
    bar = numbers(y_bar, "y_bar")
    if bar.shape != compiled.shape:
        raise InputError(f"y_bar: found shape {bar.shape}, expected {compiled.shape}")
    y, x_bar = compiled.core.vjp(flat, bar.ravel(), given)
    return _shaped(y, compiled.shape), layout.unpack(x_bar)


@_transform
def jacobian(f: Any, x: Arrays, *args: Any) -> Any:
    """``ht.jacobian(f)(x, *args)``: the Jacobian, of shape ``y.shape + x.shape`` for each array of ``x``.

    Cost: one reverse sweep per entry of ``y`` or a quarter of a forward pass per entry of ``x``, whichever is cheaper.

    >>> import hypertape as ht, numpy as np
    >>> ht.jacobian(lambda x: x[0] * x)(np.array([3.0, 5.0]))
    array([[6., 0.],
           [5., 3.]])
    """
    compiled, layout, flat, given = f.at(x, args)
    rows = compiled.core.jacobian(flat, given)[1].reshape(-1, layout.size)
    parts = np.split(rows, np.cumsum(layout.sizes)[:-1], axis=1)
    return layout.together([part.reshape(compiled.shape + shape) for part, shape in zip(parts, layout.shapes)])


@_transform
def hessian(f: Any, x: Arrays, *args: Any) -> Any:
    """``ht.hessian(f)(x, *args)``: the Hessian, of shape ``x.shape + x.shape`` if ``x`` is an array. For several arrays of ``n`` numbers in
    all it is an ``(n, n)`` matrix, in their order.

    Cost: one Hessian-vector product per variable, four at a time.
    """
    compiled, layout, flat, given = f.at(x, args)
    compiled.scalar("hessian")
    found = compiled.core.hessian(flat, given)[2].reshape(layout.size, layout.size)
    return found.reshape(layout.shapes[0] * 2) if layout.kind == "array" else found


@_transform
def check(f: Any, x: Arrays, *args: Any) -> Any:
    """``ht.check(f)(x, *args)``: compares the derivatives of a scalar function with its values, by Taylor remainders and differences.

    ``checks.failed`` is empty if the function is smooth at ``x``.
    """
    compiled, layout, flat, given = f.at(x, args)
    compiled.scalar("check")
    told = compiled.core.check(flat, np.sin(1.0 + np.arange(flat.size)), given)
    rows = [
        ("order of the remainder with the gradient", told["gradient_order"], 1.9, told["gradient_order"] > 1.9),
        ("order of the remainder with the Hessian", told["hessian_order"], 2.9, told["hessian_order"] > 2.9),
        ("gradient against central differences", told["difference"], 1e-6, told["difference"] < 1e-6),
    ]
    names = ("check", "observed", "allowed", "verdict")
    return Checks([dict(zip(names, (name, seen, allowed, "ok" if ok else "FAILED"))) for name, seen, allowed, ok in rows])


def _shaped(flat: np.ndarray, shape: Shape) -> Any:
    return flat.reshape(shape) if shape else float(flat[0])


__all__ = ["check", "grad", "hessian", "hvp", "jacobian", "jvp", "value_and_grad", "vjp"]
