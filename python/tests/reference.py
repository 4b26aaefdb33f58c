"""Evaluates the nodes of a trace one by one with NumPy, or with JAX, which also differentiates them, for comparison with graphs."""

import math
from types import SimpleNamespace

import numpy

from hypertape.trace import Trace, Traced


def _entries(function):
    return numpy.vectorize(function, otypes=[float])


def _polygamma(n, x):
    """By the recurrence, up to where the asymptotic series has 14 digits (Abramowitz and Stegun, 6.3.5, 6.3.18, 6.4.6, 6.4.11)."""
    below = range(max(0, 30 - int(x)))
    if n == 0:
        y = x + len(below)
        series = math.log(y) - 1 / (2 * y) - 1 / (12 * y**2) + 1 / (120 * y**4) - 1 / (252 * y**6)
        return series - sum(1 / (x + k) for k in below)
    y = x + len(below)
    return 1 / y + 1 / (2 * y**2) + 1 / (6 * y**3) - 1 / (30 * y**5) + 1 / (42 * y**7) + sum(1 / (x + k) ** 2 for k in below)


BY_NUMPY = SimpleNamespace(
    np=numpy, erf=_entries(math.erf), erfc=_entries(math.erfc), ln_gamma=_entries(math.lgamma), polygamma=lambda n, x: numpy.vectorize(_polygamma, otypes=[float])(int(n), x),
    sigmoid=lambda x: 1 / (1 + numpy.exp(-x)), detach=lambda x: x, triangular=lambda a, b, lower: numpy.linalg.solve(numpy.tril(a) if lower else numpy.triu(a), b),
)  # fmt: skip


def by_jax():
    """The same with JAX, in double precision."""
    import jax
    from jax.scipy import special

    jax.config.update("jax_enable_x64", True)
    return SimpleNamespace(
        np=jax.numpy, erf=special.erf, erfc=special.erfc, ln_gamma=special.gammaln, polygamma=special.polygamma, sigmoid=jax.nn.sigmoid,
        detach=jax.lax.stop_gradient, triangular=lambda a, b, lower: jax.scipy.linalg.solve_triangular(a, b, lower=lower),
    )  # fmt: skip


UNARY = {
    "exp": "exp", "exp2": "exp2", "exp_m1": "expm1", "ln": "log", "log2": "log2", "log10": "log10", "ln_1p": "log1p", "sqrt": "sqrt",
    "cbrt": "cbrt", "square": "square", "recip": "reciprocal", "sin": "sin", "cos": "cos", "tan": "tan", "asin": "arcsin",
    "acos": "arccos", "atan": "arctan", "sinh": "sinh", "cosh": "cosh", "tanh": "tanh", "asinh": "arcsinh", "acosh": "arccosh",
    "atanh": "arctanh", "floor": "floor", "ceil": "ceil", "trunc": "trunc", "abs": "abs", "sign": "sign", "transpose": "transpose",
}  # fmt: skip
NUMBER = {"scale": "multiply", "shift": "add", "over": "divide", "power": "power"}
BINARY = {
    "add": "add", "sub": "subtract", "mul": "multiply", "div": "divide", "max": "maximum", "min": "minimum", "hypot": "hypot",
    "atan2": "arctan2", "power_of": "power",
}  # fmt: skip


def evaluate(trace: Trace, result: Traced, inputs: dict, by=BY_NUMPY):
    """The value of a proxy, in its NumPy shape."""
    values, last = [], result.node
    for node in trace.nodes[: last + 1]:
        value = _value(trace, node, [values[k] for k in node.args], inputs, by)
        assert value.shape == node.shape, (node, value.shape)
        values.append(value)
    return values[last].reshape(result.shape)


def _convolved(np, columns, kernel, height, width, size, stride):
    """Adds one product for each position in the kernel, which gathers its pixels; outside are zeros."""
    channels, sides = columns.shape[1], (-(-height // stride), -(-width // stride))
    images = columns.reshape(-1, height, width, channels)
    beyond = [max((count - 1) * stride + size - side, 0) for count, side in zip(sides, (height, width))]
    padded = np.pad(images, [(0, 0), *((b // 2, b - b // 2) for b in beyond), (0, 0)])
    weights, total = kernel.reshape(size, size, channels, -1), 0.0
    for i in range(size):
        for j in range(size):
            seen = padded[:, i : i + (sides[0] - 1) * stride + 1 : stride, j : j + (sides[1] - 1) * stride + 1 : stride]
            total = total + seen @ weights[i, j]
    return total


def _value(trace, node, a, inputs, by):
    op, s, np = node.op, node.settings, by.np
    if op == "input":
        return inputs[s["group"], s["position"]].reshape(node.shape)
    if op == "known":
        return np.asarray(numpy.asarray(trace.held[s["held"]], dtype=float).reshape(node.shape))
    if op in UNARY:
        return getattr(np, UNARY[op])(a[0])
    if op in NUMBER:
        return getattr(np, NUMBER[op])(a[0], s["number"])
    if op in BINARY:
        return getattr(np, BINARY[op])(*a)
    if op in ("digamma", "polygamma"):
        return by.polygamma(int(s.get("number", 0)), a[0])
    if op in ("erf", "erfc", "ln_gamma", "sigmoid", "detach"):
        return getattr(by, op)(a[0])
    if op == "signum":
        return np.copysign(1.0, a[0])
    if op == "relu":
        return np.where(a[0] > 0, a[0], 0.0)
    if op == "softplus":
        return np.logaddexp(a[0], 0.0)
    if op in ("less", "at_most", "equal"):
        return getattr(np, {"less": "less", "at_most": "less_equal", "equal": "equal"}[op])(*a) * 1.0
    if op == "dot":
        return np.sum(a[0] * a[1]).reshape(1, 1)
    if op == "row_dot":
        return np.sum(a[0] * a[1], axis=1, keepdims=True)
    if op == "xlogy":
        return np.where(a[0] == 0, 0.0, a[0] * np.log(np.where(a[0] == 0, 1.0, a[1])))
    if op == "select":
        return np.broadcast_to(np.where(a[0] != 0, a[1], a[2]), node.shape)
    if op == "matmul":
        left, right = (m.T if turned else m for m, turned in zip(a, s["transposed"]))
        return left @ right
    if op == "sum_to":
        axes = tuple(k for k in (0, 1) if node.shape[k] != a[0].shape[k])
        return np.sum(a[0], axis=axes, keepdims=True)
    if op == "broadcast":
        return np.broadcast_to(a[0], node.shape)
    if op == "reshape":
        return a[0].reshape(node.shape)
    if op == "slice":
        return a[0].ravel()[s["start"] :][: math.prod(node.shape)].reshape(node.shape)
    if op == "gather_rows":
        return a[0][s["indices"] if "indices" in s else trace.held[s["labels"]]]
    if op == "pick":
        return a[0][numpy.arange(node.shape[0]), trace.held[s["labels"]]][:, None]
    if op == "joined":
        return np.concatenate(a, axis=int(s["across"]))
    if op == "block":
        return a[0][s["row"] :, s["column"] :][: node.shape[0], : node.shape[1]]
    if op == "entries":
        return a[0].ravel()[s["places"]].reshape(node.shape)
    if op == "scatter_entries":
        where = numpy.zeros((math.prod(node.shape), len(s["places"])))
        where[s["places"], numpy.arange(len(s["places"]))] = 1.0
        return (where @ a[0].ravel()).reshape(node.shape)
    if op == "cumulative_sum":
        return np.cumsum(a[0], axis=int(s["across"]))
    if op == "sorted":
        return np.sort(a[0], axis=int(s["axis"] == "columns"))
    if op in ("max_over", "min_over"):
        return getattr(np, op[:3])(a[0], axis=int(s["axis"] == "columns"), keepdims=True)
    if op == "batched_matmul":
        left, right = (m.reshape(s["count"], -1, m.shape[1]) for m in a)
        return (left @ right).reshape(node.shape)
    if op == "solve":
        return np.linalg.solve(*a) if s["method"] == "lu" else by.triangular(*a, s["method"] == "lower")
    if op in ("det_sign", "log_det"):
        return np.linalg.slogdet(a[0])[int(op == "log_det")].reshape(1, 1)
    if op == "cholesky":
        return np.linalg.cholesky(a[0])
    if op == "convolve":
        return _convolved(np, *a, **s).reshape(node.shape)
    if op == "norm":
        return np.sqrt(np.sum(a[0] ** 2)).reshape(1, 1)
    if op in ("logsumexp", "softmax"):
        most = by.detach(np.max(a[0], axis=1, keepdims=True))
        total = np.log(np.sum(np.exp(a[0] - most), axis=1, keepdims=True)) + most
        return total if op == "logsumexp" else np.exp(a[0] - total)
    raise AssertionError(op)
