"""Your own inner rules: NumPy functions of ``w``, its gradient, the memory of the rule, and the outer variables."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import numpy as np

from . import _core
from .errors import InputError
from .graph import Data, Graph, text
from .layout import Layout
from .problem import Names, finite
from .shaping import reshape
from .trace import Trace, Traced, two

GIVEN = ("w", "g", "x", "t", "lr")


def traced(rule: Callable, w: Layout, x: Layout) -> _core.Rule:
    """Traces ``rule`` into one graph per array of ``w``; the rule updates each array separately, as far as its result shows.

    Its arguments are recognised by name: ``w``, ``g`` (the gradient), ``x`` (the outer variables), ``t`` (the step, counted from 0, which
    may also be used as an index) and ``lr``. Any other argument is an array that the rule remembers, of the shape of ``w`` and zero at
    first. The rule returns the next ``w``, or a tuple of the next ``w`` and the next values of what it remembers, in the order of the
    arguments.
    """
    names = list(inspect.signature(rule).parameters)
    memory = [name for name in names if name not in GIVEN]
    if "w" not in names or "g" not in names:
        raise InputError(f"rule: found the arguments {', '.join(names)}, expected w and g among them")
    sides = Names("x", x)
    graphs = [_graph(rule, names, memory, (shape, k in w.lying), sides) for k, shape in enumerate(w.shapes)]
    # Without the reshapes of vectors that lie, from which a rule is seen to treat all entries alike.
    upright = [_graph(rule, names, memory, (w.shapes[k], False), sides) if k in w.lying else graph for k, graph in enumerate(graphs)]
    return _core.Rule(getattr(rule, "__name__", "rule").strip("<>"), len(memory), graphs, upright, sides.names)


def _graph(rule: Callable, names: list[str], memory: list[str], of: tuple[tuple[int, ...], bool], sides: Names) -> str:
    trace, (shape, lies) = Trace(), of
    state = {"w": trace.variable("w", 0, shape), "g": trace.variable("g", 0, shape)}
    state |= {name: trace.variable("m", k, shape) for k, name in enumerate(memory)}
    step = Traced(trace, (), trace.node("input", (), (1, 1), group="t", position=0), step=True)
    given = state | {"x": sides.proxies(trace), "t": step, "lr": trace.variable("lr", 0, ())}
    found = rule(*(given[name] for name in names))
    found = [trace.lift(part) for part in (found if isinstance(found, (tuple, list)) else [found])]
    if [part.shape for part in found] != [shape] * (1 + len(memory)):
        shapes = ", ".join(str(part.shape) for part in found)
        raise InputError(f"rule: found results of shapes {shapes}, expected {1 + len(memory)} of {shape}")
    moving = {("w", 0): "w", ("g", 0): "g"} | {("m", k): f"m.{k}" for k in range(len(memory))}
    known = moving | {("t", 0): "t", ("lr", 0): "lr"} | sides.known()
    lying, data = sides.lying(), Data()
    if lies:
        lying, found = lying | frozenset(moving), [reshape(part, (1, part.size)) for part in found]
    graph = Graph(trace, found, known, data, "rule", small=np.inf, lying=lying)
    finite(data)
    graph.declare("w", two(shape)[::-1] if lies else two(shape))
    return text(graph.json())


def choose(rule: Any, w: Layout, x: Layout, kept: dict[Any, Any]) -> Any:
    """Returns a rule given by name unchanged, and a function as traced graphs, which are cached in ``kept``."""
    if not callable(rule):
        if not isinstance(rule, str):
            raise InputError(f"rule: found {rule!r}, expected a name or a function")
        return rule
    if rule not in kept:
        if len(kept) >= 16:
            kept.clear()
        kept[rule] = traced(rule, w, x)
    return kept[rule]
