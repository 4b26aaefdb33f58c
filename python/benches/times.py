"""What Python adds to a call, and how problems from NumPy and JAX compare with those of the catalogue, in time and bytes.

usage: python times.py [CASE ...], on a quiet machine and with an extension that was built for release. Workloads need the folder
that ``HYPERTAPE_SHARED`` names. The status is 1 if a limit is exceeded: 20 us per call, 1.1 times the time, more bytes.
"""

import sys
import time
from pathlib import Path

import numpy as np

import hypertape as ht

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
import workloads  # noqa: E402

ADDED, SLOWER = 20e-6, 1.1
ROUNDS = 7



def added(problem, **options):
    """The minimum time of a call minus that of the estimate itself, and the latter."""
    x, spans = problem.x, []
    for _ in range(2000):
        begun = time.perf_counter()
        r = problem.hypergradient(x, **options)
        spans.append((time.perf_counter() - begun - r.cost.seconds, r.cost.seconds))
    return min(a for a, _ in spans), min(s for _, s in spans)


def ten():
    return ht.Problem(lambda w, x: np.sum((w - x) ** 2) / 2, lambda w, x: np.sum(w**2), x=np.ones(10), w=np.ones(10))


def paired(problem, own):
    """Minimum times of two problems that are called alternately."""
    seconds = [[], []]
    for _ in range(ROUNDS):
        for k, each in enumerate((problem, own)):
            seconds[k].append(each.hypergradient().cost.seconds)
    return min(seconds[0]), min(seconds[1])


def main(cases):
    missed = False
    for name, options in (("ten variables, 1 step", dict(steps=1)), ("within a budget", dict(steps=20, memory="1MiB"))):
        more, own = added(ten(), **options)
        missed |= more > ADDED
        print(f"{name}: {more * 1e6:.1f} us added to {own * 1e6:.1f} us")
    for case in cases if workloads.SHARED else ():
        own = ht.load(workloads.CASES[case])
        for source, problem in (("NumPy", workloads.stated(case)[0]), ("JAX", workloads.stated_in_jax(case))):
            ours, theirs = paired(problem, own)
            bytes_ = [each.hypergradient().cost.bytes_measured for each in (problem, own)]
            missed |= ours > SLOWER * theirs or bytes_[0] > bytes_[1]
            print(f"{case} from {source}: {ours * 1e3:.3f} ms, {ours / theirs:.3f} of the catalogue's; {bytes_[0]} bytes, {bytes_[1]}")
    return missed


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:] or workloads.CASES))
