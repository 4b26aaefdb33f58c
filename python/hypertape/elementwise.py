"""Functions of entries: operators, ufuncs, comparisons and choices between cases."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from .refusals import refuse
from .shaping import gather, places, reshape
from .trace import UFUNCS, Shape, Trace, Traced, implements, two


def unary(a: Traced, op: str, **settings: Any) -> Traced:
    """A function of each entry of ``a``."""
    return Traced(a.owner, a.shape, a.owner.node(op, (a.node,), two(a.shape), **settings))


def number(a: Traced) -> float | None:
    """The value of a proxy that is a single known number, the same for all samples; otherwise ``None``."""
    return float(a.value) if a.value is not None and a.shape == () and not np.isnan(a.value) else None


def thin(*operands: Traced) -> tuple[Traced, ...]:
    """Replaces broadcast operands by what they were before, if the other operands give the result its shape."""
    try:
        shape = np.broadcast_shapes(*(a.shape for a in operands))
    except ValueError:
        return operands
    found = list(operands)
    for k, a in enumerate(operands):
        if a.spread is not None:
            rest = [b.shape for b in found[:k] + found[k + 1 :]] + [a.spread.shape]
            found[k] = a.spread if np.broadcast_shapes(*rest) == shape else a
    return tuple(found)


def joint(*operands: Traced) -> tuple[list[int], Shape]:
    """The nodes of operands that broadcast to one shape by NumPy's rules, and that shape."""
    try:
        shape = np.broadcast_shapes(*(a.shape for a in operands))
    except ValueError:
        shapes = " and ".join(str(a.shape) for a in operands)
        raise refuse("an operation on entries", f"shapes {shapes} do not broadcast") from None
    return [fitted(a, shape) for a in operands], shape


def fitted(a: Traced, shape: Shape) -> int:
    """The node of an operand, reshaped so that its rows and columns broadcast to those of ``shape``."""
    if len(shape) < 2 or not a.shape:
        return a.node
    own = (1,) * (len(shape) - a.ndim) + a.shape
    if math.prod(own[:-1]) > 1 and own[:-1] != shape[:-1]:
        return gather(a, np.broadcast_to(places(a).reshape(own), shape[:-1] + own[-1:])).node
    return reshape(a, own).node


def binary(a: Traced, b: Traced, op: str) -> Traced:
    """A function of each pair of entries, with broadcasting."""
    (i, j), shape = joint(*thin(a, b))
    return Traced(a.owner, shape, a.owner.node(op, (i, j), two(shape)))


def add(a: Traced, b: Traced) -> Traced:
    a, b = thin(a, b)
    if (c := number(a)) is not None:
        return shift(b, c)
    if (c := number(b)) is not None:
        return shift(a, c)
    found = unshifted(a, b)
    return binary(a, b, "add") if found is None else found


def shift(a: Traced, c: float) -> Traced:
    return a if c == 0.0 else unary(a, "shift", number=c)


def unshifted(a: Traced, b: Traced) -> Traced | None:
    """Recognises ``ln sum_j exp(x_ij - c_i) + c_i``, which is ``ln sum_j exp(x_ij)``, and drops the shift ``c``."""
    nodes, args = a.owner.nodes, lambda k, *ops: nodes[k].args if nodes[k].op in ops else None
    for inner, c in ((a, b), (b, a)):
        if inner.shape == c.shape and inner.value is None and (of := args(inner.node, "logsumexp")):
            if (gap := args(of[0], "sub")) and gap[1] == c.node:
                return Traced(a.owner, a.shape, a.owner.node("logsumexp", gap[:1], two(a.shape)))
    return None


def ln(a: Traced) -> Traced:
    """The logarithm; that of a sum of exponentials over rows becomes a ``logsumexp``, which does not overflow."""
    nodes, k = a.owner.nodes, a.node
    k = nodes[k].args[0] if nodes[k].op == "abs" else k  # JAX takes the absolute value first.
    rows, cols = nodes[k].shape
    if nodes[k].op == "sum_to" and cols == 1:
        of = nodes[nodes[k].args[0]]
        if of.op == "exp" and of.shape[0] == rows:
            return Traced(a.owner, a.shape, a.owner.node("logsumexp", of.args, (rows, 1)))
    return unary(a, "ln")


def subtract(a: Traced, b: Traced) -> Traced:
    a, b = thin(a, b)
    return shift(a, -c) if (c := number(b)) is not None else binary(a, b, "sub")


def multiply(a: Traced, b: Traced) -> Traced:
    a, b = thin(a, b)
    if (c := number(a)) is not None:
        return scale(b, c)
    return scale(a, c) if (c := number(b)) is not None else binary(a, b, "mul")


def divide(a: Traced, b: Traced) -> Traced:
    a, b = thin(a, b)
    if number(a) == 1.0:
        return unary(b, "recip")
    return unary(a, "over", number=c) if (c := number(b)) is not None else binary(a, b, "div")


def scale(a: Traced, c: float) -> Traced:
    return unary(a, "scale", number=c)


def power(a: Traced, b: Traced) -> Traced:
    a, b = thin(a, b)
    p = number(b)
    if p is None:
        base = number(a)
        return unary(scale(b, math.log(base)), "exp") if base and base > 0 else binary(a, b, "power_of")
    if p == 0.0:
        return constant(a.owner, np.ones(a.shape))
    named = {1.0: lambda: a, 2.0: lambda: unary(a, "square"), 0.5: lambda: unary(a, "sqrt"), -1.0: lambda: unary(a, "recip")}
    return named[p]() if p in named else unary(a, "power", number=p)


def constant(trace: Trace, value: Any) -> Traced:
    array = np.asarray(value)
    return Traced(trace, array.shape, value=array)


def truth(a: Traced) -> Traced:
    """``a`` as zeros and ones: 1 where an entry is not zero."""
    if a.truth:
        return a
    if a.value is not None:
        return Traced(a.owner, a.shape, value=(a.value != 0).astype(np.float64), rows=a.rows, truth=True)
    return unequal(a, constant(a.owner, 0.0))


def _flag(a: Traced, negate: bool) -> Traced:
    found = add(scale(a, -1.0), constant(a.owner, 1.0)) if negate else a
    found.truth = True
    return found


def less(a: Traced, b: Traced) -> Traced:
    return _flag(binary(a, b, "less"), negate=False)


def at_most(a: Traced, b: Traced) -> Traced:
    return _flag(binary(a, b, "at_most"), negate=False)


def opposite(a: Traced) -> Traced:
    return _flag(truth(a), negate=True)


def both(a: Traced, b: Traced) -> Traced:
    return _flag(multiply(truth(a), truth(b)), negate=False)


def either(a: Traced, b: Traced) -> Traced:
    return _flag(binary(truth(a), truth(b), "max"), negate=False)


def equal(a: Traced, b: Traced) -> Traced:
    return _flag(binary(a, b, "equal"), negate=False)


def unequal(a: Traced, b: Traced) -> Traced:
    return opposite(equal(a, b))


def select(condition: Traced, a: Traced, b: Traced) -> Traced:
    """``a`` where the condition holds, ``b`` elsewhere; the case that is not chosen has no influence, even if it is infinite."""
    (i, j, k), shape = joint(*thin(truth(condition), a, b))
    return Traced(a.owner, shape, a.owner.node("select", (i, j, k), two(shape)))


@implements(np.where)
def where(trace: Trace, condition: Any, *cases: Any) -> Traced:
    if len(cases) != 2:
        raise refuse("np.where with one argument", "how many entries it finds is not known: give both cases")
    return select(trace.lift(condition), trace.lift(cases[0]), trace.lift(cases[1]))


@implements(np.clip)
def clip(
    trace: Trace, a: Any, a_min: Any = None, a_max: Any = None, out: None = None, *, min: Any = None, max: Any = None, dtype: Any = None
) -> Traced:  # fmt: skip
    least, most = (a_min if min is None else min), (a_max if max is None else max)
    found = trace.lift(a)
    found = found if least is None else binary(found, trace.lift(least), "max")
    return found if most is None else binary(found, trace.lift(most), "min")


def logaddexp(a: Traced, b: Traced) -> Traced:
    return add(a, unary(subtract(b, a), "softplus"))


def floor_divide(a: Traced, b: Traced) -> Traced:
    return unary(divide(a, b), "floor")


def remainder(a: Traced, b: Traced) -> Traced:
    return subtract(a, multiply(floor_divide(a, b), b))


def fmod(a: Traced, b: Traced) -> Traced:
    return subtract(a, multiply(unary(divide(a, b), "trunc"), b))


def copysign(a: Traced, b: Traced) -> Traced:
    return multiply(unary(a, "abs"), unary(b, "signum"))


def sign(a: Traced) -> Traced:
    return unary(a, "sign")


def xlogy(x: Traced, y: Traced) -> Traced:
    return binary(x, y, "xlogy")


def log_expit(a: Traced) -> Traced:
    return scale(unary(scale(a, -1.0), "softplus"), -1.0)


def _named(op: str) -> Callable[[Traced], Traced]:
    return lambda a: unary(a, op)


def _swapped(f: Callable) -> Callable:
    return lambda a, b: f(b, a)


for _names, _op in {
    "absolute fabs": "abs", "exp": "exp", "exp2": "exp2", "expm1": "exp_m1", "log2": "log2", "log10": "log10",
    "log1p": "ln_1p", "sqrt": "sqrt", "cbrt": "cbrt", "square": "square", "reciprocal": "recip", "sin": "sin", "cos": "cos",
    "tan": "tan", "arcsin": "asin", "arccos": "acos", "arctan": "atan", "sinh": "sinh", "cosh": "cosh", "tanh": "tanh",
    "arcsinh": "asinh", "arccosh": "acosh", "arctanh": "atanh", "floor": "floor", "ceil": "ceil", "trunc": "trunc",
    "expit": "sigmoid", "erf": "erf", "erfc": "erfc", "gammaln loggamma": "ln_gamma", "psi digamma": "digamma",
}.items():  # fmt: skip
    UFUNCS.update(dict.fromkeys(_names.split(), _named(_op)))

_PAIRS: dict[str, Callable] = {
    "add": add, "subtract": subtract, "multiply": multiply, "divide": divide, "true_divide": divide, "power": power,
    "float_power": power, "maximum": lambda a, b: binary(a, b, "max"), "minimum": lambda a, b: binary(a, b, "min"),
    "fmax": lambda a, b: binary(a, b, "max"), "fmin": lambda a, b: binary(a, b, "min"), "greater_equal": _swapped(at_most),
    "less_equal": at_most, "less": less, "greater": _swapped(less), "equal": equal, "not_equal": unequal, "logical_and": both,
    "logical_or": either, "logical_xor": unequal, "logical_not": opposite, "bitwise_and": both, "bitwise_or": either,
    "bitwise_xor": unequal, "invert": opposite, "bitwise_invert": opposite, "negative": lambda a: scale(a, -1.0),
    "positive": lambda a: a, "conjugate": lambda a: a, "sign": sign, "log": ln, "hypot": lambda a, b: binary(a, b, "hypot"),
    "arctan2": lambda a, b: binary(a, b, "atan2"),
    "logaddexp": logaddexp, "logaddexp2": lambda a, b: scale(logaddexp(scale(a, math.log(2)), scale(b, math.log(2))), 1 / math.log(2)),
    "floor_divide": floor_divide, "remainder": remainder, "mod": remainder, "fmod": fmod, "copysign": copysign,
    "heaviside": lambda a, b: select(equal(a, constant(a.owner, 0.0)), b, less(constant(a.owner, 0.0), a)),
    "isnan": lambda a: opposite(equal(a, a)), "isfinite": lambda a: equal(scale(a, 0.0), constant(a.owner, 0.0)),
    "degrees": lambda a: scale(a, 180 / math.pi), "rad2deg": lambda a: scale(a, 180 / math.pi),
    "radians": lambda a: scale(a, math.pi / 180), "deg2rad": lambda a: scale(a, math.pi / 180),
    "xlogy": xlogy, "xlog1py": lambda x, y: xlogy(x, add(y, constant(y.owner, 1.0))), "entr": lambda a: scale(xlogy(a, a), -1.0),
    "betaln": lambda a, b: subtract(add(unary(a, "ln_gamma"), unary(b, "ln_gamma")), unary(add(a, b), "ln_gamma")),
    "rel_entr": lambda a, b: subtract(xlogy(a, a), xlogy(a, b)), "log_expit": log_expit,
    "logit": lambda a: subtract(unary(a, "ln"), unary(scale(a, -1.0), "ln_1p")), "exp10": lambda a: unary(scale(a, math.log(10)), "exp"),
}  # fmt: skip
UFUNCS.update(_PAIRS)
