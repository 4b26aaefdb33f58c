#!/usr/bin/env python3
"""Operations on arrays compared with JAX: ratios of times, and our times, as tables in Markdown.

    cargo bench -p hypertape-autodiff --bench kernels --no-run
    taskset -c 1 VENV/bin/python benches/kernels.py --ours BINARY [--only elementwise/exp]

BINARY is what the first command built; this script runs it. JAX is jitted, has one thread, and is awaited. An operation is repeated within a compiled loop, each time on an array that the result before has gone
into, so that neither dispatch nor what a compiler may take out of the loop counts: of a million entries a few times, of few
entries for a millisecond. Fastest of many on both sides. JAX's instructions follow HYPERTAPE_SIMD where that is set.
"""

import argparse
import json
import os
import subprocess
import time

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--ours", required=True, help="the built bench")
parser.add_argument("--only", default="", help="part of group/operation")
args = parser.parse_args()
FLAGS = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"
if os.environ.get("HYPERTAPE_SIMD") == "avx2":
    FLAGS += " --xla_cpu_max_isa=AVX2"
os.environ["XLA_FLAGS"] = os.environ.get("XLA_FLAGS", "") + " " + FLAGS
os.environ |= {"JAX_PLATFORMS": "cpu", "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}

import jax  # noqa: E402
import jax.numpy as jnp  # noqa: E402
import numpy as np  # noqa: E402
from jax import lax, nn  # noqa: E402
from jax.scipy import linalg, special  # noqa: E402

jax.config.update("jax_enable_x64", True)
# Dispatch in the calling thread, because with a single core another thread would only compete with it.
jax.config.update("jax_cpu_enable_async_dispatch", False)

ELEMENTWISE = {
    "add": lambda x, y: x + y, "divide": lambda x, y: x / y, "max": jnp.maximum, "log": lambda x, y: jnp.log(x),
    "sigmoid": lambda x, y: nn.sigmoid(x), "softplus": lambda x, y: nn.softplus(x), "silu": lambda x, y: nn.silu(x),
    "gelu": lambda x, y: nn.gelu(x, approximate=False), "hypot": jnp.hypot, "arctan2": jnp.arctan2, "power": jnp.power,
    "xlogy": special.xlogy, "select": lambda x, y: jnp.where(x < y, x, y), "clamp": lambda x, y: jnp.clip(x, 0.3, 0.6),
} | {
    name: (lambda f: lambda x, y: f(x))(getattr(special if hasattr(special, name) and not hasattr(jnp, name) else jnp, name))
    for name in "exp expm1 log1p sqrt sin cos tan arcsin arccos arctan sinh cosh tanh arcsinh arccosh arctanh erf erfc gammaln "
    "digamma floor".split()
}
REDUCTIONS = {
    "sum": lambda x, y: jnp.sum(x), "dot": lambda x, y: jnp.vdot(x, y), "norm": lambda x, y: jnp.sqrt(jnp.sum(x * x)),
    "argmax columns": lambda x, y: jnp.argmax(x, 1),
}
for _axis, _name in enumerate(["rows", "columns"]):
    REDUCTIONS |= {
        f"{name} {_name}": (lambda f, axis: lambda x, y: f(x, axis=axis))(f, _axis)
        for name, f in {
            "sum": jnp.sum, "max": jnp.max, "product": jnp.prod, "cumsum": jnp.cumsum, "logsumexp": special.logsumexp,
            "softmax": nn.softmax, "sort": jnp.sort,
        }.items()
    }
PRODUCTS = {
    "matmul": lambda x, y: x @ y, "matmul transposed": lambda x, y: x.T @ y, "matvec": lambda x, y: x @ y.ravel()[: y.shape[1]],
    "batched matmul": lambda x, y: x @ y,
}


def least_squares(x, y):
    q, r = jnp.linalg.qr(x)
    return linalg.solve_triangular(r, q.T @ y)


def column(y):
    return y.ravel()[: y.shape[0]]


FACTORISATIONS = {
    "cholesky": lambda x, y: lax.linalg.cholesky(x, symmetrize_input=False),
    "solve lu": lambda x, y: jnp.linalg.solve(x, column(y)),
    "solve lu, n columns": lambda x, y: jnp.linalg.solve(x, y),
    "solve triangle, n columns": lambda x, y: linalg.solve_triangular(x, y, lower=True),
    "log det": lambda x, y: jnp.linalg.slogdet(x)[1], "inverse": lambda x, y: jnp.linalg.inv(x),
    "least squares": lambda x, y: least_squares(x, column(y)),
    "eigen": lambda x, y: lax.linalg.eigh(x, symmetrize_input=False)[0],
}
OPERATIONS = {"elementwise": ELEMENTWISE, "reductions": REDUCTIONS, "products": PRODUCTS, "factorisations": FACTORISATIONS}
BOUNDS = {  # of the first array; those of the bench
    "exp": (-8, 8), "expm1": (-1, 1), "log": (0.1, 8), "log1p": (0.1, 8), "sqrt": (0.1, 8), "arcsin": (-0.9, 0.9),
    "arccos": (-0.9, 0.9), "arctanh": (-0.9, 0.9), "arccosh": (1.1, 8), "erf": (-4, 4), "erfc": (-4, 4), "gammaln": (0.1, 8),
    "digamma": (0.1, 8), "power": (0.1, 8), "xlogy": (0.1, 8), "add": (0.1, 0.9), "divide": (0.1, 0.9), "max": (0.1, 0.9),
    "select": (0.1, 0.9), "clamp": (0.1, 0.9),
}


def arrays(group, op, dtype, size):
    shape = {"elementwise": (size,), "reductions": (round(size**0.5),) * 2}.get(group, (size, size))
    if op == "batched matmul":
        shape = (16, *shape)
    low, high = BOUNDS.get(op, {"elementwise": (-8, 8), "reductions": (0.5, 1.5)}.get(group, (-1, 1)))
    place = np.arange(np.prod(shape)).reshape(shape)
    x, y = low + (high - low) * (0.618033988749895 * place % 1), 0.1 + 0.8 * (0.414213562373095 * place % 1)
    if group == "factorisations":
        i, j = np.indices(shape)
        x = np.where(i == j, 4.0, np.sin(np.maximum(i, j) * size + np.minimum(i, j)) / (1.0 + abs(i - j)) ** 2)
    return [jnp.asarray(a, dict(f32=np.float32, f64=np.float64)[dtype]) for a in (x, y)]


def theirs(group, op, dtype, size):
    """Returns the nanoseconds of one operation in a compiled loop."""
    f, (x, y) = OPERATIONS[group][op], arrays(group, op, dtype, size)
    small = group in ("elementwise", "reductions")

    def step(_, carry):
        # Adds zero to the array, in a way that the compiler cannot see.
        x, s, _ = carry
        result = f(x + s, y + s) if small else f(x, y)
        s = (result.ravel()[0] * 1e-30).astype(x.dtype)
        return (x if small else x.at[(0,) * x.ndim].add(s), s, result)

    def loop(x, count):
        return lax.fori_loop(0, count, step, (x, x.ravel()[0] * 0, f(x, y)))

    call = jax.jit(loop)

    def seconds(count):
        start = time.perf_counter()
        jax.block_until_ready(call(x, count))
        return time.perf_counter() - start

    seconds(1)
    count = 4
    while seconds(count) < 1e-3:
        count *= 2
    least, end = seconds(count), time.perf_counter() + 0.05
    for number in range(10**6):
        if number >= 4 and time.perf_counter() > end:
            break
        least = min(least, seconds(count))
    # One operation is computed before the loop.
    return least / (count + 1) * 1e9


def short(ns):
    for unit, size in (("ns", 1), ("us", 1e3), ("ms", 1e6)):
        if ns < 1000 * size:
            return f"{ns / size:.3g} {unit}"
    return f"{ns / 1e9:.3g} s"


def main():
    lines = subprocess.run([args.ours, args.only], check=True, text=True, stdout=subprocess.PIPE).stdout.splitlines()
    rows = [json.loads(line) for line in lines]
    print(f"JAX {jax.__version__}, instructions: {rows[0]['simd']}. Ours / JAX's, and our time.")
    for group in OPERATIONS:
        here = [row for row in rows if row["group"] == group]
        if not here:
            continue
        columns = sorted({(row["dtype"], row["size"]) for row in here}, key=lambda c: (c[0] != "f64", c[1]))
        print(f"\n| {group} |" + "".join(f" {dtype}, {size} |" for dtype, size in columns) + "\n|---|" + "---|" * len(columns))
        for op in dict.fromkeys(row["op"] for row in here):
            cells = []
            for dtype, size in columns:
                ours = next(row["ns"] for row in here if (row["op"], row["dtype"], row["size"]) == (op, dtype, size))
                cells.append(f" {ours / theirs(group, op, dtype, size):.2f} ({short(ours)}) |")
            print(f"| {op} |" + "".join(cells), flush=True)


main()
