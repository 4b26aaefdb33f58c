from collections.abc import Callable
from pathlib import Path
from typing import Any, TypedDict

import numpy as np
from numpy.typing import NDArray

__version__: str

class Options(TypedDict):
    steps: int
    lr: float
    tolerance: float | None
    rule: str | None
    schedule: str | None
    memory: int | None
    seed: int
    data_seed: int | None
    threads: int
    init: NDArray[np.float64] | None
    single: bool

class RunPlan(TypedDict):
    estimator: str
    iterations: int
    outer: str
    coupling: str
    gradient_norm: float | None
    oracle_calls: int | None
    time: float | None
    state: Path | None
    every: int
    resume: bool

Point = NDArray[np.float64] | None
Named = tuple[str, int, int, NDArray[np.float64]]

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

def main(arguments: list[str], program: list[str]) -> int: ...
def bytes(text: str) -> int: ...
def choices(kind: str) -> list[tuple[str, str]]: ...
def catalogued(name: str, settings: list[tuple[str, str]]) -> Problem: ...
