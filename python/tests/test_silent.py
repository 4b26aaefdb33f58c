"""What was taken silently: masks, data whose samples were lost, variables that no loss uses, batches larger than the data."""

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
