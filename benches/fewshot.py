#!/usr/bin/env python3
"""hypertape and JAX on one few-shot task, alternately: the network, task and steps of `benches/fewshot.rs`, one thread.

    VENV/bin/python benches/fewshot.py [--rounds 5]

In each round each runs once, in its own process pinned to the last core. Prints the minimum in milliseconds over all rounds, that of JAX
after compilation: `gradient` and `hvp` of the inner loss, `run` of 9 steps, `first-order`, `exact` (JAX keeps all intermediate values,
hypertape states, or in the rows with tapes the same) and `exact, states` (JAX: `jax.checkpoint` on each step; hypertape as in `exact`),
then loss and gradient norm of both, for comparison. `--alone` runs JAX alone, which `--dtype f64` requires.
"""

import argparse
import os
import pathlib
import subprocess
import sys
import time

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--rounds", type=int, default=5)
parser.add_argument("--alone", action="store_true")
parser.add_argument("--dtype", default="f32")
parser.add_argument("--repeats", type=int, default=10)
args = parser.parse_args()


def in_turn():
    os.chdir(pathlib.Path(__file__).resolve().parent.parent)
    ours = ["cargo", "bench", "--quiet", "--bench", "fewshot"]
    subprocess.run(ours + ["--no-run"], check=True)
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    theirs = [sys.executable, __file__, "--alone", "--repeats", str(args.repeats)]
    least, told = [{}, {}], [{}, {}]
    for _ in range(args.rounds):
        for side, command in enumerate([ours, theirs]):
            out = subprocess.run(command, check=True, text=True, stdout=subprocess.PIPE).stdout
            for line in out.splitlines():
                name, ms = line[:16].strip(), float(line[16:25])
                least[side][name] = min(ms, least[side].get(name, ms))
                told[side][name] = line[28:].strip()
    print(f"{'milliseconds':16}{'hypertape':>10}{'JAX':>10}{'ratio':>8}")
    for name in list(least[0]) + ["exact, states"]:
        keeps_all = "exact" if name in ["exact, tapes", "exact, one tape"] else name
        mine, jax = least[0].get(name, least[0]["exact"]), least[1].get(keeps_all)
        rest = f"{jax:10.2f}{mine / jax:8.2f}" if jax else ""
        print(f"{name:16}{mine:10.2f}{rest}")
    for name in ["first-order", "exact"]:
        print(f"{name}: {told[0][name]}, JAX {told[1][name]}")


if not args.alone:
    in_turn()
    sys.exit()

os.environ["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"
os.environ["JAX_PLATFORMS"] = "cpu"
import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

jax.config.update("jax_enable_x64", True)
DTYPE = np.float64 if args.dtype == "f64" else np.float32
WAYS, LAYERS, FILTERS, STEPS, LR, EPSILON = 5, 4, 64, 9, 0.025, 1e-3
# The classes of hypertape's first task, in order.
ORDER = [5, 3, 1, 0, 9]
MASK = (1 << 64) - 1


def bits(seed, stream, n):
    """`generator::Stream` of hypertape: SplitMix64 by index."""
    def mix(z):
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & MASK
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK
        return z ^ (z >> 31)
    golden = 0x9E3779B97F4A7C15
    key = mix((seed + golden * (stream + 1)) & MASK)
    return [mix((key + golden * (i + 1)) & MASK) for i in range(n)]


def gauss(stream, rows, cols, spread):
    fields = [sum((b >> s) & 0xFFFF for s in (0, 16, 32, 48)) for b in bits(0, stream, rows * cols)]
    values = (np.array(fields, float) - 131070) * 2.6429e-5 * np.sqrt(spread / rows)
    return jnp.asarray(values.reshape(rows, cols).astype(DTYPE))


def image(c):
    return np.array([(b >> 11) * 2.0**-53 < 0.1 for b in bits(0, 100 + c, 784)], DTYPE)


images = jnp.asarray(np.stack([image(c) for c in ORDER]).reshape(WAYS, 28, 28, 1))
labels = jnp.arange(WAYS)
x = []
for layer in range(LAYERS):
    affine = jnp.asarray(np.stack([np.ones(FILTERS), np.zeros(FILTERS)]).astype(DTYPE))
    x += [gauss(layer, 9 * (FILTERS if layer else 1), FILTERS, 2.0), affine]
x += [gauss(LAYERS, 4 * FILTERS, WAYS, 1.0), jnp.zeros((1, WAYS), DTYPE)]


def loss(w, images):
    s = images
    for layer in range(LAYERS):
        kernel, affine = w[2 * layer].reshape(3, 3, -1, FILTERS), w[2 * layer + 1]
        s = lax.conv_general_dilated(s, kernel, (2, 2), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"))
        s = (s - s.mean((0, 1, 2))) / jnp.sqrt(s.var((0, 1, 2)) + EPSILON)
        s = jax.nn.relu(s * affine[0] + affine[1])
    scores = s.reshape(WAYS, -1) @ w[-2] + w[-1]
    return jnp.mean(jax.nn.logsumexp(scores, axis=1) - scores[labels, labels])


gradient = jax.grad(loss)


def run(x, images, first_order=False, remat=False):
    def step(w):
        g = gradient(w, images)
        g = lax.stop_gradient(g) if first_order else g
        return [w - DTYPE(LR) * g for w, g in zip(w, g)]
    step = jax.checkpoint(step) if remat else step
    # Not `lax.scan`, inside which convolutions take ten times as long on CPUs.
    w = x
    for _ in range(STEPS):
        w = step(w)
    return loss(w, images)


direction = [jnp.full_like(w, 0.01) for w in x]
for name, f in {
    "gradient": gradient,
    "hvp": lambda w, images: jax.jvp(lambda w: gradient(w, images), (w,), (direction,)),
    "run": run,
    "first-order": jax.value_and_grad(lambda x, images: run(x, images, True)),
    "exact": jax.value_and_grad(run),
    "exact, states": jax.value_and_grad(lambda x, images: run(x, images, remat=True)),
}.items():
    compiled = jax.jit(f)
    result = jax.block_until_ready(compiled(x, images))
    times = []
    for _ in range(args.repeats):
        start = time.perf_counter()
        jax.block_until_ready(compiled(x, images))
        times.append(time.perf_counter() - start)
    told = ""
    if name in ("first-order", "exact", "exact, states"):
        value, g = result
        norm = float(np.sqrt(sum(np.sum(np.asarray(g, float) ** 2) for g in g)))
        told = f"loss {float(value):.8f} norm {norm:.8f}"
    print(f"{name:16} {1e3 * min(times):8.2f} ms  {told}")
