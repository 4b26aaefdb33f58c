#!/usr/bin/env python3
"""The field's benchmark beside hypertape: data, the benchmark's own JAX solvers, and what they reach.

    python3 benches/single_loop.py data [--mnist DIR]                 # studies/single-loop/: what the study reads
    python3 benches/single_loop.py solve PROBLEM SECONDS SOLVER ...   # a grid of steps, the clock awaited
    python3 benches/single_loop.py judge PROBLEM                      # the value function, off the clock
    python3 benches/single_loop.py lowest PROBLEM CALLS               # its lowest value, of narrow and wide

DIR holds MNIST's four files. A SOLVER is one of the benchmark's, `srba`, or with one setting alone, `srba:0.2,0.01`. `solve`
needs JAX and a checkout of benchopt/benchmark_bilevel, whose folder BENCHMARK_BILEVEL names and whose solvers run as they are:
only the clock is ours, because theirs stops before the work is done. Each iteration is the benchmark's own jitted step, many to
a call, and a call is timed until its result is there. `judge` prints the tables `[[external]]` of studies/single-loop.toml, by
which the report of the study draws them beside hypertape's; a run that is not finite at its end counts as failed, as it does
there. `lowest` prints such a table of L-BFGS on the value function itself, with its exact gradient, so that what is left is told
from about the lowest value that there is.

Problems: `narrow`, logistic regression on 50 000 samples of 22 features, judged on as many; `wide`, the same on 20 000 (and
5000) of 500; one log-penalty per feature, from -2. `cleaning`: softmax regression on 10 000 digits, half of them relabelled
at random, 2500 to judge by, one weight per sample. `quadratic`: the catalogue's `quadratic-sampled` at the benchmark's size.
"""

import gzip
import importlib
import itertools
import os
import pickle
import sys
import time
from functools import partial

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
DATA = os.environ.get("SINGLE_LOOP_DATA", os.path.join(ROOT, "studies", "single-loop"))
for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(name, "1")
os.environ.setdefault("XLA_FLAGS", "--xla_cpu_multi_thread_eigen=false")
import numpy as np  # noqa: E402

BATCH = 64
# The same for all algorithms, here and in the study: step sizes of w, and their ratios to those of x.
STEPS = {"narrow": (0.1, 0.4, 1.0), "wide": (0.05, 0.2, 0.5), "cleaning": (0.05, 0.2), "quadratic": (0.03, 0.1, 0.3)}
RATIOS = {"narrow": (0.01, 0.1, 1.0), "wide": (0.01, 0.1, 1.0), "cleaning": (1e-4, 1e-3), "quadratic": (0.1, 1.0, 10.0)}
# Names of the problems in the report of the study.
FIGURES = {
    "narrow": "digits-penalty on single-loop/narrow-train.npz",
    "wide": "digits-penalty on single-loop/wide-train.npz",
    "cleaning": "digits-clean on single-loop/cleaning-train.npz, corruption 0",
    "quadratic": "quadratic-sampled:samples=1024,inner=100,outer=100",
}


# Data


def write(name, part, X, y):
    np.savez(os.path.join(DATA, f"{name}-{part}.npz"), X=X.astype(np.float32), y=y)


def selection(name, n, m, p, rare, seed=1):
    """Features of unit size that are mixed a little, labels by a sparse model and logistic noise, a share `rare` positive."""
    rng = np.random.default_rng(seed)
    w = rng.normal(size=p) * (rng.random(p) < 0.4)
    X = rng.normal(size=(n + m, p)) @ (np.eye(p) + 0.4 * rng.normal(size=(p, p)) / np.sqrt(p))
    scores = X @ w * (2.5 / np.linalg.norm(w)) + rng.logistic(size=n + m)
    y = (scores > np.quantile(scores, 1 - rare)).astype(np.int64)
    write(name, "train", X[:n], y[:n])
    write(name, "valid", X[n:], y[n:])


def cleaning(folder, n=10_000, m=2500):
    def values(name, offset):
        with gzip.open(os.path.join(folder, name)) as file:
            return np.frombuffer(file.read(), np.uint8, offset=offset)

    X = values("train-images-idx3-ubyte.gz", 16).reshape(-1, 784).astype(float)
    y = values("train-labels-idx1-ubyte.gz", 8).astype(np.int64)
    rng = np.random.default_rng(32)
    order = rng.permutation(len(y))
    train, valid = order[:n], order[n : n + m]
    size = X[train].std(axis=0)
    Z = (X - X[train].mean(axis=0)) / np.where(size == 0, 1, size)
    labels, wrong = y[train], rng.random(n) < 0.5
    write("cleaning", "train", Z[train], np.where(wrong, rng.integers(0, 10, n), labels))
    write("cleaning", "valid", Z[valid], y[valid])


def gausses(seed, stream, shape):
    """The generator of hypertape-problems, see problems/src/generator.rs."""
    golden, half = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xFFFF)

    def mix(z):
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return z ^ (z >> np.uint64(31))

    with np.errstate(over="ignore"):
        key = mix(np.uint64(seed) + golden * np.uint64(stream + 1))
        bits = mix(key + golden * (np.arange(np.prod(shape), dtype=np.uint64) + np.uint64(1)))
    fields = sum((bits >> np.uint64(16 * k) & half).astype(float) for k in range(4))
    return ((fields - 131_070.0) * 2.6429e-5).reshape(shape)


def quadratics(n=1024, p=100, d=100, low=0.1, high=1.0, coupling=0.1, seed=0):
    """The terms of `quadratic-sampled:samples=1024,inner=100,outer=100`, whose first data set is convex."""

    def basis(stream, dim, columns):
        q, r = np.linalg.qr(gausses(seed, stream, (columns, dim)).T)
        return q * np.sign(np.diag(r))

    def level(k):
        stream = lambda i: 16 * k + i  # noqa: E731
        roots = lambda low, high, n: np.sqrt(np.geomspace(low, high, n))  # noqa: E731
        least = min(p, d)
        outer, shared = roots(low, high, d), gausses(seed, stream(2), (n, least)) * roots(low, coupling, least)
        outer[0] = 0.0
        return {
            "s": gausses(seed, stream(1), (n, p)) * roots(low, high, p) @ basis(stream(0), p, p).T,
            "a": gausses(seed, stream(3), (n, p)),
            "c": shared @ basis(stream(4), d, least).T,
            "e": shared @ basis(stream(5), p, least).T,
            "t": gausses(seed, stream(7), (n, d)) * outer @ basis(stream(6), d, d).T,
            "b": gausses(seed, stream(8), (n, d)),
        }

    return level(0), level(1)


def samples(name):
    def read(part):
        with np.load(os.path.join(DATA, f"{name}-{part}.npz")) as file:
            return file["X"], file["y"]

    return (*read("train"), *read("valid"))


# The benchmark's solvers


def stated(name):
    """The problem in the form that the benchmark's solvers expect: losses of a batch, numbers of samples, starts."""
    import jax
    import jax.numpy as jnp

    cut = lambda a, start, size: jax.lax.dynamic_slice(a, (start,) + (0,) * (a.ndim - 1), (size,) + a.shape[1:])  # noqa: E731
    loss = partial(jax.jit, static_argnames="batch_size")
    if name == "quadratic":
        inner, outer = ({k: jnp.array(a, jnp.float32) for k, a in level.items()} for level in quadratics())

        def mean(level, own):
            @loss
            def f(w, x, start=0, batch_size=1):
                s, t, c, e, a, b = (cut(level[k], start, batch_size) for k in "stceab")
                total = 0.5 * jnp.sum((s @ w) ** 2) + jnp.dot(c @ x, e @ w) + jnp.sum(a @ w)
                return (total + (0.5 * jnp.sum((t @ x) ** 2) + jnp.sum(b @ x) if own else 0.0)) / batch_size

            return f

        return mean(inner, False), mean(outer, True), 1024, 1024, jnp.zeros(100), jnp.full(100, -2.0)
    X, y, V, u = samples(name)
    n, m, p = len(y), len(u), X.shape[1]
    X, V = jnp.array(X), jnp.array(V)
    if name == "cleaning":
        y, u = (jnp.array(np.eye(10, dtype=np.float32)[labels]) for labels in (y, u))

        def losses(w, X, y):
            scores = X @ w.reshape(p, 10)
            return jax.nn.logsumexp(scores, axis=1) - jnp.sum(y * scores, axis=1)

        @loss
        def inner(w, x, start=0, batch_size=1):
            weights = jax.nn.sigmoid(cut(x, start, batch_size))
            fit = losses(w, cut(X, start, batch_size), cut(y, start, batch_size))
            return jnp.mean(weights * fit) + 0.2 * jnp.sum(w**2)

        @loss
        def outer(w, x, start=0, batch_size=1):
            return jnp.mean(losses(w, cut(V, start, batch_size), cut(u, start, batch_size)))

        return inner, outer, n, m, jnp.zeros(p * 10), jnp.zeros(n)
    y, u = (jnp.array(2.0 * labels - 1, jnp.float32) for labels in (y, u))
    fit = lambda w, X, y: jnp.mean(-jax.nn.log_sigmoid(y * (X @ w)))  # noqa: E731

    @loss
    def inner(w, x, start=0, batch_size=1):
        return fit(w, cut(X, start, batch_size), cut(y, start, batch_size)) + 0.5 * jnp.dot(jnp.exp(x) * w, w)

    @loss
    def outer(w, x, start=0, batch_size=1):
        return fit(w, cut(V, start, batch_size), cut(u, start, batch_size))

    return inner, outer, n, m, jnp.zeros(p), jnp.full(p, -2.0)


def solve(name, seconds, solvers):
    import jax
    import jax.numpy as jnp

    sys.path.insert(0, os.environ["BENCHMARK_BILEVEL"])
    inner, outer, n, m, w, x = stated(name)
    for solver in solvers:
        solver, _, only = solver.partition(":")
        made = importlib.import_module(f"solvers.{solver}").Solver.get_instance(eval_freq=1)
        made.run_once = lambda _: None  # its own warming up
        made.set_objective(f_inner=inner, f_outer=outer, n_inner_samples=n, n_outer_samples=m, inner_var0=w, outer_var0=x)
        variables = (lambda c: c[1]) if solver == "saba" else (lambda c: c)

        def go(c, count, done):
            if solver == "saba":
                c = made.one_epoch(c[1], c[0], count)
            else:
                c = made.one_epoch(c, count, *([done] if solver in ("srba", "vrbo") else []))
            return jax.block_until_ready(c)

        def timed(c, count, done):
            clock = time.perf_counter()
            c = go(c, count, done)
            return c, time.perf_counter() - clock

        def sized(step, ratio):
            """The solver's start with these step sizes, which decay as the solver defines."""
            c = made.init()
            state = variables(c)["state_lr"]
            sizes = np.array(state["constants"])
            sizes[:], sizes[-1] = step, step / ratio
            if solver == "f2sa":
                sizes = np.array([step, step, step / ratio, 0.1])
            state["constants"] = jnp.array(sizes)
            return c

        def warm(count):
            """The minimum of the seconds of `count` iterations. A state that results from iterations is compiled for anew."""
            c, least = sized(*settings[0]), float("inf")
            for k in range(4):
                c, clock = timed(c, count, k * count)
                least = min(least, clock)
            return least

        settings = list(itertools.product(STEPS[name], RATIOS[name]))
        if only:
            settings = [tuple(map(float, only.split(",")))]
        each = warm(64) / 64
        few, many = (max(1, int(seconds / parts / each)) for parts in (400, 40))
        for count in {few, many}:
            warm(count)
        runs = []
        for step, ratio in settings:
            c = sized(step, ratio)
            spent, done, points = 0.0, 0, [(0.0, 0, np.array(x))]
            while spent < seconds:
                count = few if len(points) < 20 else many
                c, clock = timed(c, count, done)
                spent, done = spent + clock, done + count
                reached = np.array(variables(c)["outer_var"])
                points.append((spent, done, reached))
                if not np.all(np.isfinite(reached)):
                    break
            runs.append({"step": step, "ratio": ratio, "microseconds": spent / done * 1e6, "points": points})
            print(f"{name} {solver} {step} {ratio}: {done} iterations, {spent / done * 1e6:.1f} us each", flush=True)
        longer = f"-{seconds:g}-{only}" if only else ""
        with open(os.path.join(DATA, f"{name}-{solver}{longer}.pickle"), "wb") as file:
            pickle.dump(runs, file)


# The value function


def value_function(name):
    """`h(x)`, with each minimisation started at the last solution."""
    from scipy.optimize import minimize

    if name == "quadratic":
        i, o = quadratics()
        n = len(i["s"])
        A, C, F, H = i["s"].T @ i["s"] / n, i["c"].T @ i["e"] / n, o["s"].T @ o["s"] / n, o["t"].T @ o["t"] / n
        K, a, f, b = o["c"].T @ o["e"] / n, i["a"].mean(0), o["a"].mean(0), o["b"].mean(0)

        def closed(x):
            w = -np.linalg.solve(A, a + C.T @ x)
            return float(0.5 * w @ F @ w + 0.5 * x @ H @ x + x @ K @ w + f @ w + b @ x)

        return closed
    X, y, V, u = samples(name)
    n, m, last = len(y), len(u), [None]
    if name == "cleaning":
        Y = np.eye(10, dtype=np.float32)[y]

        def fit(w, X):
            Z = X @ w.astype(np.float32).reshape(-1, 10)
            top = Z.max(axis=1, keepdims=True)
            E = np.exp(Z - top)
            return Z, E, (np.log(E.sum(axis=1)) + top[:, 0])

        def inner(w, x):
            Z, E, log = fit(w, X)
            weights = 1 / (1 + np.exp(-x.astype(np.float32)))
            slopes = (E / E.sum(axis=1, keepdims=True) - Y) * weights[:, None]
            value = float(np.mean(weights * (log - Z[np.arange(n), y]))) + 0.2 * float(w @ w)
            return value, (X.T @ slopes).astype(float).ravel() / n + 0.4 * w

        def outer(w):
            Z, _, log = fit(w, V)
            return float(np.mean(log - Z[np.arange(m), u]))

        start = np.zeros(X.shape[1] * 10)
    else:
        signs, others = (2.0 * y - 1).astype(np.float32), (2.0 * u - 1).astype(np.float32)

        def inner(w, x):
            q, e = signs * (X @ w.astype(np.float32)), np.exp(x.astype(float))
            value = float(np.mean(np.logaddexp(0, -q), dtype=float)) + 0.5 * float(e @ (w * w))
            return value, -(X.T @ (signs / (1 + np.exp(q)))).astype(float) / n + e * w

        def outer(w):
            return float(np.mean(np.logaddexp(0, -others * (V @ w.astype(np.float32))), dtype=float))

        start = np.zeros(X.shape[1])

    def h(x):
        begin = start if last[0] is None else last[0]
        options = {"maxiter": 200, "ftol": 1e-11, "gtol": 1e-6, "maxcor": 20}
        last[0] = minimize(inner, begin, (np.clip(x, -40, 40),), jac=True, method="L-BFGS-B", options=options).x
        return outer(last[0])

    return h


def external(name, label, points):
    """Returns a run of another program as a table of a study."""
    curve = ", ".join(f"[{spent:.5g}, {value:.7g}]" for spent, value in points)
    print(f'[[external]]\nproblem = "{FIGURES[name]}"\nname = "{label}"\ncurve = [{curve}]\n', flush=True)


def judge(name):
    """Of each solver the two settings that end best, at points in a ratio of 1.3."""
    h = value_function(name)
    for path in sorted(os.listdir(DATA)):
        if not (path.startswith(f"{name}-") and path.endswith(".pickle")):
            continue
        with open(os.path.join(DATA, path), "rb") as file:
            runs = pickle.load(file)
        solver, _, longer = path.removesuffix(".pickle").split("-", 1)[1].partition("-")
        print(f"# {solver}: {min(run['microseconds'] for run in runs):.1f} us per iteration")
        runs = [run for run in runs if np.all(np.isfinite(run["points"][-1][2]))]
        for run in runs:
            run["end"] = h(run["points"][-1][2])
        for run in sorted(runs, key=lambda run: run["end"])[:2]:
            points, last = [], 0.0
            for spent, _, x in run["points"][:-1]:
                if spent >= 1.3 * last:
                    points.append((spent, h(x)))
                    last = spent
            points.append((run["points"][-1][0], run["end"]))
            label = f"JAX {solver}:step={run['step']:g},ratio={run['ratio']:g}"
            external(name, f"{label} in {longer.split('-')[0]} s" if longer else label, points)


def lowest(name, calls):
    """Runs L-BFGS on `h(x)`. Newton's method finds each inner minimum, starting at the last one, and the gradient is implicit."""
    from scipy.optimize import minimize

    X, y, V, u = samples(name)
    y, u, n, m = (2.0 * y - 1).astype(np.float32), (2.0 * u - 1).astype(np.float32), len(y), len(u)
    w, points, clock = np.zeros(X.shape[1]), [], time.process_time()

    def h(x):
        nonlocal w
        e = np.exp(x)
        for _ in range(40):
            s = 1 / (1 + np.exp(y * (X @ w.astype(np.float32))))
            slope = -(X.T @ (y * s)).astype(float) / n + e * w
            hessian = ((X * (s * (1 - s))[:, None]).T @ X).astype(float) / n + np.diag(e)
            if np.linalg.norm(slope) < 2e-6:
                break
            w = w - np.linalg.solve(hessian, slope)
        q = u * (V @ w.astype(np.float32))
        value, outer = float(np.mean(np.logaddexp(0, -q), dtype=float)), -(V.T @ (u / (1 + np.exp(q)))).astype(float) / m
        spent = time.process_time() - clock
        if not points or value < points[-1][1] and spent >= 1.05 * points[-1][0]:
            points.append((spent, value))
        # Scaled so that L-BFGS can distinguish the values.
        return 1e3 * value, -1e3 * e * w * np.linalg.solve(hessian, outer)

    start, options = np.full(len(w), -2.0), {"maxiter": calls, "maxfun": calls}
    end = minimize(h, start, jac=True, method="L-BFGS-B", bounds=[(-25, 12)] * len(w), options=options)
    external(name, "L-BFGS on h(x)", [*points, (time.process_time() - clock, end.fun / 1e3)])


def main():
    command, rest = sys.argv[1] if len(sys.argv) > 1 else "", sys.argv[2:]
    if command == "data" and (not rest or rest[0] == "--mnist" and len(rest) == 2):
        os.makedirs(DATA, exist_ok=True)
        selection("narrow", 50_000, 50_000, 22, 0.1)
        selection("wide", 20_000, 5000, 500, 0.5)
        if rest:
            cleaning(rest[1])
    elif command == "solve" and len(rest) > 2:
        solve(rest[0], float(rest[1]), rest[2:])
    elif command == "judge" and len(rest) == 1:
        judge(rest[0])
    elif command == "lowest" and len(rest) == 2 and rest[0] in ("narrow", "wide"):
        lowest(rest[0], int(rest[1]))
    else:
        sys.exit(__doc__)


if __name__ == "__main__":
    main()
