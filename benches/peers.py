#!/usr/bin/env python3
"""hypertape compared with JAX, PyTorch and numpy: one run, interleaved, on one core.

    cargo build --release && cargo bench --no-run
    python3 benches/peers.py --shared DIR --python VENV/bin/python --output benches/PEERS.md

DIR (default $HYPERTAPE_SHARED) holds the peers' scripts, `peers/bench_{jax,torch,numpy}.py`; `--python` is an
interpreter that can import the peers. In each round every implementation runs each workload once, in a process of its
own pinned to the same core with one thread, warmed up, several repetitions. Times are wall times inside the process,
so that neither start nor compilation counts. A median is the median of the rounds' medians, a minimum the least of all.
The machine must be quiet: the peers' wall over CPU time says whether it was.

Rows: `inner loop`; `exact`, the hypergradient as a peer keeps all intermediate values of the run; `exact, tapes kept`, where
hypertape does as well (`store-all:keep=tapes`); `exact, states only`, where the peer keeps what hypertape keeps in the other
rows, w_t, and recomputes each step (JAX: `jax.checkpoint` on the step); of `w3` with 1000
steps `exact within 1 MiB`, where hypertape chooses its schedule and the peer does as before; and with --single a `gradient` and a
Hessian-vector product (`hvp`) of the inner loss, for which hypertape's own come from its criterion bench. `minibatch` is one call
that gives gradient, Hessian-vector and mixed product of a logistic loss of 64 samples with 22 features and a penalty each; the
four problems of `python/examples/newcomer.py` are called from Python, of a package that `--python` can import. Loss, norm and
first entries of every hypergradient are compared with hypertape's.
"""

import argparse
import datetime
import itertools
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
# For each workload by the peers' name: problem and steps here.
WORKLOADS = {"w1_ridge": ("w1-ridge", 100), "w1_logreg": ("w1-logreg", 100), "w2": ("w2", 50)}
WORKLOADS |= {"w3_r100": ("w3", 100), "w3_r1000": ("w3", 1000), "w4": ("w4", 1000)}
# Workloads of JAX alone, in scripts here that print in the format of the shared ones.
NEWCOMER = ["distill", "tabular", "per-parameter", "learned-optimiser"]
OWN = {"minibatch": ["f64", "f32"]} | {case: ["f64"] for case in NEWCOMER}
CASES = [*WORKLOADS, *OWN]
ALL = "primal,hypergrad,ckpt_step"
PEERS = {"jax": ALL, "torch": "primal,hypergrad", "numpy": ALL}
# What hypertape does, and what it is compared with.
ROWS = {"inner loop": ["primal"] * 2, "exact": ["hypergrad"] * 2, "exact, states only": ["hypergrad", "ckpt_step"]}
ROWS |= {"exact, tapes kept": ["kept", "hypergrad"], "exact within 1 MiB": ["bounded", "ckpt_step"]}
ROWS |= {op: [op] * 2 for op in ("grad", "hvp", "sweep", "value and gradient")}
ROWS |= {"value and gradient, tapes kept": ["value and gradient, kept", "value and gradient"]}
KEPT = "store-all:keep=tapes"
# Relative tolerances. Observed: at most 9e-16 and 3e-7.
TOLERANCE = {"f64": 5e-14, "f32": 1e-5}
W3_TASKS = 25
LIMIT = 900  # seconds per child process


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workloads", default=",".join(WORKLOADS), help=f"among {', '.join(CASES)}")
    parser.add_argument("--dtypes", default="f64,f32")
    parser.add_argument("--peers", default=",".join(PEERS))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--repeat", type=int, default=7, help="repetitions per round of hypertape")
    parser.add_argument("--budget", default="0.3", help="seconds per round and row of a peer (at least 7 repetitions)")
    parser.add_argument("--threads", type=int, default=1, help="of every implementation")
    parser.add_argument("--cores", help="cores to pin to, like 1 or 0,1 [default: the last ones]")
    parser.add_argument("--single", action="store_true", help="single gradients and products too")
    parser.add_argument("--binary", help="[default: release/hypertape in Cargo's target folder]")
    parser.add_argument("--python", default=sys.executable, help="interpreter of the peers")
    parser.add_argument("--shared", default=os.environ.get("HYPERTAPE_SHARED"))
    parser.add_argument("--output", help="write the Markdown there too")
    parser.add_argument("--json", help="write the raw records there, one per line")
    args = parser.parse_args()
    for name, known in (("workloads", CASES), ("dtypes", TOLERANCE), ("peers", PEERS)):
        chosen = [item for item in getattr(args, name).split(",") if item]
        if unknown := [item for item in chosen if item not in known]:
            parser.error(f"--{name}: unknown {', '.join(unknown)}; there are {', '.join(known)}")
        setattr(args, name, chosen)
    if min(args.rounds, args.repeat, args.threads) < 1:
        parser.error("--rounds, --repeat and --threads are at least 1")
    if args.peers and not args.shared:
        parser.error("set HYPERTAPE_SHARED or --shared to the folder that holds peers/")
    available = sorted(os.sched_getaffinity(0))
    args.cores = [int(c) for c in args.cores.split(",")] if args.cores else available[-args.threads :]
    target = os.environ.get("CARGO_TARGET_DIR", os.path.join(ROOT, "target"))
    args.binary = args.binary or os.path.join(target, "release", "hypertape")
    if not os.path.exists(args.binary):
        parser.error(f"no {args.binary}: run `cargo build --release` or give --binary")
    return args


def child(args, command, **extra):
    """Returns the standard output of a pinned child process and, if it fails, the last line of its error output."""
    # An OpenBLAS that is set to use another processor's kernels is not the peer to compare with.
    env = {k: v for k, v in os.environ.items() if not k.startswith("OPENBLAS_")}
    for name in ("OMP", "OPENBLAS", "MKL"):
        env[name + "_NUM_THREADS"] = str(args.threads)
    env.update(PYTHONDONTWRITEBYTECODE="1", **extra)
    try:
        done = subprocess.run(
            command, env=env, cwd=ROOT, capture_output=True, text=True, timeout=LIMIT,
            preexec_fn=lambda: os.sched_setaffinity(0, args.cores),
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return "", str(error)
    failed = (done.stderr.strip().splitlines() or [f"exit status {done.returncode}"])[-1]
    return done.stdout, failed if done.returncode else None


def record(who, case, dtype, op, median, minimum, check=None, **more):
    return dict(who=who, case=case, dtype=dtype, op=op, median=median, min=minimum, check=check, **more)


def bench(args, name, *filters, **env):
    """Runs a bench of Cargo, pinned like any other child process."""
    return child(args, ["cargo", "bench", "--quiet", "--bench", name, "--", *filters], **env)


def ours(args, case, dtype, complain):
    """hypertape: inner loop and exact hypergradients, and single derivatives if they are requested."""
    if case in OWN:
        yield from own(args, "hypertape", case, dtype, complain)
        return
    problem, steps = WORKLOADS[case]
    command = [args.binary, "gradient", problem, "--steps", str(steps), "--dtype", dtype]
    command += ["--estimator", "exact", "--repeat", str(args.repeat), "--json"]
    if args.threads > 1:
        command += ["--threads", str(args.threads)]
    schedules = {"hypergrad": [], "kept": ["--schedule", KEPT]}
    if steps == 1000:
        schedules["bounded"] = ["--schedule", "auto", "--memory", "1MiB"]
    for op, more in schedules.items():
        out, failed = child(args, command + more)
        if failed:
            complain("hypertape", case, dtype, failed)
            continue
        row = json.loads(out)
        check = [row["loss"], row["gradient_norm"], *row["gradient_head"]]
        yield record("hypertape", case, dtype, op, row["seconds"], row["seconds_min"], check)
        if not more:
            yield record("hypertape", case, dtype, "primal", row["primal_seconds"], row["primal_seconds_min"])
    for op, name in (("grad", "gradient"), ("hvp", "hvp 1")) if args.single else ():
        with tempfile.TemporaryDirectory() as home:
            filters = [f"^{problem}/{dtype}/{name}$", "--warm-up-time", "0.3", "--measurement-time", "0.5", "--noplot"]
            _, failed = bench(args, "hypergradients", *filters, CRITERION_HOME=home)
            path = os.path.join(home, f"{problem}_{dtype}", name, "new", "sample.json")
            if failed or not os.path.exists(path):
                complain("hypertape", case, dtype, failed or f"no criterion sample of {filters[0]}")
                continue
            with open(path, encoding="utf-8") as file:
                sample = json.load(file)
        times = [1e-9 * t / n for t, n in zip(sample["times"], sample["iters"])]
        times = [t * (W3_TASKS if problem == "w3" else 1) for t in times]
        yield record("hypertape", case, dtype, op, statistics.median(times), min(times))


def own(args, who, case, dtype, complain):
    """Workloads that only scripts here measure, with JAX as the only peer."""
    if (who, case) == ("hypertape", "minibatch"):
        yield from results(who, case, dtype, bench(args, "minibatch", dtype), complain)
    elif who in ("hypertape", "jax"):
        command = [args.python, os.path.join("benches", "small.py"), "--shared", args.shared, "--who", who]
        command += ["--case", case, "--dtype", dtype, "--budget", args.budget]
        yield from results(who, case, dtype, child(args, command), complain)


def peer(args, who, case, dtype, complain):
    """Runs a peer's script; failures are reported."""
    if case in OWN:
        yield from own(args, who, case, dtype, complain)
        return
    ops = PEERS[who] + (",grad,hvp" if args.single else "")
    script = os.path.join(args.shared, "peers", f"bench_{who}.py")
    command = [args.python, script, "--case", case, "--op", ops, "--dtype", dtype]
    command += ["--threads", str(args.threads), "--budget", args.budget]
    yield from results(who, case, dtype, child(args, command), complain)


def results(who, case, dtype, told, complain):
    """Parses the lines that a script prints."""
    out, failed = told
    for line in out.splitlines():
        if line.startswith("RESULT "):
            row = json.loads(line.removeprefix("RESULT "))
            check = [row["outer_loss"], row["hg_norm"], *row["hg_first8"]] if "hg_norm" in row else None
            more = {"wait": row["wall_med"] / row["cpu_med"]} if "cpu_med" in row else {}
            more |= {"version": row["version"]} if "version" in row else {}
            yield record(who, case, dtype, row["op"], row["wall_med"], row["wall_min"], check, **more)
        elif line.startswith("FAILED"):
            complain(who, case, dtype, line)
    if failed:
        complain(who, case, dtype, failed)


def summary(records):
    """Median of medians, smallest minimum, and the last check."""
    median = statistics.median(r["median"] for r in records)
    return median, min(r["min"] for r in records), records[-1]["check"]


def gap(a, b):
    """Largest relative deviation of loss and norm, and of entries relative to the norm."""
    scale = [abs(a[0]), abs(a[1])] + [abs(a[1])] * (len(a) - 2)
    return max(abs(x - y) / s for x, y, s in zip(a, b, scale))


def pair(value, scale=1e3):
    return f"{scale * value[0]:.4g} / {scale * value[1]:.4g}"


def tables(args, records):
    """One line per workload, precision and row; then hypergradient over inner loop."""
    found = {}
    for r in records:
        found.setdefault((r["case"], r["dtype"], r["op"], r["who"]), []).append(r)
    found = {key: summary(rows) for key, rows in found.items()}
    peers = [p for p in args.peers if any(r["who"] == p for r in records)]
    head = ["workload", "dtype", "row", "hypertape"]
    head += [title for p in peers for title in (p, f"hypertape / {p}")] + ["agreement"]
    times, ratios, wrong = [head, ["---"] * len(head)], [["workload", "dtype", "hypertape"]], []
    ratios[0] += [f"{p}{kind}" for p in peers for kind in ("", ", states only")]
    ratios.append(["---"] * len(ratios[0]))
    for case in args.workloads:
        for dtype in args.dtypes:
            for title, (op, of) in ROWS.items():
                mine = found.get((case, dtype, op, "hypertape"))
                theirs = [found.get((case, dtype, of, p)) for p in peers]
                if not mine or not any(theirs):
                    continue
                line = [case, dtype, title, pair(mine)]
                for t in theirs:
                    line += [pair(t), pair([m / n for m, n in zip(mine[:2], t)], 1)] if t else ["-", "-"]
                gaps = [gap(mine[2], t[2]) for t in theirs if t and t[2]]
                bad = [g for g in gaps if not g <= TOLERANCE[dtype]]
                wrong += [f"{case} {dtype} {title}: results differ by {g:.1e}" for g in bad]
                line.append(f"{max(gaps):.0e}{' WRONG' if bad else ''}" if gaps else "")
                times.append(line)
            line = [case, dtype]
            for who, op in [("hypertape", "hypergrad")] + [(p, o) for p in peers for o in ("hypergrad", "ckpt_step")]:
                whole, loop = (found.get((case, dtype, o, who)) for o in (op, "primal"))
                line.append(pair([w / l for w, l in zip(whole[:2], loop)], 1) if whole and loop else "-")
            if case in WORKLOADS:
                ratios.append(line)
    text = lambda table: "\n".join("| " + " | ".join(line) + " |" for line in table)
    return text(times), text(ratios), wrong


def first_line(command):
    try:
        done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    except OSError:
        return "unknown"
    return (done.stdout.splitlines() or ["unknown"])[0]


def header(args, records):
    """The programs and the machine that were measured, and the date."""
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        models = [line.split(":", 1)[1].strip() for line in file if line.startswith("model name")]
    commit = first_line(["git", "describe", "--always", "--dirty"])
    versions = [f"{first_line([args.binary, '--version'])} ({commit})", first_line(["rustc", "--version"])]
    versions += sorted({f"{r['who']} {r['version']}" for r in records if "version" in r})
    versions.append(first_line([args.python, "--version"]))
    wait = statistics.median([r["wait"] for r in records if "wait" in r] or [1.0])
    quiet = f"wall over CPU time of the peers' rows: {wait:.2f}"
    quiet += ", **the machine was busy: times and ratios are not to be quoted**" if wait > 1.1 else ""
    return (
        f"{datetime.date.today()}, {(models or [platform.machine()])[0]}, {len(os.sched_getaffinity(0))} cores, "
        f"pinned to {len(args.cores)}, threads: {args.threads}, rounds: {args.rounds}; {quiet}. "
        f"{'; '.join(versions)}."
    )


NOTES = """Milliseconds of wall time and ratios, median / minimum; a ratio above 1 means that the peer is faster.
`exact`: the peer keeps what the whole loop computed; `exact, states only`: it keeps w_t like hypertape and recomputes.
hypertape's inner loop includes one outer loss, the peers' does not. The peers batch the 25 tasks of `w3`, hypertape
goes task by task; its `gradient` and `hvp` of `w3` are 25 times those of one task, and its `hvp` includes the gradient.
numpy's adjoints are derived by hand. Agreement: largest relative deviation of loss, norm and first eight entries."""


def main():
    args = arguments()
    records, missing = [], {}

    def complain(who, case, dtype, reason):
        missing.setdefault((who, reason[:200]), []).append(f"{case} {dtype}")

    with open(args.json or os.devnull, "w", encoding="utf-8") as raw:
        for number, case, dtype in itertools.product(range(args.rounds), args.workloads, args.dtypes):
            if dtype not in OWN.get(case, args.dtypes):
                continue
            print(f"round {number + 1}: {case} {dtype}", file=sys.stderr, flush=True)
            runs = [ours(args, case, dtype, complain)]
            runs += [peer(args, who, case, dtype, complain) for who in args.peers]
            for r in itertools.chain(*runs):
                records.append(r)
                print(json.dumps(dict(r, round=number)), file=raw, flush=True)
    times, ratios, wrong = tables(args, records)
    failures = wrong + [f"{who}: {why} ({', '.join(sorted(set(at)))})" for (who, why), at in missing.items()]
    parts = ["# Speed beside peers", "Printed by `benches/peers.py`.", header(args, records), NOTES, times]
    parts += ["Hypergradient over the implementation's own inner loop:", ratios]
    parts += ["Not measured or wrong:\n\n" + "\n".join("- " + f for f in failures)] if failures else []
    text = "\n\n".join(parts) + "\n"
    print(text, end="")
    if args.output:
        with open(args.output, "w", encoding="utf-8") as file:
            file.write(text)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
