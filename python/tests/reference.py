"""The nodes of a trace, evaluated by NumPy one by one: what a graph is compared with."""

import math

import numpy as np

from hypertape.trace import Trace, Traced

UNARY = {
    "exp": np.exp, "exp2": np.exp2, "exp_m1": np.expm1, "ln": np.log, "log2": np.log2, "log10": np.log10, "ln_1p": np.log1p,
    "sqrt": np.sqrt, "cbrt": np.cbrt, "square": np.square, "recip": np.reciprocal, "sin": np.sin, "cos": np.cos, "tan": np.tan,
    "asin": np.arcsin, "acos": np.arccos, "atan": np.arctan, "sinh": np.sinh, "cosh": np.cosh, "tanh": np.tanh,
    "asinh": np.arcsinh, "acosh": np.arccosh, "atanh": np.arctanh, "floor": np.floor, "ceil": np.ceil, "trunc": np.trunc,
    "abs": np.abs, "signum": lambda x: np.copysign(1.0, x), "sign": np.sign, "relu": lambda x: np.maximum(x, 0),
    "sigmoid": lambda x: 1 / (1 + np.exp(-x)), "softplus": lambda x: np.logaddexp(x, 0), "detach": lambda x: x,
    "erf": np.vectorize(math.erf, otypes=[float]), "erfc": np.vectorize(math.erfc, otypes=[float]),
    "lgamma": np.vectorize(math.lgamma, otypes=[float]), "transpose": np.transpose,
}  # fmt: skip
NUMBER = {"scale": np.multiply, "shift": np.add, "over": np.divide, "power": np.power}
BINARY = {
    "add": np.add, "sub": np.subtract, "mul": np.multiply, "div": np.divide, "max": np.maximum, "min": np.minimum,
    "at_least": lambda a, b: (a >= b) * 1.0, "dot": lambda a, b: np.sum(a * b).reshape(1, 1),
    "xlogy": lambda x, y: np.where(x == 0, 0.0, x * np.log(np.where(x == 0, 1.0, y))),
    "solve": np.linalg.solve,
}  # fmt: skip


def evaluate(trace: Trace, result: Traced, inputs: dict[tuple[str, int], np.ndarray]) -> np.ndarray:
    """The value of a proxy, in its NumPy shape."""
    values: list[np.ndarray] = []
    last = result.node
    for node in trace.nodes[: last + 1]:
        value = _value(trace, node, [values[k] for k in node.args], inputs)
        assert value.shape == node.shape, (node, value.shape)
        values.append(value)
    return values[last].reshape(result.shape)


def _value(trace, node, a, inputs):
    op, s = node.op, node.settings
    if op == "input":
        return inputs[s["group"], s["position"]].reshape(node.shape)
    if op == "known":
        return np.asarray(trace.held[s["held"]], dtype=float).reshape(node.shape)
    if op in UNARY:
        return UNARY[op](a[0])
    if op in NUMBER:
        return NUMBER[op](a[0], s["number"])
    if op in BINARY:
        return BINARY[op](*a)
    if op == "select":
        return np.broadcast_to(np.where(a[0] != 0, a[1], a[2]), node.shape)
    if op == "matmul":
        left, right = (m.T if turned else m for m, turned in zip(a, s["transposed"]))
        return left @ right
    if op == "sum_to":
        axes = tuple(k for k in (0, 1) if node.shape[k] != a[0].shape[k])
        return np.sum(a[0], axis=axes, keepdims=True)
    if op == "reshape":
        return a[0].reshape(node.shape)
    if op == "slice":
        return a[0].ravel()[s["start"] :][: math.prod(node.shape)].reshape(node.shape)
    if op == "gather_rows":
        return a[0][s["indices"] if "indices" in s else trace.held[s["labels"]]]
    if op == "pick":
        return a[0][np.arange(node.shape[0]), trace.held[s["labels"]]][:, None]
    if op == "stack":
        return np.concatenate([part.ravel() for part in a])[:, None]
    if op == "norm":
        return np.sqrt(np.sum(a[0] ** 2)).reshape(1, 1)
    if op == "logsumexp":
        return np.logaddexp.reduce(a[0], axis=1, keepdims=True)
    if op == "softmax":
        return np.exp(a[0] - np.logaddexp.reduce(a[0], axis=1, keepdims=True))
    raise AssertionError(op)
