"""Traces, evaluated node by node with NumPy, give the same results as NumPy."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

import hypertape as ht
from hypertape.trace import Trace
from reference import evaluate
from shapes import CASES, numbers


def agrees(function, *arrays):
    """Compares the traced function with the function itself. Sums are in a different order: a few roundings of numbers below 1e3."""
    trace = Trace()
    proxies = [trace.variable("w", k, a.shape) for k, a in enumerate(arrays)]
    traced, expected = function(*proxies), np.asarray(function(*arrays))
    traced = trace.lift(traced)
    assert traced.shape == expected.shape
    found = evaluate(trace, traced, {("w", k): a for k, a in enumerate(arrays)})
    np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", CASES)
@settings(max_examples=8, deadline=None)
@given(data=st.data())
def test_every_function(name, data):
    function, arrays = data.draw(CASES[name])
    agrees(function, *arrays)


def test_scipys_functions_of_entries():
    special = pytest.importorskip("scipy.special")
    a, b = numbers((4, 3), 5), np.abs(numbers((3,), 6)) + 0.1
    for function in (special.expit, special.erf, special.erfc, special.log_expit, special.exp10):
        agrees(function, a)
    for function in (special.xlogy, special.xlog1py):
        agrees(function, a, b)
    agrees(special.betaln, b, b[:1])
    agrees(special.gammaln, a)
    for function in (special.entr, lambda a: special.logit(a / 9)):
        agrees(function, b)
    agrees(special.xlogy, np.array([0.0, 2.0]), np.array([0.0, 3.0]))


def test_orders_of_entries():
    """Columns first, as NumPy has it for the method and the function; the order in memory is refused."""
    a, b = numbers((2, 3), 1), numbers((2, 3, 2), 2)
    for function in (
        lambda a: a.reshape(6, order="F"), lambda a: np.reshape(a, (3, 2), order="F"), lambda a: a.T.reshape((2, 3), order="F"),
        lambda a: np.reshape(a, (3, -1), "F"), lambda a: a.ravel("F"), lambda a: a.flatten(order="F"), lambda a: np.ravel(a.T, "f"),
        lambda a: a.reshape(-1, 1, order="C"), lambda a: a.ravel()[:3].ravel("K"),
    ):  # fmt: skip
        agrees(function, a)
    agrees(lambda b: b.reshape(4, 3, order="F"), b)
    agrees(lambda b: np.ravel(np.transpose(b, (1, 0, 2)), "F"), b)


REFUSED = {
    "order A": (lambda w: w[:, None].T.reshape(3, order="A"), "order='C' or order='F'"),
    "order K": (lambda w: np.outer(w, w).T.ravel("K"), "np.ravel in the order of memory"),
    "order of flatten": (lambda w: np.outer(w, w).T.flatten("A"), "np.ravel in the order of memory"),
    "if w": (lambda w: w if w[0] > 0 else -w, "np.where"),
    "float": (lambda w: float(w[0]), "float(...)"),
    "int": (lambda w: int(w[0]), "int(...)"),
    "range": (lambda w: range(w[0]), "an index"),
    "write": (lambda w: w.__setitem__(0, 1.0), "arrays are not written to"),
    "add in place": (lambda w: w.__iadd__(1.0), "write a = a + b"),
    "out": (lambda w: np.exp(w, out=np.zeros(3)), "np.exp with out="),
    "argmax": (lambda w: w.argmax(), "np.where(a == np.max(a), b, 0)"),
    "argmin": (lambda w: np.argmin(w, axis=0), "np.argmin in"),
    "argsort": (lambda w: w[np.argsort(w)], "np.sort(a) has the entries in order"),
    "a method": (lambda w: w.tolist(), ".tolist"),
    "a function": (lambda w: np.linalg.svd(w[None]), "np.linalg.svd"),
    "a function with another": (lambda w: np.append(w, 1.0), "np.append in test_trace.py, line"),
    "a method with another": (lambda w: w.cumprod(), "use np.exp(np.cumsum(np.log(a))) for positive a"),
    "an accumulation": (lambda w: np.add.accumulate(w), "np.add.accumulate in"),
    "places that vary": (lambda w: np.take_along_axis(np.ones((3, 1)), w[:, None], 1), "take integers from the data"),
    "a ufunc": (lambda w: np.spacing(w), "np.spacing"),
    "shapes": (lambda w: w + np.ones(4), "do not broadcast"),
    "product": (lambda w: w @ np.ones(4), "do not fit"),
    "index": (lambda w: w[7], "out of bounds"),
    "an index that varies": (lambda w: np.arange(9)[w[0]], "a plain array"),
    "a mask that varies": (lambda w: w[w > 0], "np.where chooses"),
    "where with one argument": (lambda w: np.where(w > 0), "give both cases"),
    "strings": (lambda w: w + np.array(["a"]), "dtype"),
    "complex": (lambda w: w * 1j, "dtype complex128"),
    "a plain array": (lambda w: np.asarray(w), "plain array"),
    "empty": (lambda w: w[:0], "at least one number"),
    "solve": (lambda w: np.linalg.solve(np.eye(4), w), "do not fit"),
    "inv": (lambda w: np.linalg.inv(w[:, None]), "expected a square matrix"),
    "quantiles": (lambda w: np.quantile(w, [0.1, 0.9]), "expected one share"),
    "where of a mean": (lambda w: np.mean(w, where=w > 0), "np.mean with where="),
    "returned": (lambda w: np.average(w, returned=True), "np.average with returned="),
    "dtype of a trace": (lambda w: np.trace(w[:, None], dtype=int), "np.trace with dtype=int"),
    "dtype by its place": (lambda w: np.sum(w, None, int), "np.sum with dtype=int"),
    "dtype of a ufunc": (lambda w: np.add(w, w, dtype=int), "np.add with dtype=int"),
    "dtype of a reduction": (lambda w: np.add.reduce(w, dtype=int), "np.add.reduce with dtype=int"),
    "dtype of an outer": (lambda w: np.multiply.outer(w, w, dtype=int), "np.multiply with dtype=int"),
    "out by its place": (lambda w: np.clip(w, 0, 1, np.zeros(3)), "np.clip with out="),
    "initial by its place": (lambda w: np.sum(w, None, None, None, False, 7.0), "too many positional"),
    "pads by values": (lambda w: np.pad(w, 1, "mean"), "mode 'mean'"),
    "where=": (lambda w: np.sum(w, where=[True, False, True]), "where="),
}


INSTEAD = {
    1: "np.fix np.isinf np.signbit np.sinc np.nan_to_num np.nansum np.nanmax np.nanmin np.nanmean np.linalg.pinv special.gamma special.rgamma special.ndtr special.exprel",
    2: "np.isclose np.array_equal np.linalg.vecdot special.beta special.kl_div special.boxcox special.boxcox1p special.huber special.pseudo_huber",
}  # fmt: skip
"""Functions that cannot be traced, by their numbers of arrays."""


@pytest.mark.parametrize(("count", "name"), [(count, name) for count, names in INSTEAD.items() for name in names.split()])
def test_what_is_named_in_place_of_a_function_is_that_function(count, name):
    scipy = pytest.importorskip("scipy")
    special, known = scipy.special, {"np": np, "ht": ht, "scipy": scipy, "tolerance": 1e-8}
    try:
        function = eval(name)
    except AttributeError:
        pytest.skip("this NumPy does not have it")
    arrays = np.abs(numbers((2, 5, 2), 1))[:count] + 0.1
    with pytest.raises(ht.TraceError, match="it cannot be traced: use ") as caught:
        function(*(Trace().variable("w", 0, a.shape) for a in arrays))
    use = str(caught.value).partition(": use ")[2].partition(" for ")[0]
    np.testing.assert_allclose(eval(use, known | dict(zip("ab", arrays))), function(*arrays), rtol=1e-12, atol=1e-13)


def test_functions_of_scipy_that_convert_are_named_with_their_counterparts():
    special = pytest.importorskip("scipy.special")
    for function in (special.logsumexp, special.softmax, special.log_softmax, lambda w: special.polygamma(1, w)):
        with pytest.raises(ht.TraceError, match=r"^scipy.special.(\w+) in test_trace.py, line \d+: it cannot be traced: use ht.\1$"):
            function(Trace().variable("w", 0, (3,)))
    with pytest.raises(ht.TraceError, match=r"^np.c_ or np.r_ in test_trace.py, line \d+: it cannot be traced: use np.column_stack or np.concatenate$"):
        np.c_[Trace().variable("w", 0, (3,)), np.ones(3)]


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_traced_says_so_in_one_line(name):
    function, expected = REFUSED[name]
    with pytest.raises(ht.TraceError) as caught:
        function(Trace().variable("w", 0, (3,)))
    error = caught.value
    assert expected in str(error) and "\n" not in str(error)
    assert error.file == __file__ and f"in test_trace.py, line {error.line}: " in str(error)
    assert f'"{name}": ' in Path(__file__).read_text().splitlines()[error.line - 1]


def test_what_does_not_depend_on_variables_is_computed_by_numpy():
    trace = Trace()
    w = trace.variable("w", 0, (3,))
    X = trace.lift(np.arange(12.0).reshape(4, 3))
    X.rows = True
    scaled = np.where(X / X.max() > 0.5, X, 0.0)
    labels = (X[:, 0] % 2).astype(int)
    assert scaled.rows and labels.rows and labels.dtype == int
    assert np.sum(X, axis=1).rows and not np.sum(X, axis=0).rows and not (X - X.mean(axis=0)).T.rows
    assert np.sort(X, axis=0).value.shape == (4, 3)  # Whatever NumPy knows.
    agreed = evaluate(trace, scaled @ w, {("w", 0): np.ones(3)})
    np.testing.assert_allclose(agreed, scaled.value @ np.ones(3))
    assert [node.op for node in trace.nodes] == ["input", "known", "matmul"]


def test_sums_of_products_are_one_operation():
    trace = Trace()
    v, w = (trace.variable("w", k, (4,)) for k in range(2))
    for form in (v * w**2, v * w * w, w * v * w, w * (v * w)):
        np.sum(form)
        # The trace is the same for every order of the factors.
        assert [node.op for node in trace.nodes if node.op != "mul"] == ["input", "input", "square", "dot"]


def test_transposes_are_not_written_down_where_a_product_takes_them():
    trace = Trace()
    w = trace.variable("w", 0, (4,))
    X = trace.lift(np.ones((4, 3)))
    X.rows = True
    assert (X.T @ w).shape == (3,)
    assert [node.op for node in trace.nodes] == ["input", "known", "matmul"]
    assert trace.nodes[-1].settings == {"transposed": (True, False)} and trace.nodes[1].shape == (4, 3)
