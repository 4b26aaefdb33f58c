"""What was taken silently: masks, data whose samples were lost, variables that no loss uses, batches larger than the data."""

import re

import numpy as np
import pytest
from scipy import special
from shapes import numbers

import hypertape as ht

X, C = numbers((8, 2), 1), numbers((8,), 2)


def smooth(function, batch):
    problem = ht.Problem(
        inner=lambda w, x, d: np.mean((d.X @ w) ** 2),
        outer=lambda w, x, d: np.mean((d.X @ w) ** 2) + np.mean(x * function(d.c)),
        x=np.ones(8), w=np.ones(2), train={"X": X, "c": C}, valid={"X": X, "c": C},
    )  # fmt: skip
    return problem.hypergradient(steps=1, lr=0.1, batch=batch, seed=0).gradient


def test_functions_of_entries_of_data_keep_its_samples():
    for own, theirs in [(ht.sigmoid, special.expit), (ht.erf, special.erf), (ht.relu, lambda a: np.maximum(a, 0.0))]:
        gradient = smooth(own, 4)
        np.testing.assert_allclose(gradient, smooth(theirs, 4), rtol=1e-15)  # the last digit of erf is SciPy's there
        assert np.count_nonzero(gradient) <= 4


def test_masks_are_refused():
    masked = np.ma.masked_array(X, X > 0.5)
    assert masked.mask.any()
    loss = lambda w, x, d: np.mean((d.X * w) ** 2)  # noqa: E731
    with pytest.raises(ht.InputError, match="train.*masked array"):
        ht.Problem(inner=loss, outer=loss, x=0.0, w=np.ones(2), train={"X": masked}, valid={"X": X})
    with pytest.raises(ht.InputError, match="masked array"):
        ht.Problem(inner=lambda w, x: np.mean((w * masked) ** 2), outer=lambda w, x: np.sum(w), x=0.0, w=np.ones(2))
    # Without anything masked it is an array.
    whole = np.ma.masked_array(X, np.zeros_like(X, dtype=bool))
    ht.Problem(inner=loss, outer=loss, x=0.0, w=np.ones(2), train={"X": whole}, valid={"X": X})


def test_unused_variables_are_saved(tmp_path):
    problem = ht.Problem(
        inner=lambda w, x: np.sum(w["a"] ** 2) * x["p"], outer=lambda w, x: np.sum(w["a"] ** 2),
        x={"p": 1.0, "q": np.zeros((3, 2))}, w={"a": np.ones(2), "b": np.ones(4)},
    )  # fmt: skip
    found = problem.hypergradient(steps=3, lr=0.1)
    problem.save(str(tmp_path / "u.npz"))
    again = ht.load(str(tmp_path / "u.npz")).hypergradient(steps=3, lr=0.1)
    assert again.loss == found.loss
    for name, part in found.gradient.items():
        np.testing.assert_array_equal(np.ravel(again.gradient[name]), np.ravel(part))


def test_batches_larger_than_the_data_are_refused():
    with pytest.raises(ht.InputError, match="batch: found 9, expected 8 samples or fewer"):
        smooth(ht.sigmoid, 9)


def test_checks_have_no_numbers_where_nothing_is_compared():
    problem = ht.Problem(lambda w, x: np.sum(w**2) * x, lambda w, x: np.sum(w**2), x=1.0, w=np.ones(2))
    checks = problem.check(steps=3, lr=0.1)
    assert "nan" not in repr(checks) and checks.failed == []
    assert {row.allowed for row in checks if row.verdict == "noted"} == {None}


R = numbers((2, 3), 3)
KEPT = {
    "concatenate": lambda d: np.concatenate([d.X, np.ones((8, 1))], axis=1), "hstack": lambda d: np.hstack([np.ones((8, 1)), d.X]),
    "column_stack": lambda d: np.column_stack([d.c, np.ones(8)]), "stack": lambda d: np.stack([d.c, d.c**2, np.ones(8)], axis=-1),
    "pad": lambda d: np.pad(d.X, ((0, 0), (0, 1)), constant_values=1.0), "append": lambda d: np.append(d.X, np.ones((8, 1)), 1),
    "norm": lambda d: np.linalg.norm(d.X, axis=1), "logsumexp": lambda d: ht.logsumexp(d.X, axis=1), "softmax": lambda d: ht.softmax(d.X),
    "sum by a tuple": lambda d: d.X / np.sum(d.X**2, axis=(1,), keepdims=True), "median": lambda d: np.median(d.X, axis=1), "sort": lambda d: np.sort(d.X),
    "asarray": lambda d: np.asarray(d.X), "where": lambda d: np.where(d.c[:, None] > 0, d.X, 0.0), "product": lambda d: np.cos(d.X @ R), "dot": lambda d: d.X.dot(R),
    "einsum": lambda d: np.einsum("ij,jk->ik", d.X, R), "tensordot": lambda d: np.tensordot(d.X, R, axes=1), "outer": lambda d: np.outer(d.c, [1.0, 2.0]),
    "reshape": lambda d: d.c.reshape(-1, 1), "squeeze": lambda d: d.c[:, None].squeeze(), "ellipsis": lambda d: d.c[..., None], "slice": lambda d: d.X[0:8, 1:],
    "images": lambda d: np.reshape(d.images, (8, 6)), "mean of images": lambda d: np.mean(d.images, axis=(1, 2)),
    "interp": lambda d: np.interp(d.c, [-1.0, 1.0], [0.0, 1.0]), "one-hot": lambda d: (d.k[:, None] == np.arange(3)) * 1.0, "labels": lambda d: d.X[np.arange(8), d.k % 2],
}  # fmt: skip
LOST = {
    "an array of 3 axes": lambda d: d.images, "np.sort": lambda d: np.sort(d.X, axis=0), "np.flip": lambda d: np.flip(d.X), "np.cumsum": lambda d: np.cumsum(d.X, axis=0),
    "np.linalg.svd": lambda d: np.linalg.svd(d.X, full_matrices=False)[0], "an index": lambda d: d.X[::-1],
    "a conversion to a plain array": lambda d: np.asarray(d.X) * 2.0, "np.c_ or np.r_": lambda d: np.c_[d.X, np.ones(8)], "scipy.special.logsumexp": lambda d: special.logsumexp(d.X, axis=1),
}  # fmt: skip


def of_data(function):
    """A problem whose losses use only ``function`` of the data."""
    data = {"X": X, "c": C, "k": np.arange(8) % 3, "images": Plain.images}
    loss = lambda w, x, d: np.mean((function(d) * w - x) ** 2)  # noqa: E731
    return ht.Problem(loss, loss, 0.5, 0.3, train=data, valid=data)


@pytest.mark.parametrize("name", KEPT)
def test_functions_of_data_that_map_rows_to_rows_keep_its_samples(name):
    problem = of_data(KEPT[name])
    assert problem.describe().count("a sum over 8 samples") == 2
    given = ht.Problem(
        *[lambda w, x, d: np.mean((d.Z * w - x) ** 2)] * 2, 0.5, 0.3, train={"Z": (Z := KEPT[name](Plain()))}, valid={"Z": Z}
    )  # fmt: skip
    for batch in (None, 3):
        options = dict(steps=3, lr=0.1, batch=batch, seed=1)
        np.testing.assert_array_equal(problem.hypergradient(**options).gradient, given.hypergradient(**options).gradient)


class Plain:
    X, c, k, images = X, C, np.arange(8) % 3, numbers((8, 3, 2), 4)


@pytest.mark.parametrize("name", LOST)
def test_functions_of_data_that_lose_its_samples_are_named(name):
    problem = of_data(LOST[name])
    uses = {"np.c_ or np.r_": "use np.column_stack or np.concatenate", "scipy.special.logsumexp": "use ht.logsumexp", "an array of 3 axes": "reshape it to two before it meets variables"}
    told = rf"{re.escape(name)} in test_silent.py, line \d+ loses the samples: {uses.get(name, 'compute it before, and give the result as data')}"
    assert re.search(f"; inner loss: {told}; outer loss: {told}$", problem.describe())
    with pytest.raises(ht.InputError, match=f"^batch: the inner loss is not a sum or mean over samples, because {told}$"):
        problem.hypergradient(batch=4)
    assert np.isfinite(problem.hypergradient(steps=2).loss)


def test_samples_that_meet_samples_are_not_said_to_be_lost():
    loss = lambda w, x, d: np.mean((d.X @ w - np.sort(d.c) * x) ** 2)  # noqa: E731
    problem = ht.Problem(loss, loss, 0.5, np.ones(2), train={"X": X, "c": C}, valid={"X": X, "c": C})
    assert "loses" not in problem.describe()
