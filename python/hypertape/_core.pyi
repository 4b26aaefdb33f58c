from collections.abc import Callable
from pathlib import Path
from typing import Any, TypedDict

import numpy as np
from numpy.typing import NDArray

__version__: str

class Options(TypedDict):
    steps: int
    lr: float | None
    tolerance: float | None
    rule: str | Rule | None
    schedule: str | None
    memory: int | None
    seed: int
    data_seed: int | None
    threads: int
    init: NDArray[np.float64] | None
    single: bool

class RunPlan(TypedDict):
    estimator: str
    algorithm: str | None
    iterations: int
    record_every: int
    outer: str | None
    coupling: str
    gradient_norm: float | None
    oracle_calls: int | None
    time: float | None
    state: Path | None
    every: int
    resume: bool

Flat = NDArray[np.float64]
Point = NDArray[np.float64] | None
Named = tuple[str, int, int, NDArray[np.float64]]

class Statement(TypedDict):
    name: str
    x: list[Named]
    w: list[Named]
    names: list[str]
    init: str | None
    inner: str
    outer: str
    arrays: list[Named]
    lists: list[tuple[str, list[int]]]
    samples: list[str]
    tasks: tuple[int, list[str]]
    steps: int
    lr: float

class Rule:
    def __init__(self, title: str, memory: int, graphs: list[str], outer: list[str]) -> None: ...

class Function:
    def __init__(
        self, json: str, variables: list[str], passive: list[str], data: list[tuple[str, NDArray[np.float64]]]
    ) -> None: ...
    def value(self, x: Flat, passive: list[Flat]) -> Flat: ...
    def gradient(self, x: Flat, passive: list[Flat]) -> tuple[float, Flat]: ...
    def hvp(self, x: Flat, v: Flat, passive: list[Flat]) -> tuple[float, Flat, Flat]: ...
    def jvp(self, x: Flat, dx: Flat, passive: list[Flat]) -> list[Flat]: ...
    def vjp(self, x: Flat, y_bar: Flat, passive: list[Flat]) -> list[Flat]: ...
    def jacobian(self, x: Flat, passive: list[Flat]) -> list[Flat]: ...
    def hessian(self, x: Flat, passive: list[Flat]) -> tuple[float, Flat, Flat]: ...
    def check(self, x: Flat, v: Flat, passive: list[Flat]) -> dict[str, float]: ...

class Problem:
    def defaults(self) -> dict[str, Any]: ...
    def starts(self) -> list[list[Named]]: ...
    def hypergradient(self, x: Point, estimator: str, options: Options) -> dict[str, Any]: ...
    def solve(self, x: Point, iteration: int, options: Options) -> tuple[float, NDArray[Any]]: ...
    def plan(
        self, x: Point, estimator: str, draws: int, options: Options
    ) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]: ...
    def certify(self, x: Point, estimators: list[str], draws: int, options: Options) -> list[dict[str, Any]]: ...
    def check(self, x: Point, options: Options) -> list[dict[str, Any]]: ...
    def run(
        self, x: Point, plan: RunPlan, callback: Callable[[dict[str, Any], NDArray[Any]], object] | None, options: Options
    ) -> dict[str, Any]: ...

    def describe(self) -> str: ...
    def save(self, path: str) -> None: ...
    def with_settings(self, settings: list[tuple[str, str]]) -> Problem: ...

def stated(statement: Statement) -> Problem: ...
def main(arguments: list[str], program: list[str]) -> int: ...
def digits() -> tuple[NDArray[np.float64], list[int]]: ...
def bytes(text: str) -> int: ...
def choices(kind: str) -> list[tuple[str, str]]: ...
def catalogued(name: str, settings: list[tuple[str, str]]) -> Problem: ...
