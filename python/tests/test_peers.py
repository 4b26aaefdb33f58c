"""The peers' workloads from NumPy and JAX have the known hypergradients, the catalogue's blocks, and no more than its bytes."""

import numpy as np
import pytest

import hypertape as ht
from workloads import CASES, SHARED, expected, flat, in_jax, stated, stated_in_jax

pytestmark = pytest.mark.skipif(not SHARED, reason="HYPERTAPE_SHARED names no folder with the peers' workloads")


def holds(case, problem):
    r, own, known = problem.hypergradient(), ht.load(CASES[case]).hypergradient(), expected(case)
    assert np.linalg.norm(flat(r.gradient) - known) < 1e-12 * np.linalg.norm(known)
    assert abs(own.loss - r.loss) < 1e-12 * abs(r.loss)
    # Beside the passes over the data, vectors: labels turned, products that JAX takes one by one.
    assert r.cost.bytes_measured <= 1.07 * own.cost.bytes_measured
    assert "one block" not in problem.describe() or case.startswith("w3")


@pytest.mark.parametrize("case", CASES)
def test_a_workload_in_numpy(case):
    holds(case, stated(case)[0])


@pytest.mark.parametrize("case", CASES)
def test_the_same_from_jax(case):
    pytest.importorskip("jax")
    holds(case, stated_in_jax(case))


def test_all_tasks_at_once_by_vmap():
    """``w3`` as in the script: one model per task, and ``vmap`` over tasks."""
    jax = pytest.importorskip("jax")
    theirs = in_jax("w3_r100")
    data = {name: np.asarray(theirs.D[name]) for name in ("xs", "ys", "xq", "yq")}
    problem = ht.Problem.from_jax(
        theirs.inner, lambda w, x, d: theirs.outer(w, d), [np.asarray(each) for each in theirs.hp],
        init=lambda x: theirs.start(tuple(x), None), train=data, valid=data, steps=theirs.r, lr=float(theirs.lr),
    )  # fmt: skip
    known, found = expected("w3_r100"), flat(problem.hypergradient().gradient)
    assert np.linalg.norm(found - known) < 1e-12 * np.linalg.norm(known)
    assert jax.numpy.shape(problem.w[0]) == (25, 1, 40)
