"""``Problem``: a bilevel problem whose losses are NumPy functions."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from . import _core
from .calls import Bilevel, _count, _number
from .errors import InputError
from .graph import Data, Graph, lying, text
from .layout import Arrays, Layout, numbers, plain
from .shaping import reshape
from .refusals import record, refusal
from .trace import Trace, Traced, two

PREFIXES = {"inner": "train", "outer": "valid"}
"""Prefixes of the names of the data of each loss."""


class Samples:
    """The data of a loss, by name: ``d.X`` or ``d["X"]``."""

    def __init__(self, arrays: dict[str, Traced], role: str) -> None:
        self._arrays, self._role = arrays, role

    def __getattr__(self, name: str) -> Traced:
        if name.startswith("__"):
            raise AttributeError(name)
        return self[name]

    def __getitem__(self, name: str) -> Traced:
        if name not in self._arrays:
            known = ", ".join(self._arrays) or f"none, as none were given as {PREFIXES[self._role]}"
            raise InputError(f"d.{name} of the {self._role} loss: found no such data, expected {known}")
        return self._arrays[name]

    def _all(self) -> dict[str, Traced]:
        """All arrays by name."""
        return dict(self._arrays)

    def __contains__(self, name: str) -> bool:
        return name in self._arrays

    def __repr__(self) -> str:
        return "Samples(" + ", ".join(f"{name}{array.shape}" for name, array in self._arrays.items()) + ")"


class Problem(Bilevel):
    """A bilevel problem: minimise ``outer(w_r, x, valid)`` over ``x``, where ``w_r`` comes from ``r`` steps on ``inner(w, x, train)``.

    - ``inner(w, x, d)``, ``outer(w, x, d)``: functions of NumPy arrays that return one number. They are called once, with proxies that
      record what is computed (``ht.TraceError`` names what cannot be recorded). ``d`` may be left out.
    - ``x``: the outer start; an array, or a dict or list of arrays. ``w`` likewise, or ``init``: a function of
      ``x`` that returns the inner start.
    - ``train``, ``valid``: dicts of arrays, ``d`` of the inner and the outer loss. They are copied, once, as are arrays that losses
      refer to: what is written to yours later does not change the problem. Arrays as long as the first one have samples as
      rows; ``samples`` names others. Where a loss is a sum or mean over samples it is evaluated by blocks of rows and threads;
      ``describe()`` tells.
    - ``tasks``: names of data whose first axis are tasks, or ``True`` for all: ``d`` is then that of one task, and ``F`` the mean
      over them, each with an inner loop of its own.
    - ``steps``, ``lr``: the inner loop, unless a call says otherwise. ``help(ht.Bilevel)`` has the options of calls.

    >>> import numpy as np, hypertape as ht
    >>> problem = ht.Problem(
    ...     inner=lambda w, x: np.sum(w**2) / 2 + x * np.sum(w), outer=lambda w, x: np.sum(w**2),
    ...     x=0.5, w=np.ones(1), steps=10, lr=0.1)
    >>> round(float(problem.hypergradient().gradient), 12)  # -2 (1 - 0.9^10) w_10
    -0.029983796628
    """

    def __init__(
        self,
        inner: Callable,
        outer: Callable,
        x: Arrays,
        w: Arrays = None,
        *,
        init: Callable | None = None,
        train: dict[str, Any] | None = None,
        valid: dict[str, Any] | None = None,
        samples: list[str] | None = None,
        tasks: bool | list[str] = False,
        steps: int = 100,
        lr: float = 0.1,
        name: str = "problem",
    ) -> None:
        if (w is None) == (init is None):
            raise InputError("w or init: expected one of them, the inner start or a function of x that returns it")
        x_layout, x_values = Layout.of(x, "x")
        arrays, sides = Data(), Names("x", x_layout)
        if init is not None:
            w_layout, start = _start(init, sides)
        else:
            w_layout, w_values = Layout.of(w, "w")
        names = Names("w", w_layout)
        losses, counts = {}, {}
        for role, loss, given in (("inner", inner, train), ("outer", outer, valid)):
            prefix = PREFIXES[role]
            found = _data(prefix, given, samples, tasks)
            counts |= {f"{prefix}.{name}": one.tasks for name, one in found.items() if one.tasks is not None}
            losses[role] = Loss(role, loss, (names, sides), found, (arrays, prefix))
        traced = [(loss.trace, [loss.result]) for loss in losses.values()]
        w_layout.lying = lying("w", *traced)
        if init is not None:
            trace, results = start
            start = trace, [reshape(result, (1, result.size)) if k in w_layout.lying else result for k, result in enumerate(results)]
            traced.append(start)
        x_layout.lying = lying("x", *traced)
        document = {role: loss.graph((names, sides), (arrays, PREFIXES[role])) for role, loss in losses.items()}
        if init is not None:
            document["init"] = Graph(*start, sides.known(), arrays, "init", lying=sides.lying()).json()
        if len(set(counts.values())) > 1:
            told = ", ".join(f"{count} of {name}" for name, count in counts.items())
            raise InputError(f"tasks: found {told}, expected as many of all")
        lists = {entry["name"] for role in ("inner", "outer") for entry in document[role].get("lists", ())}
        statement = {
            "name": name,
            "x": sides.given(x_values),
            "w": names.given(w_values) if init is None else [],
            "names": names.names,
            "init": text(document["init"]) if init is not None else None,
            "inner": text(document["inner"]),
            "outer": text(document["outer"]),
            "arrays": [(n, *_shaped(array, two(array.shape))) for n, array in arrays.arrays.items() if n not in lists],
            "lists": [(n, array.tolist()) for n, array in arrays.arrays.items() if n in lists],
            "samples": [n for n in arrays.sampled if n in arrays.arrays],
            "tasks": (next(iter(counts.values()), 1), [n for n in counts if n in arrays.arrays]),
            "steps": _count(steps, "steps"),
            "lr": _number(lr, "lr"),
        }
        try:
            core = _core.stated(statement)
        except InputError:
            finite(arrays, counts)
            raise
        none = "loss: one block, as there is no data that is declared as samples"
        self._lost = {role: loss.trace.lost for role, loss in losses.items() if loss.trace.lost and f"{role} {none}" in core.describe()}
        super().__init__(core, x_layout, w_layout)

    @classmethod
    def from_jax(cls, inner: Callable, outer: Callable, x: Arrays, w: Arrays = None, **more: Any) -> Problem:
        """The same for losses that are written with ``jax.numpy``. They are read from their jaxpr; JAX has to be installed.

        ``init`` is written with JAX as well, and ``d`` is a dict. ``jax.vmap`` becomes batched products; for many tasks it is faster to
        write the loss of one task and to use ``tasks``. ``ht.TraceError`` names what has no counterpart, such as a function with a
        derivative of its own (``jax.custom_vjp``, ``jax.custom_jvp``).
        """
        from .jaxprs import called

        def read(loss: Callable) -> Callable:
            return (lambda w, x: called(loss, w, x)) if _takes(loss) == 2 else (lambda w, x, d: called(loss, w, x, d._all()))

        if (init := more.get("init")) is not None:
            more["init"] = lambda x: called(init, x)
        return cls(read(inner), read(outer), x, w, **more)

    def describe(self) -> str:
        """Says whether each loss is a sum over samples and, if not, why not."""
        return self._core.describe() + "".join(f"; {role} loss: {lost}" for role, lost in self._lost.items())

    def _read(self, options: dict[str, Any]) -> Any:
        for role, lost in self._lost.items() if options.get("batch") is not None else ():
            raise InputError(f"batch: the {role} loss is not a sum or mean over samples, because {lost}")
        return super()._read(options)

    def save(self, path: str | Path) -> None:
        """Writes the problem to a file that the command line and ``ht.load`` accept in place of a problem's name. The ending ``.npz`` is
        added if it is missing, as by ``np.savez``."""
        self._core.save(str(path) if str(path).endswith(".npz") else f"{path}.npz")


class Names:
    """Names of the arrays of ``x`` or ``w`` in graphs."""

    def __init__(self, role: str, layout: Layout) -> None:
        self.role, self.layout = role, layout
        self.names = [name or role for name in layout.names]
        self.full = [f"{role}.{name}" for name in self.names]

    def proxies(self, trace: Trace) -> Any:
        """The proxies that a function receives for them."""
        return self.layout.together([trace.variable(self.role, k, shape) for k, shape in enumerate(self.layout.shapes)])

    def given(self, flat: np.ndarray) -> list[tuple[str, int, int, np.ndarray]]:
        """Names, numbers of rows and columns, and values of a flat vector."""
        parts = np.split(flat, np.cumsum(self.layout.sizes)[:-1])
        shapes = [two(shape)[::-1] if k in self.layout.lying else two(shape) for k, shape in enumerate(self.layout.shapes)]
        return [(name, *_shaped(part, shape)) for name, part, shape in zip(self.names, parts, shapes)]

    def known(self) -> dict[tuple[str, int], str]:
        return {(self.role, k): name for k, name in enumerate(self.full)}

    def lying(self) -> frozenset[tuple[str, int]]:
        return frozenset((self.role, k) for k in self.layout.lying)


@dataclass
class Given:
    """An array of data, whether its rows are samples, and the number of tasks that it is split among."""

    array: np.ndarray
    rows: bool
    tasks: int | None = None


def _data(prefix: str, given: dict[str, Any] | None, samples: list[str] | None, tasks: bool | list[str]) -> dict[str, Given]:
    """The given arrays by name, checked."""
    if given is not None and not isinstance(given, dict):
        raise InputError(f"{prefix}: found {type(given).__name__}, expected a dict of arrays by name")
    found = {}
    for name, value in (given or {}).items():
        what, each = f"{prefix}[{name!r}]", tasks is True or bool(tasks) and name in tasks
        array = plain(value, what)
        if each and array.ndim not in (2, 3):
            raise InputError(f"{what}: found shape {array.shape}, expected a first axis of tasks and one or two more")
        checked = numbers(array.reshape(-1, *array.shape[2:]) if each else array, what)
        if array.dtype.kind in "iub" and not (each and array.ndim == 3):
            checked = array.reshape(-1) if each else array
        found[str(name)] = Given(checked, False, len(array) if each else None)
    length = {one.tasks: len(one.array) for one in reversed(found.values()) if one.array.ndim}
    for name, one in found.items():
        one.rows = 0 < one.array.ndim and (name in samples if samples is not None else len(one.array) == length[one.tasks])
    return found


def finite(data: Data, tasks: Any = ()) -> None:
    """Says which entry of which array of the user is not finite, if there is one."""
    for name, array in data.arrays.items():
        if name in tasks or array.dtype.kind != "f" or np.isfinite(array).all():
            continue
        at = tuple(int(k) for k in np.argwhere(~np.isfinite(array))[0])
        why = f"entry {at[0] if len(at) == 1 else at} is {array[at]}, expected finite numbers"
        if ".derived" in name and name in data.places:
            what = f"an array of shape {array.shape}" if at else "a number"
            raise refusal(what, why if at else f"found {array}, expected a finite one", *data.places[name])
        prefix, _, own = name.partition(".")
        raise InputError(f"{prefix}[{own!r}]: {why}")


class Loss:
    """A traced loss."""

    def __init__(self, role: str, loss: Callable, sides: tuple[Names, Names], given: dict[str, Given], held: tuple[Data, str]) -> None:
        self.trace, (data, prefix) = Trace(), held
        self.given, self.names = given, sides[0].known() | sides[1].known()
        proxies = {}
        for k, (name, one) in enumerate(given.items()):
            full = data.add(prefix, one.array, one.rows and one.array.ndim <= 2, name)
            if one.tasks is None:
                proxies[name] = Traced(self.trace, one.array.shape, value=one.array, rows=one.rows)
                continue
            shape = (len(one.array) // one.tasks, *one.array.shape[1:])
            if one.array.dtype.kind in "iu":
                self.trace.lists[full] = shape[0]
                proxies[name] = Traced(self.trace, shape, listed=full)
            else:
                self.names["data", k] = full
                proxies[name] = self.trace.variable("data", k, shape)
        arguments = [side.proxies(self.trace) for side in sides]
        if _takes(loss) != 2:
            arguments.append(Samples(proxies, role))
        self.result = self.trace.lift(record(loss, *arguments))
        if self.result.shape not in ((), (1,), (1, 1)):
            raise InputError(f"{role}: found a loss of shape {self.result.shape}, expected one number, such as its mean")

    def graph(self, sides: tuple[Names, Names], held: tuple[Data, str]) -> dict[str, Any]:
        """Returns the graph of the loss as JSON; data that it does not use are dropped."""
        data, prefix = held
        graph = Graph(self.trace, [self.result], self.names, data, prefix, lying=sides[0].lying() | sides[1].lying())
        used = {*graph.inputs, *graph.lists}
        for name in self.given:
            if f"{prefix}.{name}" not in used:
                data.arrays.pop(f"{prefix}.{name}", None)
        return graph.json()


def _takes(loss: Callable) -> int | None:
    """The number of arguments, or ``None`` if it is not known."""
    try:
        kinds = [p.kind for p in inspect.signature(loss).parameters.values()]
    except (TypeError, ValueError):
        return None
    return None if inspect.Parameter.VAR_POSITIONAL in kinds else len(kinds)


def _start(init: Callable, sides: Names) -> tuple[Layout, tuple[Trace, list[Traced]]]:
    """Names and shapes of the inner start, and the traced start."""
    trace = Trace()
    found = record(init, sides.proxies(trace))
    kind = "dict" if isinstance(found, dict) else "list" if isinstance(found, (list, tuple)) else "array"
    items = {"dict": dict, "list": lambda of: {str(k): a for k, a in enumerate(of)}, "array": lambda a: {"": a}}[kind](found)
    results = [trace.lift(value) for value in items.values()]
    return Layout(kind, list(items), [result.shape for result in results]), (trace, results)


def _shaped(value: np.ndarray, shape: tuple[int, int]) -> tuple[int, int, np.ndarray]:
    return *shape, np.ascontiguousarray(value, dtype=np.float64).ravel()
