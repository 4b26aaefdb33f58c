#!/usr/bin/env python3
"""What `benches/peers.py` measures in addition to the shared scripts, for one implementation, printed in their format: a RESULT line.

    VENV/bin/python benches/small.py --shared DIR --who jax --case distill --dtype f64 --budget 0.3

`--who` is jax or hypertape, whose package must be importable. Newcomers' problems: `F` and its gradient, jitted and awaited, or
`Problem.hypergradient`, also with tapes kept. Of JAX alone `minibatch`, with the data and the call of `benches/minibatch.rs`, in a loop of 1000.
"""

import argparse
import importlib.util
import os
import pathlib
import sys

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--shared", required=True)
parser.add_argument("--who", choices=["jax", "hypertape"], required=True)
parser.add_argument("--case", required=True)
parser.add_argument("--dtype", default="f64")
parser.add_argument("--budget", type=float, default=0.3)
args = parser.parse_args()
os.environ["XLA_FLAGS"] = os.environ.get("XLA_FLAGS", "") + " --xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"
os.environ["JAX_PLATFORMS"] = "cpu"
SWEEPS = 1000
peers = pathlib.Path(args.shared) / "peers"
sys.path[:0] = [str(peers), str(pathlib.Path(__file__).parent.parent / "python" / "examples")]
import common  # noqa: E402
import numpy as np  # noqa: E402


def emit(version, op, call, check, times=1):
    """Times `call`, which performs the operation `times` times, and prints the result."""
    seconds = common.timeit(call, budget=args.budget)
    more = common.summary(*check) | {key: seconds[key] / times for key in ("wall_med", "wall_min", "cpu_med", "cpu_min")}
    common.emit(dict(framework=args.who, version=version, case=args.case, op=op, dtype=args.dtype, **more))


def ours():
    import hypertape
    import newcomer

    folder = peers / "newcomer"
    digits, table = np.load(folder / "digits.npz"), np.loadtxt(folder / "my.csv", delimiter=",", skiprows=1)
    part = lambda rows: {"X": table[rows, :-1], "y": table[rows, -1].astype(int)}  # noqa: E731
    given = [digits["x"][:500] / 16.0, digits["y"][:500]] if args.case == "distill" else [part(slice(150)), part(slice(150, 400))]
    problem, options = getattr(newcomer, args.case.replace("-", "_"))(*given)
    found = problem.hypergradient(**options)
    parts = found.gradient.values() if isinstance(found.gradient, dict) else [found.gradient]
    check = found.loss, np.concatenate([np.ravel(part) for part in parts])
    for op, more in {"": {}, ", kept": {"schedule": "store-all:keep=tapes"}}.items():
        call = lambda more=more: problem.hypergradient(**options, **more)  # noqa: E731
        emit(hypertape.__version__, "value and gradient" + op, call, check)


def theirs():
    import jax
    import jax.numpy as jnp

    if args.case == "minibatch":
        jax.config.update("jax_enable_x64", True)
        n, d, number = 64, 22, {"f64": np.float64, "f32": np.float32}[args.dtype]
        X, y = np.sin(0.7 * np.arange(n * d)).reshape(n, d).astype(number), np.where(np.arange(n) % 3 == 0, 1, -1).astype(number)
        w, x, v = (np.full(d, value, number) for value in (0.1, -2.0, 0.3))
        g = lambda w, x: jnp.mean(jax.nn.softplus(-y * (X @ w))) + 0.5 * jnp.sum(jnp.exp(x) * w * w)  # noqa: E731
        value = lambda w, x: (g(w, x), jax.grad(lambda w: g(w, x))(w))  # noqa: E731

        def sweep(w, x, v):
            pull = lambda w, x: jnp.vdot(jax.grad(g)(w, x), v)  # noqa: E731
            return jax.grad(g)(w, x), *jax.grad(pull, (0, 1))(w, x)

        at = [jnp.asarray(a) for a in (w, x, v)]
        # In a loop, as in an algorithm: a call from Python takes ten times as long. Each call changes the point of the next.
        step = lambda s, _: ([a - 1e-9 * b.astype(a.dtype) for a, b in zip(s, [*sweep(*s)[::2], sweep(*s)[1]])], None)  # noqa: E731
        call = jax.jit(lambda at: jax.lax.scan(step, at, None, SWEEPS)[0]).lower(at).compile()
        loss, parts = jax.jit(value)(*at[:2])[0], jax.jit(sweep)(*at)
        emit(jax.__version__, "sweep", lambda: jax.block_until_ready(call(at)), (loss, np.concatenate(parts)), SWEEPS)
        return
    spec = importlib.util.spec_from_file_location("problems", peers / "newcomer" / "problems.py")
    problems = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(problems)
    F, x0 = problems.PROBLEMS[args.case]()
    x0 = jnp.asarray(x0)
    call = jax.jit(jax.value_and_grad(F)).lower(x0).compile()
    emit(jax.__version__, "value and gradient", lambda: jax.block_until_ready(call(x0)), call(x0))


ours() if args.who == "hypertape" else theirs()
