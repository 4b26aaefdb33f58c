"""What calls return: plain data with a readable ``repr``."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Callable, Iterator

import numpy as np


def size(n: float) -> str:
    """Bytes in binary units: ``12.3 MiB``."""
    if n < 1024:
        return f"{n:.0f} B"
    for unit in ("KiB", "MiB", "GiB", "TiB"):
        n /= 1024
        if n < 1023.95:
            break
    return f"{n:.1f} {unit}"


def duration(seconds: float) -> str:
    """A time in a suitable unit: ``812 us``."""
    for unit, factor in (("s", 1.0), ("ms", 1e3), ("us", 1e6)):
        if seconds * factor >= 0.9995:  # which is printed as 1
            break
    return f"{seconds * factor:.3g} {unit}"


def of(kind: type, fields: dict[str, Any]) -> Any:
    """Makes a result with all fields at once. A frozen dataclass sets them one by one, which takes as long as a small hypergradient."""
    made = object.__new__(kind)
    made.__dict__.update(fields)
    return made


@dataclass(frozen=True)
class Cost:
    """The cost of a call. Bytes are those of arenas and stored states, without the caller's data and parameters."""

    plain_steps: int
    """Steps of the inner loop, including recomputed ones."""
    inner_gradients: int
    hvps: int
    """Products with the inner Hessian."""
    mixed: int
    """Products with the mixed derivative."""
    outer_gradients: int
    samples: int
    """Samples seen, summed over all evaluations of a loss."""
    bytes_measured: int
    seconds: float
    bytes_predicted: int | None = None
    """Peak of used bytes, predicted before the call."""

    def __str__(self) -> str:
        counts = f"{self.plain_steps} steps, {self.inner_gradients} gradients, {self.hvps} HVPs"
        return f"{counts}, {size(self.bytes_measured)}, {duration(self.seconds)}"


@dataclass(frozen=True)
class Hypergradient:
    """A hypergradient, its cost, and warnings."""

    gradient: Any
    """``dF/dx``, in the form in which ``x`` was given: an array, or a dict or list of arrays."""
    loss: float
    """The outer loss after the inner loop."""
    lr: float
    """The inner step size, as chosen if ``lr="auto"``."""
    cost: Cost
    warnings: list[str]
    """What the reader of the estimate should know, one line each."""
    estimator: str
    schedule: str | None
    """What was stored of the inner loop; ``None`` of estimators that store nothing."""
    sensitivity: float
    """Largest ratio, over the reversed steps, of the adjoint of the gradient to that of the state, relative to gradient descent."""
    growth: float
    """Growth of the adjoint of ``w`` from the end of the inner loop to its start."""
    report: dict[str, Any] | None
    """What an implicit estimate rests on: ``residual``, ``iterations``, ``inner_norm``, ``inner_ratio``, ``solution_error``."""
    solve: Callable[[], Any] = field(repr=False)

    @cached_property
    def w(self) -> Any:
        """The end of the inner loop, for the last task. Cost: the inner loop, once, on first access."""
        return self.solve()

    def __repr__(self) -> str:
        parts = self.gradient.values() if isinstance(self.gradient, dict) else self.gradient
        parts = parts if isinstance(self.gradient, (dict, list)) else [self.gradient]
        norm = np.sqrt(sum(float(np.vdot(part, part)) for part in parts))
        schedule = f", {self.schedule}" if self.schedule else ""
        lines = [f"Hypergradient: loss {self.loss:.8g}, |gradient| {norm:.8g}, {self.estimator}{schedule}", f"  {self.cost}"]
        return "\n".join(lines + [f"  warning: {warning}" for warning in self.warnings])


class Row:
    """A row of a table, whose entries are attributes."""

    def __init__(self, entries: dict[str, Any]) -> None:
        self.__dict__.update(entries)

    def __repr__(self) -> str:
        return "Row(" + ", ".join(f"{name}={value!r}" for name, value in self.__dict__.items()) + ")"


class Table:
    """A table of rows; ``table["name"]`` is a column, ``table[k]`` a row."""

    def __init__(self, rows: list[dict[str, Any]], hidden: tuple[str, ...] = ()) -> None:
        self.rows = [Row(row) for row in rows]
        self._hidden = hidden

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[Row]:
        return iter(self.rows)

    def __getitem__(self, key: int | str) -> Any:
        return [getattr(row, key) for row in self.rows] if isinstance(key, str) else self.rows[key]

    def __repr__(self) -> str:
        if not self.rows:
            return "(none)"
        names = [name for name in vars(self.rows[0]) if name not in self._hidden]
        cells = [names] + [[_cell(name, getattr(row, name)) for name in names] for row in self.rows]
        widths = [max(len(line[k]) for line in cells) for k in range(len(names))]
        lines = ["  ".join(f"{cell:<{width}}" for cell, width in zip(line, widths)).rstrip() for line in cells]
        return "\n".join(lines)


def _cell(name: str, value: Any) -> str:
    if value is None or value == []:
        return "-"
    if isinstance(value, float):
        return duration(value) if name == "seconds" else f"{value:.3g}"
    return size(value) if name == "bytes" else str(value)


@dataclass(frozen=True)
class Plan:
    """Schedules that fit into a memory budget, the fastest first, and estimators ordered by time times second moment, the best first."""

    schedules: Table
    estimators: Table

    @property
    def schedule(self) -> str:
        """The fastest schedule."""
        return self.schedules[0].schedule

    def __repr__(self) -> str:
        tables = [repr(self.schedules)] + ([repr(self.estimators)] if len(self.estimators) else [])
        return "\n\n".join(tables)


class Checks(Table):
    """Checks of a problem's derivatives, each with the observed and the allowed value, ``None`` if there is none.

    The text explains those that failed.
    """

    def __repr__(self) -> str:
        explained = [f"{row.check}: {row.meaning}" for row in self.rows if row.verdict == "FAILED" and hasattr(row, "meaning")]
        return "\n".join([super().__repr__(), *explained])

    @property
    def failed(self) -> list[str]:
        """The names of the checks that failed."""
        return [row.check for row in self.rows if row.verdict == "FAILED"]


NUMBER = re.compile(r"\b(?:\d[\d.]*(?:e-?\d+)?|inf)\b")
"""A number in a warning; warnings that differ in numbers only are of one kind."""


@dataclass(frozen=True)
class Run:
    """A bilevel optimisation and its result."""

    x: Any
    """The outer point at the end."""
    best: Any
    """The point with the smallest outer loss during the run, before the step from there."""
    best_loss: float
    """``inf`` for single-loop algorithms, whose intermediate losses belong to states that are still moving."""
    iterations: int
    ended: str
    """Why it ended: iterations, gradient norm, oracle calls, time, callback."""
    records: dict[str, np.ndarray]
    """A column for each number of an iteration: ``loss``, ``gradient_norm``, ``seconds``, ``hvps`` and the other counts."""
    warnings: list[str]
    """What estimates warned of, each text once."""
    warned: int
    """Number of recorded iterations whose estimates warned."""
    estimator: str
    schedule: str | None
    solve: Callable[[], Any] = field(repr=False)

    @cached_property
    def w(self) -> Any:
        """The end of the inner loop from ``x``, for the last task. Cost: the inner loop, once, on first access."""
        return self.solve()

    def __repr__(self) -> str:
        losses = self.records["loss"]
        went = f", outer loss {losses[0]:.6g} to {losses[-1]:.6g}" if len(losses) else ""
        best = f", best {self.best_loss:.6g}" if self.best_loss < np.inf else ""
        first = f"Run: {self.iterations} iterations, ended by {self.ended}{went}{best}, {self.estimator}"
        worst: dict[str, tuple[list[float], str]] = {}
        for text in self.warnings:
            kind, found = NUMBER.sub("", text), [float(number) for number in NUMBER.findall(text)]
            worst[kind] = max(worst.get(kind, (found, text)), (found, text))
        whose = "the estimate" if len(losses) == 1 else f"{self.warned} of {len(losses)} estimates, the worst"
        return "\n".join([first] + [f"  warning: {whose}: {text}" for _, text in worst.values()])
