"""Every estimator, rule, schedule and precision on a problem from NumPy, compared with the same graph built in Rust and a hand-written twin."""

import subprocess
from pathlib import Path

import numpy as np
import pytest

import hypertape as ht
from workloads import SHARED, stated

EXAMPLES = [Path(__file__).parents[2] / "target" / kind / "examples" / "graph" for kind in ("debug", "release")]


def options():
    """Returns options of calls in which each choice occurs once."""
    own = {"reversible": dict(rule="heavy-ball:momentum=0.9"), "roulette-neumann": dict(estimator="roulette-neumann:survival=0.99")}
    yield from (dict(estimator=name) | own.get(name, {}) for name in ht.choices("estimators"))
    yield from (dict(rule={"ista": "ista:l1=0.01"}.get(name, name), lr=0.01) for name in ht.choices("rules"))
    schedules = ("uniform:k=4", "binomial:c=3", "constant", "mixed:c=4,tape=1", "disk:ram=2,disk=4", "online:c=3", "store-all:keep=tapes")
    yield from (dict(schedule=text) for text in schedules)
    yield from (dict(threads=2), dict(memory="1MiB"), dict(seed=3, estimator="ufom:q=0.5"))
    yield from (dict(dtype="float32", rule=rule, threads=2) for rule in (None, "adam"))


def same(problem, twin, near):
    """Calls ``near`` with both gradients for all options. Both must refuse the same options in the same words."""
    refused = []
    for given in options():
        found = []
        for each in (problem, twin):
            try:
                found.append(each.hypergradient(**({"steps": 12, "lr": 0.1} | given)).gradient)
            except ht.Error as error:
                found.append(str(error))
        if isinstance(found[0], str):
            refused.append(given)
            assert found[0] == found[1], given
        else:
            near(*(np.ravel(gradient) for gradient in found), given)
    # The outer losses do not depend on ``x``.
    assert refused == [dict(estimator="first-order")]


@pytest.mark.skipif(not any(path.exists() for path in EXAMPLES), reason="cargo test --workspace has not built examples/graph.rs")
def test_the_same_graph_built_in_rust_gives_the_same_bits(tmp_path):
    path = tmp_path / "ridge.npz"
    subprocess.run([next(path for path in EXAMPLES if path.exists()), path], check=True, capture_output=True)
    arrays = np.load(path)
    data = ({name: arrays[f"{part}.{name}"] for name in ("X", "y")} for part in ("train", "valid"))
    train, valid = ({"X": part["X"], "y": part["y"].ravel()} for part in data)
    fit = lambda w, d: np.mean((d.X @ w - d.y) ** 2)  # noqa: E731
    problem = ht.Problem(
        lambda w, x, d: (fit(w, d) + np.sum(np.exp(x) * w**2)) * 0.5, lambda w, x, d: fit(w, d) * 0.5,
        x=np.full(5, -2.0), w=np.zeros(5), train=train, valid=valid, steps=50, lr=0.5,
    )  # fmt: skip
    built = ht.load(path)
    same(problem, built, lambda a, b, given: np.testing.assert_array_equal(a, b, str(given)))
    for batch in (7, 50):
        np.testing.assert_array_equal(*(each.hypergradient(batch=batch, seed=2).gradient for each in (problem, built)))


@pytest.mark.skipif(not SHARED, reason="HYPERTAPE_SHARED names no folder with the peers' workloads")
@pytest.mark.parametrize("case", ["w1_ridge", "w1_logreg"])
def test_a_twin_written_by_hand(case):
    def near(a, b, given):
        # Both add 2000 samples in the same order. Observed deviations are 2e-14 and 1e-6.
        limit = 1e-5 if given.get("dtype") == "float32" else 1e-13
        assert np.linalg.norm(a - b) <= limit * np.linalg.norm(b), (given, np.linalg.norm(a - b) / np.linalg.norm(b))

    same(stated(case)[0], ht.load(case.replace("_", "-")), near)
