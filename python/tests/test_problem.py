"""Problems with losses in NumPy, and all methods of them."""

import gc
import json
import os
import subprocess
import sys
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

import hypertape as ht
from shapes import numbers


def ridge(rows=60, cols=5, **more):
    """Ridge regression with one log-penalty per weight; differentiated by hand below."""
    X, V = numbers((rows, cols), 1), numbers((rows // 2, cols), 2)
    y, u = X @ np.arange(cols) + numbers((rows,), 3), V @ np.arange(cols)
    return ht.Problem(
        inner=lambda w, x, d: np.mean((d.X @ w - d.y) ** 2) / 2 + np.sum(np.exp(x) * w**2) / 2,
        outer=lambda w, x, d: np.mean((d.X @ w - d.y) ** 2) / 2,
        x=np.linspace(-1, 0, cols), w=np.zeros(cols), train={"X": X, "y": y}, valid={"X": V, "y": u}, **more,
    ), (X, y, V, u)  # fmt: skip


def by_hand(data, x, steps, lr):
    """The hypergradient of ``ridge`` by an independent recurrence, forward."""
    X, y, V, u = data
    H, w, J = X.T @ X / len(y) + np.diag(np.exp(x)), np.zeros(len(x)), np.zeros((len(x), len(x)))
    for _ in range(steps):
        J = J - lr * (H @ J + np.diag(np.exp(x) * w))
        w = w - lr * (H @ w - X.T @ y / len(y))
    gap = V @ w - u
    return np.mean(gap**2) / 2, J.T @ (V.T @ gap / len(u)), w


def test_a_ridge_regression_by_hand():
    problem, data = ridge()
    r = problem.hypergradient(steps=30, lr=0.1)
    loss, gradient, w = by_hand(data, problem.x, 30, 0.1)
    np.testing.assert_allclose(r.gradient, gradient, rtol=1e-13)
    np.testing.assert_allclose(r.w, w, rtol=1e-13)
    assert abs(r.loss - loss) < 1e-13 * loss and (r.cost.hvps, r.cost.inner_gradients) == (30, 30)
    x = problem.x + 0.3
    np.testing.assert_allclose(problem.hypergradient(x, steps=30, lr=0.1).gradient, by_hand(data, x, 30, 0.1)[1], rtol=1e-13)
    auto = problem.hypergradient(steps=30, lr="auto")
    # With 5 variables the curvature is exact after 5 of 16 products.
    largest = np.linalg.eigvalsh(data[0].T @ data[0] / 60 + np.diag(np.exp(problem.x)))[-1]
    assert abs(auto.lr * largest - 1) < 1e-12 and r.lr == 0.1
    np.testing.assert_allclose(auto.gradient, by_hand(data, problem.x, 30, auto.lr)[1], rtol=1e-12)
    assert problem.run(iterations=2, lr="auto").iterations == 2 and problem.check(lr="auto").failed == []
    assert "a sum over 60 samples" in problem.describe() and "5 outer and 5 inner variables" in repr(problem)
    assert problem.check().failed == []


def test_every_estimator_schedule_precision_and_thread():
    problem, data = ridge(rows=4000, cols=40)
    options = dict(steps=12, lr=0.05)
    exact = problem.hypergradient(**options)
    np.testing.assert_allclose(exact.gradient, by_hand(data, problem.x, 12, 0.05)[1], rtol=1e-12)
    for more in (dict(threads=2), dict(schedule="binomial:c=3"), dict(schedule="constant"), dict(memory=exact.cost.bytes_measured - 1)):
        np.testing.assert_array_equal(problem.hypergradient(**options, **more).gradient, exact.gradient)
    for estimator in ("forward", "full-tape", "exact"):
        found = problem.hypergradient(**options, estimator=estimator, schedule="store-all:keep=tapes" if estimator == "exact" else None)
        np.testing.assert_allclose(found.gradient, exact.gradient, rtol=1e-12)
    single = problem.hypergradient(**options, dtype="float32").gradient
    # 12 steps of sums over 4000 samples, in single precision.
    np.testing.assert_allclose(single, exact.gradient, rtol=3e-4, atol=1e-6)
    for estimator in ht.choices("estimators"):
        if estimator in ("reversible", "first-order"):
            continue  # needs another rule; identically zero here, and refused
        assert np.isfinite(problem.hypergradient(**options, estimator=estimator).gradient).all(), estimator
    rows = problem.certify(["ufom:q=0.5", "truncated:k=3"], draws=60, steps=6, lr=0.05)
    assert rows["verdict"][0] == "exact" and rows["verdict"][2] == "biased"


def test_a_start_that_depends_on_x_dicts_and_lists():
    target = numbers((3,), 4)
    problem = ht.Problem(
        inner=lambda w, x: np.sum((w["a"] - target) ** 2) / 2 + x["b"] * np.sum(w["c"]), outer=lambda w, x: np.sum(w["a"] ** 2) + np.sum(w["c"]),
        x={"a": np.ones(3), "b": 2.0}, init=lambda x: {"a": 2 * x["a"], "c": np.zeros((2, 2)) + x["b"]},
    )  # fmt: skip
    r = problem.hypergradient(steps=4, lr=0.1)
    # a_4 = target + 0.9^4 (2 a - target), c_4 = b - 4 lr b
    shrunk = 0.9**4
    np.testing.assert_allclose(r.gradient["a"], 2 * (target + shrunk * (2 * np.ones(3) - target)) * 2 * shrunk, rtol=1e-14)
    assert abs(r.gradient["b"] - 4 * (1 - 0.4)) < 1e-14 and r.gradient["b"].shape == () and r.w["c"].shape == (2, 2)
    listed = ht.Problem(lambda w, x: np.sum((w[0] - x[0]) ** 2) + np.sum(w[1] ** 2), lambda w, x: np.sum(w[0]) + x[1], [np.ones(2), np.zeros(())], [np.zeros(2), np.ones(3)])
    found = listed.hypergradient(steps=1, lr=0.25).gradient
    np.testing.assert_allclose(found[0], [0.5, 0.5])
    assert found[1] == 1.0


def test_rules_of_ones_own():
    problem, _ = ridge()
    options = dict(steps=15, lr=0.05)
    named = problem.hypergradient(**options, rule="heavy-ball:momentum=0.9")

    def heavy_ball(w, g, v, lr):
        v = 0.9 * v + g
        return w - lr * v, v

    own = problem.hypergradient(**options, rule=heavy_ball)
    np.testing.assert_allclose(own.gradient, named.gradient, rtol=1e-13)

    def adam(w, g, m, v, t, lr):
        m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g**2
        return w - lr * (m / (1 - 0.9 ** (t + 1))) / (np.sqrt(v / (1 - 0.999 ** (t + 1))) + 1e-8), m, v

    named = problem.hypergradient(**options, rule="adam")
    np.testing.assert_allclose(problem.hypergradient(**options, rule=adam).gradient, named.gradient, rtol=1e-10)
    exact, tape = (problem.hypergradient(**options, rule=adam, estimator=e).gradient for e in ("exact", "full-tape"))
    np.testing.assert_allclose(exact, tape, rtol=1e-11)
    for rule, why in {
        "expected 2 of": lambda w, g, m: w, "expected w and g": lambda a, b: a, "expected 1 of": lambda w, g: np.sum(w),
        "a value does not exist": lambda w, g: w if w[0] > 0 else g, "expected a name or a function": 3,
    }.items():  # fmt: skip
        with pytest.raises(ht.InputError, match=rule):
            problem.hypergradient(**options, rule=why)


def test_rules_that_treat_entries_alike():
    """Small arrays are moved as one if the rule allows it, with the result of separate arrays."""
    shapes = {"W": (3, 4), "b": (4,), "v": (4,), "s": ()}
    sizes = [int(np.prod(shape)) for shape in shapes.values()]
    X, y, start = numbers((9, 3), 1), numbers((9,), 2), numbers((sum(sizes),), 3)
    parts = lambda w: [p.reshape(s) for p, s in zip(np.split(w, np.cumsum(sizes)[:-1]), shapes.values())]  # noqa: E731

    def loss(W, b, v, s):
        return np.mean((np.tanh(X @ W + b) @ v - s - y) ** 2)

    x = {"size": numbers((7,), 4), "decay": 0.1}
    joined = ht.Problem(lambda w, x: loss(*parts(w)), lambda w, x: loss(*parts(w)), x, start)
    apart = ht.Problem(lambda w, x: loss(**w), lambda w, x: loss(**w), x, dict(zip(shapes, parts(start))))

    def alike(w, g, m, x, t, lr):
        m = x["decay"] * m + g
        return w - lr * np.exp(x["size"][t]) * m, m

    def normalised(w, g, x, t, lr):
        return w - lr * x["size"][t] * g / np.sqrt(np.sum(g**2))

    for rule, same in ((alike, True), (normalised, False)):
        a, b = (problem.hypergradient(steps=7, lr=0.1, rule=rule) for problem in (joined, apart))
        tape = apart.hypergradient(steps=7, lr=0.1, rule=rule, estimator="full-tape")
        assert (abs(a.loss - b.loss) < 1e-14) == same
        for name in x:
            np.testing.assert_allclose(b.gradient[name], tape.gradient[name], rtol=1e-12, atol=1e-15)
            if same:
                np.testing.assert_allclose(a.gradient[name], b.gradient[name], rtol=1e-12, atol=1e-15)


def test_no_command_takes_a_step_beyond_the_last():
    """A rule may have an array with an entry per step."""
    X, y = numbers((9, 3), 1), numbers((9,), 2)
    loss = lambda w, x: np.mean((X @ w["a"] + w["b"] - y) ** 2)  # noqa: E731
    for steps in (1, 2, 3, 4, 5, 9, 12):
        problem = ht.Problem(loss, loss, {"size": np.zeros(steps)}, {"a": np.zeros(3), "b": 0.1})
        options = dict(steps=steps, lr=0.1, rule=lambda w, g, x, t, lr: w - lr * np.exp(x["size"][t]) * g)
        exact = problem.hypergradient(**options).gradient["size"]
        for estimator in ("full-tape", "forward", "truncated:k=1", "roulette"):
            found = problem.hypergradient(**options, estimator=estimator).gradient["size"]
            if estimator in ("full-tape", "forward"):
                np.testing.assert_allclose(found, exact, rtol=1e-12)
        assert problem.plan(**options) and not problem.check(**options).failed
        problem.certify(["roulette"], draws=2, **options)


def test_vectors_that_are_needed_as_rows():
    """Biases with and without a first axis of length 1 give the same bits under every rule."""
    data = {"X": numbers((9, 3), 1), "y": numbers((9,), 2)}
    loss = lambda w, x, d: np.mean((np.tanh(d.X @ w["W"] + w["b"]) @ w["v"] - d.y) ** 2)  # noqa: E731
    start = {"W": numbers((3, 4), 3), "b": numbers((4,), 4), "v": numbers((4,), 5)}

    def heavy_ball(w, g, m, x, lr):
        return w - lr * (0.9 * m + g), 0.9 * m + g

    def found(b, **options):
        problem = ht.Problem(loss, loss, start | {"b": b}, init=lambda x: x, train=data, valid=data)
        return problem.hypergradient(steps=7, lr=0.1, **options).gradient

    for options in (dict(), dict(rule=heavy_ball), dict(estimator="full-tape"), dict(dtype="float32")):
        for (name, a), b in zip(found(start["b"], **options).items(), found(start["b"][None], **options).values()):
            assert a.shape == start[name].shape
            np.testing.assert_array_equal(a.ravel(), b.ravel())


def test_mini_batches():
    problem, _ = ridge()
    run = problem.run(iterations=20, batch=10, steps=10, lr=0.05, outer="adam", outer_lr=0.05, seed=3)
    again = problem.run(iterations=20, batch=10, steps=10, lr=0.05, outer="adam", outer_lr=0.05, seed=3)
    np.testing.assert_array_equal(run.x, again.x)
    assert run.records["samples"][0] < problem.run(iterations=1, steps=10, lr=0.05).records["samples"][0] / 2
    whole = ht.Problem(lambda w, x, d: np.sum(d.X @ w) ** 2, lambda w, x: np.sum(w * x), 0.5, np.ones(2), train={"X": np.ones((4, 2))})
    assert "inner loss: one block" in whole.describe()
    with pytest.raises(ht.InputError, match="sum or mean over samples"):
        whole.hypergradient(batch=2)


def test_order_within_a_sample_leaves_a_sum_over_samples():
    X = numbers((50, 4), 8)
    spread = lambda w, X: np.mean(np.max(X * w, axis=1) - np.min(X * w, axis=1) + np.median(X * w, axis=1) ** 2)  # noqa: E731
    problem = ht.Problem(
        lambda w, x, d: spread(w, d.X) + x * np.sum(w**2), lambda w, x, d: spread(w, d.X), 0.5, np.ones(4), train={"X": X}, valid={"X": X[:20]}
    )
    assert problem.describe().count("a sum over") == 2
    whole, parts = (problem.hypergradient(steps=3, lr=0.1, **more) for more in ({}, {"threads": 2}))
    np.testing.assert_array_equal(whole.gradient, parts.gradient)
    batch = problem.hypergradient(steps=3, lr=0.1, batch=10)
    assert 0 < batch.cost.samples < whole.cost.samples


def test_the_memory_that_is_needed_is_that_of_a_named_estimator():
    problem, _ = ridge()
    small, of = dict(steps=50, lr=0.1, memory=100), r" needs at least \d+\.\d KiB \(\d+ bytes\) of memory, 100 B is allowed$"
    for start, measure in {
        "exact": lambda: problem.hypergradient(**small), "forward": lambda: problem.hypergradient(estimator="forward", **small), "exact ": lambda: problem.plan(**small),
        "one of exact, forward": lambda: problem.certify("forward", **small), "outer iteration 0: soba:step=0.1": lambda: problem.run(iterations=1, algorithm="soba:step=0.1", **small),
        "exact  ": lambda: problem.run(iterations=1, **small),
    }.items():  # fmt: skip
        with pytest.raises(ht.RunError, match="^" + start.strip() + of) as caught:
            measure()
        assert caught.value.limit == 100 < caught.value.needed
    with pytest.raises(ht.RunError, match=r"^exact with store-all needs .* of memory, 9.8 KiB is allowed; binomial:c=\d+ takes"):
        problem.hypergradient(steps=500, lr=0.1, schedule="store-all", memory=10_000)


def test_labels_are_data():
    X, labels = numbers((50, 4), 7), np.arange(50) % 3
    problem = ht.Problem(
        inner=lambda w, x, d: np.mean(ht.sigmoid(x) * ht.cross_entropy(d.X @ w, d.y)), outer=lambda w, x, d: np.mean(ht.cross_entropy(d.X @ w, d.y)),
        x=np.zeros(50), w=np.zeros((4, 3)), train={"X": X, "y": labels}, valid={"X": X[:20], "y": labels[:20]},
    )  # fmt: skip
    assert problem.describe().count("a sum over") == 2
    r = problem.hypergradient(steps=5, lr=0.5)
    eye = np.eye(3)
    hot = ht.Problem(
        inner=lambda w, x, d: np.mean(ht.sigmoid(x) * (ht.logsumexp(d.X @ w, axis=1) - np.sum(d.X @ w * eye[d.y], axis=1))),
        outer=lambda w, x, d: np.mean(ht.logsumexp(d.X @ w, axis=1) - np.sum((d.X @ w) * eye[d.y], axis=1)),
        x=np.zeros(50), w=np.zeros((4, 3)), train={"X": X, "y": labels}, valid={"X": X[:20], "y": labels[:20]},
    )  # fmt: skip
    np.testing.assert_allclose(hot.hypergradient(steps=5, lr=0.5).gradient, r.gradient, rtol=1e-11, atol=1e-15)


@pytest.mark.parametrize(("row", "label"), [(5, 3), (2, -1)])
def test_labels_out_of_range_are_named_with_list_and_row(row, label):
    X, labels = numbers((8, 2), 7), np.arange(8) % 3
    labels[row] = label
    cross = lambda w, x, d: np.mean(ht.cross_entropy(d.X @ w, d.y))  # noqa: E731
    make = lambda inner, y, w=np.zeros((2, 3)), X=X, **more: ht.Problem(  # noqa: E731
        inner, lambda w, x: np.sum(w) * x, 1.0, w, train={"X": X, "y": y}, **more
    )
    why = f"row {row} has the label {label}, expected 0 to 2, because there are 3 classes$"
    with pytest.raises(ht.InputError, match=rf"^train\['y'\]: {why}"):
        make(cross, labels)
    with pytest.raises(ht.InputError, match=rf"^train\['y'\]: {why.replace(' has', ' of task 1 has')}"):
        make(cross, np.stack([np.zeros(8, int), labels]), X=np.stack([X, X]), tasks=True)
    derived = lambda w, x, d: np.mean(ht.cross_entropy(d.X @ w, d.y - 1))  # noqa: E731
    with pytest.raises(ht.TraceError, match=rf"^a list of labels in .*, line \d+: {why}"):
        make(derived, labels + 1)
    with pytest.raises(ht.InputError, match=rf"^train\['y'\]: row {row} has the index {label}, expected 0 to 2, because the array has 3 rows$"):
        make(lambda w, x, d: np.mean(w[d.y]), labels, np.zeros(3))
    if label > 0:  # NumPy counts negative ones from the end.
        with pytest.raises(ht.TraceError, match=rf"^a list of labels in test_problem.py, line \d+: {why}"):
            ht.grad(lambda w: np.sum((X @ w)[np.arange(8), labels]))(np.zeros((2, 3)))


def test_a_saved_problem_is_one_of_the_command_line(tmp_path):
    problem, _ = ridge()
    problem.save(tmp_path / "p")
    with pytest.raises(ht.InputError, match="no/p.npz: cannot be written: No such file or directory$"):
        problem.save(tmp_path / "no" / "p.npz")
    done = subprocess.run(
        [sys.executable, "-m", "hypertape", "gradient", str(tmp_path / "p.npz"), "--steps", "30", "--lr", "0.1", "--json"],
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    head = done.stdout.split('"gradient_head":[')[1].split("]")[0].split(",")
    expected = problem.hypergradient(steps=30, lr=0.1).gradient
    np.testing.assert_array_equal([float(v) for v in head], expected)
    np.testing.assert_array_equal(ht.load(tmp_path / "p.npz").hypergradient(steps=30, lr=0.1).gradient, expected)
    whole = (tmp_path / "p.npz").read_bytes()
    for name, content, told in (("cut", whole[: len(whole) // 2], "npz"), ("text", b"x,y", "not an npz file"), ("none", None, "cannot be read")):
        if content is not None:
            (tmp_path / f"{name}.npz").write_bytes(content)
        with pytest.raises(ht.InputError, match=told) as caught:
            ht.load(str(tmp_path / f"{name}.npz"))
        assert "\n" not in str(caught.value) and f"{name}.npz" in str(caught.value)


def test_a_study_over_a_saved_problem_with_a_memory_axis(tmp_path):
    problem, _ = ridge()
    problem.save(tmp_path / "p.npz")
    study, out = tmp_path / "study.toml", tmp_path / "out"
    study.write_text(
        f'title = "ridge"\n[[grid]]\nproblem = "{tmp_path / "p.npz"}"\nmeasure = "gradient"\nsteps = 200\nlr = 0.1\nschedule = "auto"\n'
        'memory = ["8KiB", "16KiB", "64KiB"]\nrepeats = 2\n'
    )
    done = subprocess.run([sys.executable, "-m", "hypertape", "study", str(study), "--out", str(out)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    records = [json.loads(line) for line in (out / "records.jsonl").read_text().splitlines()]
    assert [record["memory"] for record in records] == [2**13, 2**14, 2**16]
    assert all(record["bytes_measured"] <= record["memory"] for record in records)
    assert "<svg" in (out / "report.html").read_text()


def test_algorithms_of_a_single_loop_by_name():
    problem, data = ridge()
    for algorithm in ("soba:step=0.1", "ma-soba:step=0.1", "stocbio:step=0.1", "ttsa:step=0.1"):
        run = problem.run(iterations=400, lr=0.1, algorithm=algorithm, outer_lr=0.05)
        assert run.iterations == 400 and run.estimator.startswith(algorithm.partition(":")[0])
        assert run.records["loss"][-1] < run.records["loss"][0], algorithm
        batched = problem.run(iterations=5, lr=0.1, algorithm=algorithm, outer_lr=0.05, batch=10)
        assert np.isfinite(batched.x).all()
    with pytest.raises(ht.InputError, match="soba"):
        problem.run(iterations=2, algorithm="sobaa")
    for other in (dict(estimator="cg"), dict(coupling="warm")):
        with pytest.raises(ht.InputError, match=f"{next(iter(other))}: found .* with algorithm='soba:step=0.1'"):
            problem.run(iterations=2, algorithm="soba:step=0.1", **other)


def test_what_is_refused_in_one_line():
    good = dict(inner=lambda w, x: np.sum(w * x), outer=lambda w, x: np.sum(w), x=np.ones(2), w=np.ones(2))
    data = {"X": np.ones((3, 2))}
    for why, bad in {
        "one of them": dict(w=None), "found a loss of shape \\(2,\\)": dict(inner=lambda w, x: w * x), "d.Y of the inner loss: found no such data, expected X": dict(inner=lambda w, x, d: d.Y, train=data),
        "expected none, as none were given as train": dict(inner=lambda w, x, d: d.X), "expected real numbers": dict(x=["a"]), r"w\['a'\]: found a dict in a dict": dict(w={"a": {"b": np.ones(2)}}), "found a dict in a list": dict(w=[{"b": np.ones(2)}]),
        r"w\[0\]: setting an array element": dict(w=[[np.ones(2), np.ones(3)]]),
        "expected a dict of arrays": dict(train=np.ones(3)), "steps: found -1": dict(steps=-1), "use np.where": dict(inner=lambda w, x: w[0] if x[0] > 0 else w[1]),
        "at least one number": dict(train={"X": np.zeros((0, 2))}), "expected real numbers ": dict(train={"X": np.array([None])}),
    }.items():  # fmt: skip
        with pytest.raises(ht.InputError, match=why.strip()) as caught:
            ht.Problem(**(good | bad))
        assert "\n" not in str(caught.value)
    with pytest.raises(KeyError):
        ht.Problem(**(good | dict(outer=lambda w, x: {}["no"])))


def test_numbers_that_are_not_finite_are_named_with_their_places():
    X, own = np.ones((9, 2)), np.ones((9, 2))
    X[3, 1], own[5, 0] = np.nan, np.inf
    outer = lambda w, x: np.sum(w * x)  # noqa: E731
    small, missing = np.array([1.0, np.nan]), np.float64("nan")
    for why, inner in {
        r"^an array of shape \(2,\) in test_problem.py, line \d+: entry 1 is nan, expected finite numbers$": lambda w, x: np.sum((w - small) ** 2),
        r"^an array of shape \(2,\) in test_problem.py, line \d+: entry 0 is inf": lambda w, x: np.sum(w * (1 / np.array([0.0, 2.0]))),
        r"^a number in test_problem.py, line \d+: found nan, expected a finite one$": lambda w, x: np.sum(w * missing),
        r"^train\['X'\]: entry \(3, 1\) is nan, expected finite": lambda w, x, d: np.sum((d.X @ w) ** 2),
        r"^an array of shape \(9, 2\) in test_problem.py, line \d+: entry \(3, 1\) is nan": lambda w, x, d: np.sum((2 * d.X @ w) ** 2),
        r"^an array of shape \(9, 2\) in test_problem.py, line \d+: entry \(5, 0\) is inf": lambda w, x, d: np.sum((own @ w) ** 2),
    }.items():  # fmt: skip
        with pytest.raises(ht.InputError, match=why):
            with np.errstate(divide="ignore"):
                ht.Problem(inner, outer, np.ones(2), np.ones(2), train={"X": X})
    problem = ht.Problem(lambda w, x: np.sum(np.maximum(w, -np.inf) ** 2), outer, np.ones(2), np.ones(2))  # A bound may be infinite.
    assert np.isfinite(problem.hypergradient(steps=2).loss)
    with pytest.raises(ht.TraceError, match=r"^an array of shape \(2,\) in test_problem.py, line \d+: entry 1 is nan"):
        problem.hypergradient(rule=lambda w, g, lr: w - lr * g * small)
    assert np.isnan(ht.value_and_grad(lambda w: np.sum(w * small))(np.ones(2))[0])  # As in NumPy.


def test_warnings_of_losses_and_runs():
    """``w`` grows by -2 in each step: ``2^60`` after 60, and ``F`` is its square, 1.33e36."""
    problem = ht.Problem(lambda w, x: 1.5 * np.sum(w**2) + 0 * x, lambda w, x: np.sum(w**2), 0.0, np.ones(1), lr=1.0, steps=60)
    for measure in (problem.loss, problem.solve):
        with pytest.warns(RuntimeWarning, match=r"the outer loss is 1.33e36, .*: take a smaller lr") as told:
            measure()
        assert told[0].filename == __file__
    assert problem.loss(steps=3) == 64
    run = ht.load("quadratic").run(iterations=5, estimator="cg")
    lines = repr(run).splitlines()
    sizes = [float(text.split("|dg/dw| is ")[1].split(",")[0]) for text in run.warnings]
    assert run.warned == 5 == len(run.warnings) and len(lines) == 2
    assert lines[1].startswith(f"  warning: 5 of 5 estimates, the worst: the inner loop is not converged: |dg/dw| is {max(sizes):.2e}".replace("e-0", "e-"))


def resident():
    """Returns the resident memory of the process in KiB."""
    if not os.path.exists("/proc/self/status"):
        pytest.skip("no /proc")
    gc.collect()
    return int(next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmRSS")).split()[1])


def test_many_problems_are_made_and_dropped():
    for count in (100, 900):
        for _ in range(count):
            problem, _ = ridge(rows=200, cols=20)
            problem.hypergradient(steps=2)
        first = resident() if count == 100 else first
    # A problem holds 35 KiB of data: 900 of them would be 31 MiB.
    assert resident() - first < 3000


def test_arguments_are_borrowed():
    X, y = numbers((4000, 2000), 1), numbers((4000,), 2)
    fit = lambda w, X: np.mean((X @ w - y) ** 2)  # noqa: E731
    gradient = ht.grad(fit)
    gradient(np.zeros(2000), X)
    tracemalloc.start()
    expected = gradient(np.zeros(2000), X)
    assert tracemalloc.get_traced_memory()[1] < X.nbytes / 100
    tracemalloc.stop()
    np.testing.assert_allclose(expected, -2 / 4000 * X.T @ y, rtol=1e-11, atol=1e-15)


def test_data_are_copied_once():
    X, y = numbers((4000, 2000), 1), numbers((4000,), 2)
    loss = lambda w, x, d: np.mean((d.X @ w - d.y) ** 2) * x  # noqa: E731
    before = resident()
    problem = ht.Problem(loss, loss, 0.1, np.zeros(2000), train={"X": X, "y": y}, valid={"X": X[:9], "y": y[:9]}, steps=2)
    first = problem.hypergradient().gradient
    for options in (dict(threads=2), dict(rule="heavy-ball:momentum=0.5"), dict(batch=100), dict(memory="64MiB")):
        problem.hypergradient(**options)
    # The data are copied once, for all options. An evaluation needs blocks of rows in addition.
    assert resident() - before < 1.2 * X.nbytes / 1024
    X[:] = 0.0
    np.testing.assert_array_equal(problem.hypergradient().gradient, first)


def test_the_newcomers_four_problems():
    shared = os.environ.get("HYPERTAPE_SHARED")
    if not shared:
        pytest.skip("HYPERTAPE_SHARED names no folder with the peers' problems")
    jax = pytest.importorskip("jax")
    import importlib.util

    sys.path.insert(0, str(Path(__file__).parent.parent / "examples"))
    import newcomer

    folder = Path(shared) / "peers" / "newcomer"
    spec = importlib.util.spec_from_file_location("peers_problems", folder / "problems.py")
    theirs = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(theirs)
    digits = np.load(folder / "digits.npz")
    table = np.loadtxt(folder / "my.csv", delimiter=",", skiprows=1)
    X, y = table[:, :-1], table[:, -1].astype(int)
    train, valid = {"X": X[:150], "y": y[:150]}, {"X": X[150:400], "y": y[150:400]}
    ours = {
        "distill": newcomer.distill(digits["x"][:500] / 16.0, digits["y"][:500]), "tabular": newcomer.tabular(train, valid),
        "per-parameter": newcomer.per_parameter(train, valid), "learned-optimiser": newcomer.learned_optimiser(train, valid),
    }  # fmt: skip
    for name, (problem, options) in ours.items():
        F, x0 = theirs.PROBLEMS[name]()
        loss, gradient = jax.jit(jax.value_and_grad(F))(x0)
        r = problem.hypergradient(**options)
        found = np.concatenate([part.ravel() for part in (r.gradient.values() if isinstance(r.gradient, dict) else [r.gradient])])
        scale = np.linalg.norm(gradient)
        assert abs(r.loss - loss) < 1e-12 * abs(loss), name
        assert np.linalg.norm(found - np.ravel(gradient)) < 1e-12 * scale, name
    lines = [line.strip() for line in (Path(newcomer.__file__)).read_text().splitlines()]
    assert sum(bool(line) and not line.startswith(('"""', "#")) for line in lines) <= 60


def test_tasks():
    """A learned start: the mean over tasks is the mean of problems with one task each."""
    X, y = numbers((5, 8, 2), 1), numbers((5, 8), 2)
    V, u = numbers((5, 6, 2), 3), numbers((5, 6), 4)
    error = lambda w, x, d: np.mean((np.tanh(d.X @ w) - d.y) ** 2)  # noqa: E731
    make = lambda part, **more: ht.Problem(  # noqa: E731
        error, error, np.array([0.3, -0.4]), init=lambda x: x, train={"X": X[part], "y": y[part]}, valid={"X": V[part], "y": u[part]}, **more
    )
    problem, options = make(slice(None), tasks=True), dict(steps=6, lr=0.2)
    single = [make(k).hypergradient(**options) for k in range(5)]
    r = problem.hypergradient(**options)
    np.testing.assert_allclose(r.gradient, np.mean([one.gradient for one in single], axis=0), rtol=1e-13)
    np.testing.assert_array_equal(problem.hypergradient(**options, threads=2).gradient, r.gradient)
    two, three = (problem.hypergradient(**options, lanes=2, threads=n).gradient for n in (1, 3))
    np.testing.assert_array_equal(two, three)
    np.testing.assert_allclose(two, r.gradient, rtol=1e-13)
    with pytest.raises(ht.InputError, match="lanes: found 0, expected a whole number, 1 or more"):
        problem.hypergradient(**options, lanes=0)
    assert "5 tasks" in problem.describe()
    labels = np.arange(40).reshape(5, 8) % 2
    classify = lambda w, x, d: np.mean(ht.cross_entropy(d.X * w, d.y))  # noqa: E731
    few = ht.Problem(classify, classify, np.ones(2), init=lambda x: x, train={"X": X, "y": labels}, valid={"X": V, "y": labels[:, :6]}, tasks=True)
    assert few.hypergradient(**options).gradient.shape == (2,)
    with pytest.raises(ht.InputError, match="can only be an index"):
        ht.Problem(lambda w, x, d: np.sum(d.X @ w * d.y), error, np.ones(2), init=lambda x: x, train={"X": X, "y": labels}, valid={"X": V, "y": u}, tasks=True)
    with pytest.raises(ht.InputError, match="expected as many of all"):
        ht.Problem(error, error, np.ones(2), init=lambda x: x, train={"X": X, "y": y}, valid={"X": V[:3], "y": u[:3]}, tasks=True)
