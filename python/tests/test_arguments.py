"""Each function that can be traced, with each further argument that NumPy knows: the result is NumPy's, or the argument is refused."""

import inspect

import numpy as np
import pytest

import hypertape as ht
from hypertape.trace import FUNCTIONS, REDUCTIONS, Trace, Traced
from reference import evaluate
from shapes import numbers

VALUES = {
    "axis": [0, 1, -1, None, (0, 1), (1, 0), 5, -4], "axis1": [1, 5], "axis2": [0, 2, 5], "axes": [(1, 0), 0, 1, ((0,), (0,))], "keepdims": [True], "offset": [1, -1], "k": [1, -1],
    "dtype": [int, np.int8, bool, np.float16, float], "initial": [7.0],
    "where": [np.eye(3, dtype=bool), True], "prepend": [0.5, np.ones((3, 1))], "append": [-2.0, np.ones((1, 3))], "n": [2, 0],
    "order": ["C", "F", "A", "K"], "copy": [True], "returned": [True], "weights": [np.arange(1.0, 4.0), np.ones((3, 3)) + np.eye(3)], "mean": [np.zeros((3, 3))],
    "ddof": [1], "correction": [1], "kind": ["stable"], "stable": [True], "method": ["lower", "nearest"], "overwrite_input": [True], "min": [-0.5],
    "max": [0.5], "a_min": [-0.5], "a_max": [0.5], "casting": ["unsafe"], "subok": [True], "ord": [1, 2, 0, 3, np.inf, -np.inf, -1, "fro", "nuc"], "optimize": [True],
    "upper": [True], "mode": ["same", "valid", "full", "wrap", "clip", "edge", "reflect", "symmetric", "mean", "maximum", "linear_ramp", "empty"], "reflect_type": ["odd", "even"],
    "constant_values": [1.0], "end_values": [2.0], "stat_length": [1], "sorted": [False], "q": [0.3], "v": [np.ones(2)], "repeats": [2], "device": ["cpu"], "shape": [(3,)],
}  # fmt: skip
"""Values to try for arguments by name."""

FURTHER = {np.pad: ["reflect_type", "constant_values", "end_values", "stat_length"], np.clip: ["dtype", "where", "casting"], np.einsum: ["dtype", "casting"]}
"""Arguments that are not in the signature."""

FIRST = {
    np.concatenate: lambda a: ([a, 2 * a],), np.stack: lambda a: ([a, 2 * a],), np.vstack: lambda a: ([a, 2 * a],), np.hstack: lambda a: ([a, 2 * a],),
    np.column_stack: lambda a: ([a, 2 * a],), np.block: lambda a: ([[a, 2 * a]],), np.expand_dims: lambda a: (a, 0), np.reshape: lambda a: (a, (a.size // 3, 3)),
    np.tile: lambda a: (a, 2), np.repeat: lambda a: (a, 2), np.roll: lambda a: (a, 1), np.take: lambda a: (a, [0, 2]), np.delete: lambda a: (a, 1),
    np.take_along_axis: lambda a: (a, np.zeros(a.shape, int), 0), np.resize: lambda a: (a, (2, 2)), np.split: lambda a: (a, 3), np.array_split: lambda a: (a, 2),
    np.hsplit: lambda a: (a, 3), np.vsplit: lambda a: (a, 3), np.pad: lambda a: (a, 1), np.full_like: lambda a: (a, 1.0), np.broadcast_to: lambda a: (a, (2, *a.shape)),
    np.extract: lambda a: (a > 0, a), np.compress: lambda a: ([True, False, True], a), np.where: lambda a: (a > 0, a, -a), np.quantile: lambda a: (a, 0.3),
    np.percentile: lambda a: (a, 30), np.swapaxes: lambda a: (a, 0, 1), np.moveaxis: lambda a: (a, 0, 1), np.dot: lambda a: (a, 2 * a), np.vdot: lambda a: (a, 2 * a),
    np.inner: lambda a: (a, 2 * a), np.outer: lambda a: (a, 2 * a), np.kron: lambda a: (a, 2 * a), np.tensordot: lambda a: (a, 2 * a), np.einsum: lambda a: ("ij,jk", a, a),
    np.linalg.solve: lambda a: (a, a + 1), np.linalg.cholesky: lambda a: (a @ a.T,), np.convolve: lambda a: (a, np.ones(2)), np.correlate: lambda a: (a, np.ones(2)),
    np.clip: lambda a: (a, -0.5, 0.5),
}  # fmt: skip
"""The arguments that a function needs, if it needs more than an array."""


def agrees_or_refuses(function, a, **more):
    """Whether NumPy accepts the call; if so, the traced call has the same result, or is refused."""
    first = FIRST.get(function, lambda a: (a,))
    try:
        expected = function(*first(a), **more)
    except (TypeError, ValueError, IndexError, np.linalg.LinAlgError, AttributeError) as error:
        if isinstance(error, np.exceptions.AxisError):
            with pytest.raises((ht.TraceError, np.exceptions.AxisError)):
                function(*first(Trace().variable("w", 0, a.shape)), **more)
        return False
    trace = Trace()
    try:
        traced = function(*first(trace.variable("w", 0, a.shape)), **more)
    except ht.TraceError as error:
        assert error.file == __file__ and "\n" not in str(error)
        return True
    several = isinstance(expected, (list, tuple))
    for found, wanted in zip(traced if several else [traced], expected if several else [expected], strict=True):
        found = trace.lift(found) if isinstance(found, Traced) else found
        assert np.shape(found) == np.shape(wanted)
        value = evaluate(trace, found, {("w", 0): a}) if isinstance(found, Traced) else found
        np.testing.assert_allclose(value, wanted, rtol=1e-12, atol=1e-12)
    return True


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda function: function.__name__)
def test_every_argument(function):
    try:
        names = [*inspect.signature(function).parameters, *FURTHER.get(function, [])]
    except ValueError:
        pytest.skip("this NumPy does not tell the arguments")
    accepted = 0
    for a in (numbers((3,), 1), numbers((3, 3), 2), numbers((3, 3, 3), 3)):
        if not agrees_or_refuses(function, a):
            continue
        accepted += 1
        if "out" in names:
            agrees_or_refuses(function, a, out=np.zeros(np.shape(function(*FIRST.get(function, lambda a: (a,))(a)))))
        for name in names:
            for value in VALUES.get(name, []):
                accepted += agrees_or_refuses(function, a, **{name: value})
                if name in ("axis", "mode"):
                    for other in set(names) & {"keepdims", "prepend", "append", "ord", "weights", "reflect_type"}:
                        for more in VALUES[other]:
                            accepted += agrees_or_refuses(function, a, **{name: value, other: more})
    assert accepted > 0


@pytest.mark.parametrize("name", REDUCTIONS)
def test_every_argument_of_a_reduction(name):
    of = getattr(np, name).reduce
    reduce = lambda a, **more: of(a > 0 if "logical" in name else a, **more)  # noqa: E731
    for axis in (0, 1, -1, None, (0, 1)):
        for more in (dict(), dict(keepdims=True), dict(keepdims=False), dict(where=True), dict(dtype=int), dict(initial=7.0), dict(where=np.eye(3, dtype=bool), initial=1)):
            assert agrees_or_refuses(reduce, numbers((3, 3), 1), axis=axis, **more) or more
