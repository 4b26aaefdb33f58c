"""Traces as the graphs that Rust evaluates: JSON for the nodes, and named arrays for the data."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .errors import InputError
from .refusals import refusal
from .trace import Node, Trace, Traced

SMALL = 16
"""Arrays of at most this many numbers are written into the JSON."""

NAMES = {
    "sub": "subtract", "mul": "multiply", "div": "divide", "over": "divide", "sign": "sign_or_zero", "sum_to": "sum", "power_of": "power",
}  # fmt: skip
"""Operations that have different names in graphs and in traces."""

SHAPED = ("sum_to", "slice", "broadcast", "block", "entries", "scatter_entries")
"""Operations whose shape is written into the graph."""


@dataclass
class Data:
    """Arrays that graphs refer to by name, and the names of those whose rows are samples."""

    arrays: dict[str, np.ndarray] = field(default_factory=dict)
    sampled: list[str] = field(default_factory=list)
    places: dict[str, tuple[str, int]] = field(default_factory=dict)  # file and line where an array that has no name is used

    def add(self, prefix: str, value: np.ndarray, rows: bool, name: str | None = None) -> str:
        """Adds an array and returns its name; an array that was added before keeps its name."""
        for known, array in self.arrays.items():
            if array is value and known.startswith(f"{prefix}."):
                return known
        if name is None:
            name = next(f"derived{k}" for k in range(len(self.arrays) + 1) if f"{prefix}.derived{k}" not in self.arrays)
        full = f"{prefix}.{name}"
        self.arrays[full] = value
        if rows:
            self.sampled.append(full)
        return full


class Graph:
    """A trace and its results as JSON; its data are added to ``data`` under names that begin with ``prefix``."""

    def __init__(
        self, trace: Trace, results: list[Traced], names: dict[tuple[str, int], str], data: Data, prefix: str, small: float = SMALL,
        lying: frozenset[tuple[str, int]] = frozenset(),
    ) -> None:  # fmt: skip
        self.trace, self.names, self.data, self.prefix, self.small = trace, names, data, prefix, small
        self.lying = lying
        self.inputs: dict[str, tuple[int, int]] = {}
        self.lists: dict[str, int] = {}
        self.nodes: list[dict[str, Any]] = []
        self.numbers: dict[int, int] = {}
        self.rows: dict[int, int] = {}  # from a node that is the column of an input stored as a row, to the node of that row
        outputs = [result.node for result in results]
        for k in sorted(_needed(trace, outputs)):
            self.numbers[k] = self._written(trace.nodes[k])
        self.outputs = [self.numbers[k] for k in outputs]

    def json(self) -> dict[str, Any]:
        """The JSON document."""
        inputs = [{"name": name, "shape": list(shape)} for name, shape in self.inputs.items()]
        graph = {"version": 1, "inputs": inputs, "nodes": self.nodes, "outputs": self.outputs}
        if self.lists:
            graph["lists"] = [{"name": name, "length": length} for name, length in self.lists.items()]
        return graph

    def declare(self, name: str, shape: tuple[int, int]) -> None:
        """Declares an input that the results may not depend on."""
        self.inputs.setdefault(name, shape)

    def _push(self, op: str, of: list[int], **settings: Any) -> int:
        self.nodes.append({"op": op, **({"of": of} if of else {}), **settings})
        return len(self.nodes) - 1

    def _written(self, node: Node) -> int:
        of, settings = [self.numbers[k] for k in node.args], node.settings
        own = getattr(self, f"_{node.op}", None)
        if own is not None:
            return own(node, of, **settings)
        named = {name: _plain(value) for name, value in settings.items()}
        if node.op in SHAPED:
            named["shape"] = list(node.shape)
        return self._push(NAMES.get(node.op, node.op), of, **named)

    def _input(self, node: Node, of: list[int], group: str, position: int) -> int:
        if (group, position) not in self.lying:
            return self._named(self.names[group, position], node.shape)
        row = self._named(self.names[group, position], node.shape[::-1])
        column = self._push("reshape", [row], shape=list(node.shape))
        self.rows[column] = row
        return column

    def _reshape(self, node: Node, of: list[int]) -> int:
        lies = of[0] in self.rows and node.shape[0] == 1
        return self.rows[of[0]] if lies else self._push("reshape", of, shape=list(node.shape))

    def _named(self, name: str, shape: tuple[int, int]) -> int:
        self.inputs[name] = shape
        return self._push("input", of=[], name=name)

    def _known(self, node: Node, of: list[int], held: int) -> int:
        value, rows = self.trace.held[held], self.trace.sampled[held]
        # A number may be infinite, as a bound is. Whatever else is not finite is one of the data, where it is found and refused.
        written = np.isfinite(value).all() if value.ndim else not np.isnan(value)
        if value.size <= self.small and not rows and written:
            return self._constant(node.shape, np.asarray(value, dtype=np.float64).ravel())
        name = self.data.add(self.prefix, value, rows)
        self.data.places.setdefault(name, self.trace.places[held])
        return self._named(name, node.shape)

    def _constant(self, shape: tuple[int, int], values: np.ndarray) -> int:
        return self._push("constant", [], shape=list(shape), values=[_number(float(v)) for v in values])

    def _matmul(self, node: Node, of: list[int], transposed: tuple[bool, bool]) -> int:
        return self._push("matmul", of, left_transposed=transposed[0], right_transposed=transposed[1])

    def _convolve(self, node: Node, of: list[int], **map_: int) -> int:
        return self._push("convolve", of, **map_, role="output")

    def _labels(self, held: int | str, what: str, count: int, counted: str) -> str | list[int]:
        labels = self.data.arrays[held] if isinstance(held, str) else self.trace.held[held]
        if (outside := np.flatnonzero((labels < 0) | (labels >= count))).size:
            row = int(outside[0])
            task, place = divmod(row, self.trace.lists[held]) if isinstance(held, str) else (None, row)
            at = f"row {place}" if task is None else f"row {place} of task {task}"
            why = f"{at} has the {what} {labels[row]}, expected 0 to {count - 1}, because {counted}"
            for name in (name for name, array in self.data.arrays.items() if array is labels and ".derived" not in name):
                prefix, _, own = name.partition(".")
                raise InputError(f"{prefix}[{own!r}]: {why}")
            raise refusal("a list of labels", why, *self.trace.places[held])
        if isinstance(held, str):
            self.lists[held] = self.trace.lists[held]
            return held
        if not self.trace.sampled[held]:
            return [int(k) for k in labels]
        name = self.data.add(self.prefix, labels, True)
        self.lists[name] = len(labels)
        return name

    def _pick(self, node: Node, of: list[int], labels: int | str) -> int:
        classes = self.trace.nodes[node.args[0]].shape[1]
        return self._push("pick", of, labels=self._labels(labels, "label", classes, f"there are {classes} classes"))

    def _gather_rows(
        self, node: Node, of: list[int], labels: int | str | None = None, indices: np.ndarray | None = None, step: bool = False
    ) -> int:
        if step:
            self.lists["t"] = 1
            return self._push("gather_rows", of, indices="t")
        rows = self.trace.nodes[node.args[0]].shape[0]
        found = indices.tolist() if indices is not None else self._labels(labels, "index", rows, f"the array has {rows} rows")
        return self._push("gather_rows", of, indices=found)

    def _joined(self, node: Node, of: list[int], across: bool) -> int:
        """Concatenates by recursive halving: each part is embedded in zeros, and the results are added."""
        shapes = [self.trace.nodes[k].shape for k in node.args]
        if len(of) == 1:
            return of[0]

        def made(parts: list[int], shapes: list[tuple[int, int]]) -> tuple[int, tuple[int, int]]:
            if len(parts) == 1:
                return parts[0], shapes[0]
            half = len(parts) // 2
            (a, (rows, cols)), (b, other) = made(parts[:half], shapes[:half]), made(parts[half:], shapes[half:])
            whole = (rows, cols + other[1]) if across else (rows + other[0], cols)
            first = self._push("inset", [a], row=0, column=0, shape=list(whole))
            second = self._push("inset", [b], row=0 if across else rows, column=cols if across else 0, shape=list(whole))
            return self._push("add", [first, second]), whole

        return made(of, shapes)[0]

    def _batched_matmul(self, node: Node, of: list[int], count: int) -> int:
        return self._push("batched_matmul", of, count=count, left_transposed=False, right_transposed=False)

    def _select(self, node: Node, of: list[int]) -> int:
        def whole(k: int, shape: tuple[int, int]) -> int:
            return k if shape == node.shape else self._push("broadcast", [k], shape=list(node.shape))

        return self._push("select", [whole(k, self.trace.nodes[arg].shape) for k, arg in zip(of, node.args)])

    def _xlogy(self, node: Node, of: list[int]) -> int:
        return self._push("passed", [of[0], self._push("ln", [of[1]])])


def lying(group: str, *traced: tuple[Trace, list[Traced]]) -> set[int]:
    """Positions of the variables of a group that are vectors and only used as rows, such as biases. They are given as rows, so that no
    evaluation has to reshape them."""
    rows, columns = set(), set()
    for trace, results in traced:
        outputs = [result.node for result in results]
        inputs = {k: node.settings["position"] for k, node in enumerate(trace.nodes) if node.op == "input" and node.settings["group"] == group}
        for k in _needed(trace, outputs):
            node = trace.nodes[k]
            for of in inputs.keys() & set(node.args):
                turned = node.op == "reshape" and node.shape == trace.nodes[of].shape[::-1]
                (rows if turned else columns).add(inputs[of])
        columns.update(inputs[k] for k in outputs if k in inputs)
    return rows - columns


def _needed(trace: Trace, outputs: list[int]) -> set[int]:
    found, open_ = set(), list(outputs)
    while open_:
        k = open_.pop()
        if k not in found:
            found.add(k)
            open_.extend(trace.nodes[k].args)
    return found


def _plain(value: Any) -> Any:
    """A setting in the form that JSON needs."""
    return value.tolist() if isinstance(value, np.ndarray) else _number(value) if isinstance(value, float) else value


def _number(value: float) -> float | str:
    """A number in the form that JSON needs: numbers that are not finite become words."""
    return value if np.isfinite(value) else "nan" if np.isnan(value) else "inf" if value > 0 else "-inf"


def text(document: dict[str, Any]) -> str:
    """The document as text."""
    return json.dumps(document, allow_nan=False)
