"""Tracing: a function of arrays is called once, with proxies that record the NumPy operations that it performs.

The result is a list of nodes over two-dimensional arrays: a number is ``1 x 1``, a vector of ``n`` entries is ``n x 1``, and the rows of an
array of more axes are all its axes but the last. A proxy knows its NumPy shape, and operations on it follow NumPy's rules. Arrays that do
not depend on variables, such as data, have values: NumPy evaluates any expression of them alone, and only its result becomes part of the
trace.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from .refusals import CONVERSION, conversion, lost, place, refuse, untraced
from .rowwise import keeps, signature

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Node:
    """An operation on earlier nodes, which are given by number; ``shape`` is the numbers of rows and columns."""

    op: str
    args: tuple[int, ...]
    shape: tuple[int, int]
    settings: dict[str, Any]


def two(shape: Shape) -> tuple[int, int]:
    """The numbers of rows and columns that represent a NumPy shape."""
    return (1, 1) if not shape else (shape[0], 1) if len(shape) == 1 else (math.prod(shape[:-1]), shape[-1])


class Trace:
    """The nodes of a function, in the order in which they were recorded."""

    def __init__(self) -> None:
        self.nodes: list[Node] = []
        self.held: list[np.ndarray] = []  # arrays that nodes refer to by number
        self.lists: dict[str, int] = {}  # lists of integers that differ between tasks, and their lengths
        self.sampled: list[bool] = []  # whether the rows of each held array are samples
        self.places: list[tuple[str, int]] = []  # file and line where each held array is used first
        self.plain: list[np.ndarray] = []  # samples that the user has made plain arrays of
        self.lost: str | None = None  # the operation that has last lost the samples of data
        self._known: dict[tuple, int] = {}

    def node(self, op: str, args: tuple[int, ...], shape: tuple[int, int], **settings: Any) -> int:
        """Records a node, unless it was recorded before, and returns its number."""
        key = (op, args, shape, tuple((name, _key(value)) for name, value in settings.items()))
        if key not in self._known:
            self._known[key] = len(self.nodes)
            self.nodes.append(Node(op, args, shape, settings))
        return self._known[key]

    def variable(self, group: str, position: int, shape: Shape) -> Traced:
        """An array with respect to which derivatives are taken, or that is given with each call."""
        return Traced(self, shape, self.node("input", (), two(shape), group=group, position=position))

    def lift(self, value: Any) -> Traced:
        """``value`` as part of this trace."""
        if isinstance(value, Traced):
            if value.owner is not self:
                raise refuse("a variable of another function", "it is traced by itself: pass what is needed as an argument")
            return value
        if isinstance(value, (list, tuple)) and any(isinstance(item, (Traced, list, tuple)) for item in value):
            from .shaping import stack

            return stack(self, [self.lift(item) for item in value])
        if value is None:
            raise refuse("None in place of an array", "does a function lack its return?")
        array = unmasked(value)
        if array.dtype.kind not in "fiub":
            raise refuse(f"an array of dtype {array.dtype}", "expected real numbers")
        if any(array is samples for samples in self.plain):
            return Traced(self, array.shape, value=array, rows=True)
        if array.size > 1 and not any(array.strides):
            one = Traced(self, (), value=array.ravel()[0].reshape(()))
            return Traced(self, array.shape, value=array, spread=one)
        return Traced(self, array.shape, value=array)

    def known(self, name: str, value: np.ndarray, samples: list[Traced], kept: Callable[[np.ndarray], bool]) -> Traced:
        """What NumPy has computed; ``kept`` says whether each row belongs to the same row of the operands ``samples``."""
        many = bool(samples) and value.ndim > 0 and {proxy.shape[0] for proxy in samples} == {value.shape[0]}
        rows = many and kept(value)
        if many and not rows:
            self.lost = lost(name)
        return Traced(self, value.shape, value=value, rows=rows)

    def hold(self, value: np.ndarray, rows: bool) -> int:
        """Returns the number of an array that is part of the trace, such as data."""
        for k, held in enumerate(self.held):
            if held is value:
                return k
        self.held.append(value)
        self.sampled.append(rows)
        self.places.append(place())
        return len(self.held) - 1

    def settle(self, known: Traced) -> int:
        """Returns the node of a proxy that has values."""
        value = np.asarray(known.value, dtype=np.float64)
        if value.size == 0:
            raise refuse(f"an array of shape {value.shape}", "expected at least one number")
        if known.rows and value.ndim > 2:
            self.lost = lost(f"an array of {value.ndim} axes", "reshape it to two before it meets variables")
        return self.node("known", (), two(value.shape), held=self.hold(known.value, known.rows and value.ndim <= 2))


def _key(value: Any) -> Any:
    return value.tobytes() if isinstance(value, np.ndarray) else value


FUNCTIONS: dict[Any, Callable] = {}
"""Replacements of NumPy's functions, called with the trace and then the arguments."""

UFUNCS: dict[str, Callable] = {}
"""Replacements of the ufuncs of NumPy and SciPy, by name, called with the operands as proxies."""

REDUCTIONS: dict[str, Callable] = {}
"""Replacements of ``ufunc.reduce``, by the name of the ufunc."""


LASTING: set[Callable] = set()
"""Replacements that are used even if all arguments have values."""


def implements(*functions: Any, lasting: bool = False) -> Callable[[Callable], Callable]:
    """Registers a replacement of NumPy's functions."""

    def register(own: Callable) -> Callable:
        for function in functions:
            FUNCTIONS[function] = own
        if lasting:
            LASTING.add(own)
        return own

    return register


def proxies(value: Any) -> Iterator[Traced]:
    """The proxies among arguments."""
    if isinstance(value, Traced):
        yield value
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from proxies(item)
    elif isinstance(value, dict):
        yield from proxies(list(value.values()))


def plain(value: Any) -> Any:
    """The arguments with values in place of proxies."""
    if isinstance(value, Traced):
        return value.value
    if isinstance(value, (list, tuple)):
        items = [plain(item) for item in value]
        return items if isinstance(value, list) else type(value)(*items) if hasattr(value, "_fields") else tuple(items)
    return {name: plain(item) for name, item in value.items()} if isinstance(value, dict) else value


def call(name: str, own: Callable | None, function: Callable, args: tuple, kwargs: dict) -> Any:
    """Calls ``own`` in place of ``function``, or ``function`` itself if all arguments have values."""
    found = [*proxies(args), *proxies(kwargs)]
    trace = found[0].owner
    if own not in LASTING and all(proxy.value is not None for proxy in found):
        with np.errstate(all="ignore"):
            result = function(*plain(args), **plain(kwargs))
        samples = [proxy for proxy in found if proxy.rows]
        return _known(trace, name, result, samples, lambda array: keeps(function, args, kwargs, samples, array))
    if own is None:
        raise untraced(name)
    return own(trace, *args, **(kwargs if isinstance(function, np.ufunc) else _taken(name, own, function, args, kwargs)))


def _taken(name: str, own: Callable, function: Callable, args: tuple, kwargs: dict) -> dict:
    """The keyword arguments for ``own``. Those that it does not take are dropped if they have NumPy's defaults, and refused otherwise."""
    theirs, ours, given = signature(function), signature(own), dict(kwargs)
    if theirs is not None:
        given = theirs.bind(*args, **kwargs).arguments
        given |= given.pop("kwargs", {})
        defaults = {key: parameter.default for key, parameter in theirs.parameters.items() if key not in ours.parameters}
        kwargs = {key: value for key, value in kwargs.items() if key not in defaults or value is not defaults[key]}
    if given.get("out") is not None:
        raise refuse(f"{name} with out=", "arrays are not written to: bind the result to a name")
    real(name, given.get("dtype"))
    try:
        ours.bind(None, *args, **kwargs)
    except TypeError as error:
        strange = [f"{key}=" for key in kwargs if key not in ours.parameters]
        if strange:
            raise refuse(f"{name} with {', '.join(strange)}", "this argument has no counterpart here") from None
        raise refuse(name, str(error)) from None
    return kwargs


def real(name: str, dtype: Any) -> None:
    """Refuses a ``dtype`` other than that of real numbers, whose precision is that of the computation."""
    if dtype is not None and np.dtype(dtype) not in (np.float64, np.float32):
        raise refuse(f"{name} with dtype={np.dtype(dtype)}", "expected real numbers, float64 or float32")


def unmasked(value: Any) -> np.ndarray:
    """``value`` as a plain array. The mask of a masked array would be lost."""
    if np.ma.is_masked(value):
        raise refuse("a masked array", "its mask has no counterpart here: use np.where, or weights of 0")
    return np.asarray(value)


def _known(trace: Trace, name: str, result: Any, samples: list[Traced], kept: Callable) -> Any:
    if isinstance(result, (tuple, list)):
        parts = [_known(trace, name, part, samples, kept) for part in result]
        return parts if isinstance(result, list) else tuple(parts)
    if not isinstance(result, (np.ndarray, np.generic)):
        return result
    return trace.known(name, unmasked(result), samples, kept)


_KINDS = {(False, False): np.float64, (True, False): np.bool_, (False, True): np.int64}


class Traced(np.lib.mixins.NDArrayOperatorsMixin):
    """An array in a traced function: a shape, and either the node that computes it or values that do not depend on variables."""

    __array_priority__ = 1000
    __slots__ = ("owner", "shape", "value", "rows", "_node", "truth", "turned", "step", "spread", "listed")

    def __init__(
        self, trace: Trace, shape: Shape, node: int | None = None, value: np.ndarray | None = None,
        rows: bool = False, truth: bool = False, turned: Traced | None = None, step: bool = False,
        spread: Traced | None = None, listed: str | None = None,
    ) -> None:  # fmt: skip
        self.owner, self.shape, self._node, self.value = trace, tuple(shape), node, value
        self.rows, self.truth, self.turned, self.step, self.spread = rows, truth, turned, step, spread
        self.listed = listed

    @property
    def node(self) -> int:
        """The number of its node."""
        if self.listed is not None:
            raise refuse(
                "integers of tasks", "they can only be an index, a[np.arange(len(labels)), labels] or a[labels]: give numbers as floats"
            )
        if self._node is None:
            if self.spread is not None and not self.rows:
                from .elementwise import fitted

                self._node = self.owner.node("broadcast", (fitted(self.spread, self.shape),), two(self.shape))
            elif self.turned is not None:
                self._node = self.owner.node("transpose", (self.turned.node,), two(self.shape))
            else:
                self._node = self.owner.settle(self)
        return self._node

    ndim = property(lambda self: len(self.shape))
    size = property(lambda self: int(np.prod(self.shape)))
    dtype = property(lambda self: self.value.dtype if self.value is not None else np.dtype(_KINDS[self.truth, self.listed is not None]))
    T = property(lambda self: np.transpose(self))
    mT = property(lambda self: np.swapaxes(self, -1, -2))
    real = property(lambda self: self)
    flat = property(lambda self: iter(np.ravel(self)))

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **kwargs: Any) -> Any:
        name = ufunc.__name__
        shown = f"np.{name}" if getattr(np, name, None) is ufunc else name
        if any(value is not None for value in kwargs.pop("out", None) or ()):
            raise refuse(f"{shown} with out=", "arrays are not written to: bind the result to a name")
        if method == "at":
            raise refuse(f"{shown}.at", "arrays are not written to: np.eye(n)[index].T @ a adds rows to places")
        if method == "__call__":
            own = UFUNCS.get(name)
            kwargs.pop("casting", None)
            if own and set(kwargs) - {"dtype"}:
                raise refuse(f"{shown} with {', '.join(kwargs)}=", "expected none: choose with np.where")
            if own:
                real(shown, kwargs.pop("dtype", None))
            lifted = (lambda trace, *operands: own(*map(trace.lift, operands))) if own else None
            return call(shown, lifted, ufunc, inputs, kwargs)
        if method == "reduce":
            kwargs = {"axis": 0, **{name: value for name, value in kwargs.items() if value is not np._NoValue}}
            return call(f"{shown}.reduce", REDUCTIONS.get(name), ufunc.reduce, inputs, kwargs)
        if method == "outer":
            a, b = (np.asanyarray(value) if not isinstance(value, Traced) else value for value in inputs)
            return ufunc(np.reshape(a, a.shape + (1,) * b.ndim), b, **kwargs)
        raise untraced(f"{shown}.{method}")

    def __array_function__(self, function: Callable, types: Any, args: tuple, kwargs: dict) -> Any:
        module = getattr(function, "__module__", "numpy") or "numpy"
        name = f"{module.replace('numpy', 'np', 1)}.{function.__name__}"
        if kwargs.get("out") is not None:
            raise refuse(f"{name} with out=", "arrays are not written to: bind the result to a name")
        kwargs = {key: value for key, value in kwargs.items() if key != "out" and value is not np._NoValue}
        return call(name, FUNCTIONS.get(function), function, args, kwargs)

    def __array__(self, dtype: Any = None, copy: Any = None) -> np.ndarray:
        if self.value is None:
            if (name := conversion()) != CONVERSION:
                raise untraced(name)
            use = "np.stack makes arrays of parts" + (", and ht.Problem.from_jax reads losses of JAX" if "jax" in sys.modules else "")
            raise refuse(name, f"a value does not exist while a function is traced: {use}")
        found = np.array(self.value, dtype=dtype)
        if self.rows:
            self.owner.plain.append(found)
            self.owner.lost = lost(conversion())
        return found

    def _number(self, what: str, use: str) -> Any:
        if self.value is None:
            raise refuse(what, f"a value does not exist while a function is traced: {use}")
        return self.value

    def __bool__(self) -> bool:
        return bool(self._number("if, and, or, not, or a comparison in them", "use np.where"))

    def __float__(self) -> float:
        return float(self._number("float(...)", "leave it an array"))

    def __int__(self) -> int:
        return int(self._number("int(...)", "leave it an array"))

    def __complex__(self) -> complex:
        raise refuse("complex(...)", "expected real numbers")

    def __index__(self) -> int:
        return self._number("an index, or range(...)", "take integers from the data or write them down").__index__()

    def __len__(self) -> int:
        if not self.shape:
            raise TypeError("len() of unsized object")
        return self.shape[0]

    def __iter__(self) -> Iterator[Traced]:
        if not self.shape:
            raise TypeError("iteration over a 0-d array")
        return (self[k] for k in range(self.shape[0]))

    def __hash__(self) -> int:
        return id(self)

    def __repr__(self) -> str:
        return f"<traced array of shape {self.shape}>"

    def __getitem__(self, index: Any) -> Traced:
        from .shaping import take

        return take(self, index)

    def __setitem__(self, index: Any, value: Any) -> None:
        raise refuse("w[...] = ...", "arrays are not written to: use np.where, np.concatenate or np.stack")

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        if self.value is not None and hasattr(self.value, name):
            return getattr(self.value, name)
        if name in ("item", "tolist"):
            raise refuse(f"the method .{name}", "a value does not exist while a function is traced: leave it an array")
        if hasattr(np.ndarray, name):
            raise untraced(f"np.{name}")
        raise AttributeError(f"arrays have no {name!r}")

    def astype(self, dtype: Any, **_: Any) -> Traced:
        if self.value is not None:
            return Traced(self.owner, self.shape, value=self.value.astype(dtype), rows=self.rows)
        real(".astype", dtype)
        return Traced(self.owner, self.shape, self.node)

    def copy(self, order: str = "C") -> Traced:
        return self

    def reshape(self, *shape: Any, order: str = "C", copy: bool | None = None) -> Traced:
        return np.reshape(self, shape[0] if len(shape) == 1 and not isinstance(shape[0], (int, np.integer)) else shape, order=order)

    def transpose(self, *axes: Any) -> Traced:
        return np.transpose(self, axes[0] if len(axes) == 1 and not isinstance(axes[0], int) else axes or None)


def _in_place(symbol: str, operator: Callable) -> Callable:
    def write(self: Traced, other: Any) -> Traced:
        if self.shape:
            raise refuse(f"a {symbol}= b", f"arrays are not written to: write a = a {symbol} b")
        return operator(self, other)

    return write


for _symbol, _name in {"+": "add", "-": "sub", "*": "mul", "/": "truediv", "**": "pow", "@": "matmul"}.items():
    setattr(Traced, f"__i{_name}__", _in_place(_symbol, getattr(np.lib.mixins.NDArrayOperatorsMixin, f"__{_name}__")))


def _method(name: str, function: Callable) -> Callable:
    def method(self: Traced, *args: Any, **kwargs: Any) -> Any:
        return function(self, *args, **kwargs)

    method.__name__ = name
    return method


for _name in (
    "sum mean prod max min std var any all dot ravel squeeze swapaxes clip cumsum trace diagonal repeat take argmax argmin "
    "argsort round"
).split():
    setattr(Traced, _name, _method(_name, getattr(np, _name)))
Traced.flatten = _method("flatten", np.ravel)
