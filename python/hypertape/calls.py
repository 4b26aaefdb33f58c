"""``Bilevel``: the methods of all problems, whether from the catalogue or written by you."""

from __future__ import annotations

import sys
from collections.abc import Callable
from difflib import get_close_matches
from inspect import signature
from pathlib import Path
from time import monotonic
from typing import Any
from warnings import warn

import numpy as np

from . import _core
from .errors import InputError
from .layout import Arrays, Layout
from .results import Checks, Cost, Hypergradient, Plan, Run, Table, of

KEPT = 32
"""Number of option sets from earlier calls that are cached."""

LARGE = 1e10
"""The outer loss from which on estimates warn of it."""

CHECKED_STEPS = 10
"""Inner steps of a check; whether a step is right does not depend on their number."""


class Bilevel:
    """A bilevel problem: minimise ``F(x) = f(x, w_r)``, where ``w_r`` comes from ``r`` steps on ``g(x, w)``.

    Keyword options of all methods:

    - ``x``: the outer point, as the start was given; by default the start.
    - ``steps``, ``lr``, ``tolerance``: number and size of the inner steps, ``"auto"`` being the inverse of a bound on the curvature at the
      start of the loop; the loop ends early with the first step of length ``tolerance * lr``.
    - ``rule``: the inner rule, such as ``"adam:b1=0.8"``; by default that of the problem. Or a function such as
      ``lambda w, g, m, lr: (w - lr * (0.9 * m + g), 0.9 * m + g)``: its arguments ``w``, ``g``, ``x``, ``t`` (the step) and ``lr`` are known
      by their names, others are what it remembers.
    - ``schedule``: what an exact gradient stores, such as ``"binomial:c=10"``; ``"auto"`` is the fastest, by measured times, that fits into
      ``memory``. By default all states, or as many checkpoints as ``memory`` allows.
    - ``memory``: the bytes that an estimate may use, such as ``"1MiB"``. The need is known before the estimate runs and is never exceeded.
    - ``batch``: samples per mini-batch, for problems that have this setting. The rows are cut once into batches of consecutive rows, of
      which each evaluation of a loss draws one: shuffle rows that are sorted.
    - ``seed``, ``dtype`` (``"float64"`` or ``"float32"``, or ``"f64"`` or ``"f32"`` as on the command line), ``threads``.
    - ``lanes``: partial sums that a sum over tasks or rows is split into (8), the most threads that can share it; results depend
      on it in the last digits, and never on ``threads``.
    - ``init``: the inner start in place of the problem's own, where that does not depend on ``x``.

    ``ht.choices("estimators")`` and the command line list the names and settings of everything that can be chosen by name.
    """

    def __init__(self, core: _core.Problem, x: Layout, w: Layout) -> None:
        self._core, self._x, self._w = core, x, w
        self._set: dict[tuple[tuple[str, str], ...], _core.Problem] = {}
        self._rules: dict[Any, Any] = {}
        self._given: dict[tuple, tuple[_core.Problem, dict[str, Any]]] = {}
        self._defaults = core.defaults()

    @property
    def name(self) -> str:
        """The name, with those settings that differ from their defaults."""
        return self._defaults["name"]

    @property
    def x(self) -> Arrays:
        """The outer start."""
        return self._x.unpack(self._start(0))

    @property
    def w(self) -> Arrays:
        """The inner start ``w_0`` at the outer start."""
        return self._w.unpack(self._start(1))

    def _start(self, which: int) -> np.ndarray:
        starts = self._core.starts()[which]
        return np.concatenate([values for *_, values in starts])

    def __repr__(self) -> str:
        sizes = f"{self._x.size} outer and {self._w.size} inner variables"
        steps, lr = self._defaults["steps"], self._defaults["lr"]
        return f"{type(self).__name__}({self.name!r}): {sizes}, {steps} steps, lr {lr:.6g}"

    def hypergradient(self, x: Arrays = None, *, estimator: str = "exact", **options: Any) -> Hypergradient:
        """``dF/dx`` at ``x`` by an estimator, its loss and cost; options (``steps``, ``lr``, ...) as ``help(ht.Bilevel)`` lists them.

        ``"exact"`` costs ``r`` inner gradients and ``r`` Hessian-vector products. With ``memory`` it stores as many checkpoints as fit,
        unless ``schedule`` is given, and computes the other states again. ``ht.choices("estimators")`` lists the other estimators.

        Raises ``InputError`` for names and shapes that do not fit, ``RunError`` for what fails on the way.
        """
        (core, given), at = self._settled(options), self._point(x)
        told = core.hypergradient(at, _text(estimator, "estimator"), given)
        told["gradient"] = self._x.unpack(told["gradient"])
        told["cost"] = of(Cost, told["cost"])
        told["solve"] = lambda: self._w.unpack(core.solve(at, 0, given)[1])
        return of(Hypergradient, told)

    def loss(self, x: Arrays = None, **options: Any) -> float:
        """``F(x)``. Cost: the inner loop and one outer loss. Warns of a loss so large that the inner loop seems to diverge."""
        return self._solved(x, options)[0]

    def solve(self, x: Arrays = None, **options: Any) -> Arrays:
        """``w_r``, of the last task. Cost: the inner loop. Warns as ``loss`` does."""
        return self._w.unpack(self._solved(x, options)[1])

    def _solved(self, x: Arrays, options: dict[str, Any]) -> tuple[float, np.ndarray]:
        core, given = self._settled(options)
        loss, w = core.solve(self._point(x), 0, given)
        if abs(loss) > LARGE:
            size = f"{abs(loss):.2e}".replace("e+", "e")
            why = "which suggests that the inner loop diverges: take a smaller lr, or lr auto"
            warn(f"the outer loss is {size}, {why}", RuntimeWarning, stacklevel=3)
        return loss, w

    def plan(self, x: Arrays = None, *, estimator: str = "exact", draws: int = 0, **options: Any) -> Plan:
        """The schedules of ``estimator`` that fit into ``memory``, the fastest first, by times that are measured in this call.

        If ``draws`` is above 0, unbiased estimators are ranked too, by time and second moment, which are estimated from ``draws`` exact
        gradients; those whose second moment overflows come last.
        """
        core, given = self._settled(options)
        schedules, worths = core.plan(self._point(x), _text(estimator, "estimator"), _count(draws, "draws", 0), given)
        return Plan(Table(schedules), Table(worths))

    def certify(self, estimators: str | list[str], x: Arrays = None, *, draws: int = 20, **options: Any) -> Table:
        """Error, variance, second moment and time of estimators over ``draws`` draws, relative to exact gradients of the same draws.

        The first row is that of ``exact``. Cost: ``draws`` estimates by each estimator, and as many exact gradients.
        """
        texts = [estimators] if isinstance(estimators, str) else [_text(text, "estimators") for text in estimators]
        core, given = self._settled(options)
        rows = core.certify(self._point(x), texts, _count(draws, "draws", 2), given)
        return Table(rows, ("variance_error", "second_moment_error", "warnings"))

    def check(self, x: Arrays = None, **options: Any) -> Checks:
        """Checks the problem's own derivatives against differences and against each other, near the start or at ``x``.

        ``checks.failed`` lists the checks that failed. Cost: two exact hypergradients of at most ten steps, unless ``steps`` is given.
        """
        options.setdefault("steps", min(self._defaults["steps"], CHECKED_STEPS))
        core, given = self._settled(options)
        return Checks(core.check(self._point(x), given), ("meaning",))

    def run(
        self,
        x: Arrays = None,
        *,
        iterations: int | None = None,
        outer: str | None = None,
        outer_lr: float | None = None,
        estimator: str | None = None,
        algorithm: str | None = None,
        coupling: str | None = None,
        callback: Callable[[dict[str, Any], Arrays], object] | None = None,
        save: str | Path | None = None,
        save_every: int = 100,
        record_every: int = 1,
        resume: bool = False,
        gradient_norm: float | None = None,
        oracle_calls: int | None = None,
        time: float | None = None,
        progress: bool | None = None,
        **options: Any,
    ) -> Run:
        """Runs a whole optimisation from ``x``: ``iterations`` steps of the outer optimiser.

        ``estimator`` is ``"exact"`` and ``coupling`` is ``"cold"``, unless they are given. ``algorithm``, such as ``"soba:step=0.1"``,
        replaces both by a single-loop algorithm (``ht.choices("algorithms")``).
        ``callback(record, x)`` receives the numbers of each iteration and the point before its step; it may raise ``StopIteration`` to end
        the run after that step. ``save`` is a folder for the state of the run; ``resume=True`` continues from it, bit for bit, and is refused if
        there is none. Ctrl-C ends the run within a step and saves it. ``gradient_norm``, ``oracle_calls`` and ``time`` (seconds) are limits
        that end it early.
        """
        core, given = self._settled(options)
        count = self._defaults["iterations"] if iterations is None else _count(iterations, "iterations", 0)
        for name, value in (("estimator", estimator), ("coupling", coupling)):
            if algorithm is not None and value is not None:
                raise InputError(f"{name}: found {value!r} with algorithm={algorithm!r}, which replaces it: expected one of them")
        if resume and save is None:
            raise InputError("resume: found no folder, expected one as save")
        saved = save is not None and (Path(save) / "state.json").exists()
        if resume and not saved:
            found = "no state.json in it" if Path(save).is_dir() else "there is no such folder"
            raise InputError(f"resume: {save}: {found}, and so no run to resume")
        if save is not None:
            if saved and not resume:
                ways = "resume=True goes on with it, or save to another folder, or remove it"
                raise InputError(f"save: {save}: a run is saved there and would be lost; {ways}")
            Path(save).mkdir(parents=True, exist_ok=True)
        plan = {
            "estimator": "exact" if estimator is None else _text(estimator, "estimator"),
            "algorithm": _maybe(_text, algorithm, "algorithm"),
            "iterations": count,
            "record_every": _count(record_every, "record_every", 1),
            "outer": None if algorithm and outer is None and outer_lr is None else self._outer(outer, outer_lr),
            "coupling": "cold" if coupling is None else _text(coupling, "coupling"),
            "gradient_norm": _maybe(_limit, gradient_norm, "gradient_norm"),
            "oracle_calls": _maybe(_count, oracle_calls, "oracle_calls"),
            "time": _maybe(_limit, time, "time"),
            "state": None if save is None else Path(save) / "state.json",
            "every": _count(save_every, "save_every", 1),
            "resume": bool(resume),
        }
        bar = Bar(count) if progress or (progress is None and sys.stderr.isatty()) else None
        told = core.run(self._point(x), plan, self._watch(callback, bar), given)
        if bar:
            bar.close()
        end, done = told["x"].astype(np.float64), told["iterations"]
        warnings = list(dict.fromkeys(line for lines in told["warnings"] for line in lines))
        run = Run(
            x=self._x.unpack(told["x"]),
            best=self._x.unpack(told["best"] if len(told["best"]) else told["x"]),
            best_loss=told["best_loss"],
            iterations=done,
            ended=told["ended"],
            records=told["records"],
            warnings=warnings,
            warned=sum(map(bool, told["warnings"])),
            estimator=told["estimator"],
            schedule=told["schedule"],
            solve=lambda: self._w.unpack(core.solve(end, done, given)[1]),
        )
        if save is not None:
            for name, arrays in (("x", run.x), ("best", run.best), ("w", run.w)):
                self._write(Path(save) / f"{name}.npz", arrays)
        return run

    def _watch(self, callback: Callable | None, bar: Bar | None) -> Callable | None:
        if callback is None:
            return bar

        def watch(record: dict, x: np.ndarray) -> None:
            if bar:
                bar(record, x)
            callback(record, self._x.unpack(x))

        return watch

    @staticmethod
    def _write(path: Path, arrays: Arrays) -> None:
        named = arrays if isinstance(arrays, dict) else {str(k): array for k, array in enumerate(arrays)} \
            if isinstance(arrays, list) else {path.stem: arrays}
        np.savez(path, **named)

    def _outer(self, outer: str | None, lr: float | None) -> str:
        own = self._defaults["outer"]
        text = own if outer is None else _text(outer, "outer")
        name, _, settings = text.partition(":")
        kept = [part for part in settings.split(",") if part]
        if outer is not None and not any(part.startswith("lr=") for part in kept) and lr is None:
            kept += [part for part in own.partition(":")[2].split(",") if part.startswith("lr=")]
        if lr is not None:
            kept = [part for part in kept if not part.startswith("lr=")] + [f"lr={_number(lr, 'outer_lr')!r}"]
        return name + (":" + ",".join(kept) if kept else "")

    def _rule(self, rule: Any) -> Any:
        if rule is None:
            return None
        from .rules import choose

        return choose(rule, self._w, self._x, self._rules)

    def _settled(self, options: dict[str, Any]) -> tuple[_core.Problem, dict[str, Any]]:
        """Returns the problem with the settings among the options, and the other options. The same options are checked only once."""
        key = tuple((name, value, type(value)) for name, value in options.items())
        try:
            if (found := self._given.get(key)) is None:
                if len(self._given) == KEPT:
                    self._given.clear()
                found = self._given[key] = self._read(options)
        except TypeError:  # An array, which has no hash.
            found = self._read(options)
        return found

    def _read(self, options: dict[str, Any]) -> tuple[_core.Problem, dict[str, Any]]:
        others = dict(options)
        given = [(name, others.pop(name, None)) for name in ("batch", "lanes")]
        settings = tuple((name, str(_count(value, name, 1))) for name, value in given if value is not None)
        if not settings:
            return self._core, self._options(others)
        if settings not in self._set:
            self._set[settings] = self._core.with_settings(list(settings))
        return self._set[settings], self._options(others)

    def _point(self, x: Arrays) -> np.ndarray | None:
        # A copy, because the caller may change its array while the result still needs the point.
        return None if x is None else self._x.pack(x, "x").copy()

    def _options(self, given: dict[str, Any]) -> dict[str, Any]:
        """Options in the form that the core expects."""
        options = dict(given)
        memory = options.pop("memory", None)
        dtype = options.pop("dtype", "float64")
        init = options.pop("init", None)
        steps, lr = options.pop("steps", None), options.pop("lr", None)
        checked = {
            "steps": self._defaults["steps"] if steps is None else _count(steps, "steps", 0),
            "lr": self._defaults["lr"] if lr is None else _size(lr),
            "tolerance": _maybe(_number, options.pop("tolerance", None), "tolerance"),
            "rule": self._rule(options.pop("rule", None)),
            "schedule": _maybe(_text, options.pop("schedule", None), "schedule"),
            "memory": _core.bytes(memory) if isinstance(memory, str) else _maybe(_count, memory, "memory"),
            "seed": _count(options.pop("seed", 0), "seed", 0),
            "data_seed": _maybe(_count, options.pop("data_seed", None), "data_seed"),
            "threads": _count(options.pop("threads", 1), "threads", 1),
            "init": None if init is None else self._w.pack(init, "init"),
            "single": _single(dtype),
        }
        for name in options:
            known = [other for other in ("x", "estimator", "dtype", "batch", "lanes", *checked) if other not in ("single", name)]
            near = [other for other in get_close_matches(name, [*known, *signature(self.run).parameters], 1) if other != name]
            raise InputError(f"unknown option {name!r}" + (f": did you mean {near[0]}?" if near else f", expected one of {', '.join(known)}"))
        return checked


class Bar:
    """Shows the progress of a run on a terminal, at most ten times per second, because single-loop iterations can be faster."""

    def __init__(self, iterations: int) -> None:
        self.iterations, self.due = iterations, 0.0

    def __call__(self, record: dict[str, Any], _: np.ndarray) -> None:
        done = record["iteration"] + 1
        if done < self.iterations and monotonic() < self.due:
            return
        self.due = monotonic() + 0.1
        width = 30 * done // max(self.iterations, 1)
        sys.stderr.write(f"\r[{'=' * width:<30}] {done}/{self.iterations}  outer loss {record['loss']:.4g}   ")
        sys.stderr.flush()

    def close(self) -> None:
        sys.stderr.write("\n")


class Catalogued(Bilevel):
    """A problem of the catalogue or from a file."""


def load(name: str | Path, **settings: Any) -> Catalogued:
    """Opens the problem ``name`` of the catalogue with the given settings, or a file (.npz) that ``Problem.save`` wrote, by its path.

    Vectors from a file have the shapes that its graphs declare.

    >>> import hypertape as ht
    >>> r = ht.load("quadratic").hypergradient()
    >>> round(r.loss, 6), r.cost.hvps
    (0.958929, 5)
    """
    core = _core.catalogued(_text(str(name) if isinstance(name, Path) else name, "problem"), [(key, str(value)) for key, value in settings.items()])
    return Catalogued(core, *(_layout(named) for named in core.starts()))


def _layout(named: list[tuple[str, int, int, np.ndarray]]) -> Layout:
    shapes = [() if rows == cols == 1 else (rows,) if cols == 1 else (rows, cols) for _, rows, cols, _ in named]
    return Layout("array" if len(named) == 1 else "dict", [name for name, *_ in named], shapes)


def choices(kind: str) -> dict[str, str]:
    """Names and summaries of everything of a kind: ``"estimators"``, ``"algorithms"``, ``"rules"``, ``"schedules"``, ``"optimisers"``,
    ``"couplings"`` or ``"problems"``."""
    kinds = ("estimators", "algorithms", "rules", "schedules", "optimisers", "couplings", "problems")
    if kind not in kinds:
        raise InputError(f"choices: found {kind!r}, expected one of {', '.join(kinds)}")
    return dict(_core.choices(kind))


def digits() -> tuple[np.ndarray, np.ndarray]:
    """The embedded images of handwritten digits, as an array ``(1797, 64)`` with values from 0 to 1, and their labels.

    Source: UCI, Alpaydin and Kaynak, CC BY 4.0.
    """
    pixels, labels = _core.digits()
    return pixels.reshape(-1, 64) / 16.0, np.asarray(labels, dtype=np.int64)


def _single(dtype: Any) -> bool:
    """Whether a precision is the single one. The names of the command line are accepted as well; for NumPy, ``None`` is double."""
    try:
        kind = np.dtype({"f32": np.float32, "f64": np.float64}.get(dtype, dtype) if isinstance(dtype, str) else dtype).name
    except TypeError:
        kind = ""
    if kind not in ("float64", "float32"):
        raise InputError(f"dtype: found {dtype!r}, expected float64 or float32")
    return kind == "float32"


def _maybe(read: Callable[[Any, str], Any], value: Any, what: str) -> Any:
    return None if value is None else read(value, what)


def _shown(value: Any) -> str:
    """A value for a message, in 6 digits, unless it is these that make it a whole number."""
    if not isinstance(value, (float, np.floating)):
        return repr(value)
    short = f"{value:.6g}"
    return short if float(short).is_integer() == float(value).is_integer() else repr(float(value))


def _count(value: Any, what: str, least: int = 0) -> int:
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, (int, np.integer)) or not least <= value < 2**63:
        raise InputError(f"{what}: found {_shown(value)}, expected a whole number, {least} or more")
    return int(value)


def _number(value: Any, what: str) -> float:
    if isinstance(value, (bool, str)) or not np.isscalar(value) and np.ndim(value) != 0:
        raise InputError(f"{what}: found {value!r}, expected a number")
    try:
        return float(value)
    except (TypeError, ValueError):
        raise InputError(f"{what}: found {value!r}, expected a number") from None


def _limit(value: Any, what: str) -> float:
    if not (found := _number(value, what)) >= 0:
        raise InputError(f"{what}: found {_shown(value)}, expected a number, 0 or more")
    return found


def _size(lr: Any) -> float | None:
    """Returns a step size, or ``None`` to choose it from the curvature."""
    if isinstance(lr, str):
        if lr != "auto":
            raise InputError(f"lr: found {lr!r}, expected a number or 'auto'")
        return None
    return _number(lr, "lr")


def _text(value: Any, what: str) -> str:
    if not isinstance(value, str):
        raise InputError(f"{what}: found {value!r}, expected a str")
    return value
