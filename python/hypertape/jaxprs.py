"""Losses written with JAX: their jaxpr is evaluated with NumPy's functions, and the proxies of a trace record those."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from .errors import TraceError
from .functions import digamma, erf, gammaln, polygamma, relu, sigmoid, softplus, stop_gradient
from .products import contracted, solve
from .trace import UFUNCS, Traced

HANDLERS: dict[str, Callable] = {}
"""The implementation of each primitive, called with the parameters and then the operands."""

OWN: dict[str, Callable] = {
    "softplus": softplus, "logaddexp": np.logaddexp, "solve": np.linalg.solve, "inv": np.linalg.inv, "det": np.linalg.det,
    "slogdet": np.linalg.slogdet, "relu": relu, "xlogy": lambda x, y: UFUNCS["xlogy"](*_lifted("xlogy", x, y)),
    "xlog1py": lambda x, y: UFUNCS["xlog1py"](*_lifted("xlog1py", x, y)),
}  # fmt: skip
"""Functions of JAX that are replaced as a whole, by name."""


def called(function: Callable, *arguments: Any) -> Any:
    """Calls ``function`` with proxies, by evaluating its jaxpr."""
    import jax

    leaves, tree = jax.tree_util.tree_flatten(arguments)
    like = [jax.ShapeDtypeStruct(leaf.shape, leaf.dtype) for leaf in leaves]
    with jax.enable_x64(True):
        made = jax.make_jaxpr(lambda *flat: function(*jax.tree_util.tree_unflatten(tree, flat)), return_shape=True)
        closed, shaped = made(*like)
    return jax.tree_util.tree_unflatten(jax.tree_util.tree_structure(shaped), evaluate(closed.jaxpr, closed.consts, leaves))


def evaluate(jaxpr: Any, constants: Any, arguments: list[Any]) -> list[Any]:
    """Evaluates a jaxpr, equation by equation, and returns its results."""
    known: dict[Any, Any] = {}

    def read(atom: Any) -> Any:
        return np.asarray(atom.val) if hasattr(atom, "val") else known[atom]

    known.update(zip(jaxpr.constvars, (c if isinstance(c, Traced) else np.asarray(c) for c in constants)))
    known.update(zip(jaxpr.invars, arguments))
    for equation in jaxpr.eqns:
        name, operands = equation.primitive.name, [read(atom) for atom in equation.invars]
        inner = equation.params.get("call_jaxpr") or equation.params.get("jaxpr") or equation.params.get("fun_jaxpr")
        try:
            closed = hasattr(inner, "consts")
            _no_derivative(name, equation.params)
            if name in HANDLERS:
                results = HANDLERS[name](equation.params, *operands)
            elif inner is not None and (own := _own(equation.params.get("name"), inner.jaxpr if closed else inner)):
                results = own(*operands)
            elif inner is not None and name not in ("scan", "while", "cond"):
                results = evaluate(inner.jaxpr if closed else inner, inner.consts if closed else (), operands)
            else:
                raise _untraced(name)
        except TraceError as error:
            raise TraceError(f"{error}{_place(equation)}", operation=name) from None
        known.update(zip(equation.outvars, results if isinstance(results, (list, tuple)) else [results]))
    return [read(atom) for atom in jaxpr.outvars]


USES = {
    use: names.split() for use, names in {
        "jnp.where": "cond convert_element_type select_n", "a Python loop, or jax.lax.fori_loop between known bounds": "while", "jnp.sort, which gives the entries in order": "sort top_k",
        "jnp.max or jnp.min, and jnp.sum(jnp.where(a == jnp.max(a), b, 0)) for the entry of b beside it": "argmax argmin",
        "jnp.where or jnp.concatenate, as arrays are not written to": "scatter scatter_mul scatter-mul dynamic_update_slice",
        "jax.nn.one_hot(index, n).T @ a, which adds rows to places": "scatter-add scatter_add", "jnp.floor(a + 0.5)": "round",
        "numbers that were drawn before, as data": "random_bits random_wrap random_unwrap random_seed random_fold_in random_split threefry2x32",
        "jnp.exp(jnp.cumsum(jnp.log(a))) for positive a": "cumprod", "jnp.linalg.solve": "custom_linear_solve",
        "a loss in NumPy with ht.conv": "conv_general_dilated", "reshape, and jnp.max or jnp.mean over axes": "reduce_window_max reduce_window_sum reduce_window",
        "a[index], a.T[index].T, a[jnp.arange(len(a)), labels] or jnp.take_along_axis(a, labels[:, None], 1)": "gather",
    }.items()
}  # fmt: skip
"""What to use in place of primitives that have no counterpart."""


def _untraced(name: str, what: str = "") -> TraceError:
    """Makes the error for a primitive, or for its use ``what``, that has no counterpart."""
    use = next((f": use {use}" for use, names in USES.items() if name in names), "")
    return TraceError(f"the JAX primitive {name}{what} has no counterpart here{use}", operation=name)


def _own(name: str | None, jaxpr: Any) -> Callable | None:
    """The replacement of a function of JAX itself, recognised by the file that defines it."""
    known, of_jax = _source(getattr(jaxpr, "debug_info", None))
    return OWN.get(name or known) if of_jax else None


def _source(info: Any) -> tuple[str, bool]:
    """The name of the function that a jaxpr was made of, and whether a file of JAX defines it."""
    import jax

    name, _, file = str(getattr(info, "func_src_info", None)).partition(" at ")
    return name, file.startswith(str(Path(jax.__file__).parent))


def _no_derivative(name: str, params: dict) -> None:
    """Refuses functions that define their derivatives. The rules of JAX's own functions are the derivatives of their bodies, except at
    kinks, and where the body is an iteration (``custom_root``) or the value at one point (``sinc``)."""
    if not name.startswith(("custom_jvp_call", "custom_vjp_call")):
        return
    made = [params[part] for part in ("call_jaxpr", "jvp_jaxpr_fun") if part in params]
    (of, body), *rules = (_source(getattr(getattr(part, "jaxpr", part), "debug_info", None)) for part in made)
    if not body or not rules or not rules[0][1] or of in ("_custom_root", "_sinc_maclaurin"):
        raise TraceError(f"jax.{name[:10]} gives {of} a derivative, which cannot be traced: call the function itself", operation=name)


def _place(equation: Any) -> str:
    """The line of the user's code that an equation comes from."""
    from jax._src import source_info_util

    place = source_info_util.summarize(equation.source_info)
    return f" ({place})" if place and "unknown" not in place and __file__ not in place else ""


def _primitive(*names: str) -> Callable[[Callable], Callable]:
    def register(handler: Callable) -> Callable:
        HANDLERS.update(dict.fromkeys(names, handler))
        return handler

    return register


for _name, _function in {
    "add": np.add, "sub": np.subtract, "mul": np.multiply, "max": np.maximum, "min": np.minimum, "pow": np.power,
    "neg": np.negative, "exp": np.exp, "exp2": np.exp2, "log": np.log, "log1p": np.log1p, "expm1": np.expm1, "tanh": np.tanh, "sin": np.sin,
    "cos": np.cos, "tan": np.tan, "asin": np.arcsin, "acos": np.arccos, "atan": np.arctan, "sinh": np.sinh, "cosh": np.cosh,
    "asinh": np.arcsinh, "acosh": np.arccosh, "atanh": np.arctanh, "sqrt": np.sqrt, "cbrt": np.cbrt, "abs": np.abs, "sign": np.sign,
    "square": np.square, "floor": np.floor, "ceil": np.ceil, "rem": np.fmod, "atan2": np.arctan2, "logistic": sigmoid, "erf": erf,
    "erfc": lambda x: 1.0 - erf(x), "lgamma": gammaln, "digamma": digamma, "cholesky": np.linalg.cholesky, "gt": np.greater, "lt": np.less, "ge": np.greater_equal, "le": np.less_equal,
    "eq": np.equal, "ne": np.not_equal, "stop_gradient": stop_gradient,
    "add_any": np.add, "copy": lambda x: x, "copy_p": lambda x: x, "optimization_barrier": lambda *x: list(x), "is_finite": np.isfinite,
}.items():  # fmt: skip
    HANDLERS[_name] = lambda params, *operands, _function=_function: _function(*operands)



def _by_kind(reals: Callable, integers: Callable) -> Callable:
    """A primitive that means something else for integers, which are known when a loss is traced."""
    return lambda params, *operands: (integers if all(x.dtype.kind in "iu" for x in operands) else reals)(*operands)


HANDLERS |= {
    "div": _by_kind(np.divide, lambda x, y: (x - np.fmod(x, y)) // y),  # towards zero
    "and": _by_kind(np.logical_and, np.bitwise_and),
    "or": _by_kind(np.logical_or, np.bitwise_or),
    "not": _by_kind(np.logical_not, np.invert),
    "integer_pow": lambda p, x: x ** p["y"],
    "rsqrt": lambda p, x: 1.0 / np.sqrt(x),
    "reduce_sum": lambda p, x: np.sum(x, axis=tuple(p["axes"])),
    "reduce_max": lambda p, x: np.max(x, axis=tuple(p["axes"])),
    "reduce_min": lambda p, x: np.min(x, axis=tuple(p["axes"])),
    "reduce_prod": lambda p, x: np.prod(x, axis=tuple(p["axes"])),
    "reduce_and": lambda p, x: np.all(x, axis=tuple(p["axes"])),
    "reduce_or": lambda p, x: np.any(x, axis=tuple(p["axes"])),
    "reshape": lambda p, x: np.reshape(x if p["dimensions"] is None else np.transpose(x, p["dimensions"]), tuple(p["new_sizes"])),
    "squeeze": lambda p, x: np.squeeze(x, axis=tuple(p["dimensions"])),
    "expand_dims": lambda p, x: np.expand_dims(x, tuple(p["dimensions"])),
    "transpose": lambda p, x: np.transpose(x, tuple(p["permutation"])),
    "concatenate": lambda p, *x: np.concatenate(x, axis=p["dimension"]),
    "rev": lambda p, x: np.flip(x, axis=tuple(p["dimensions"])),
    "iota": lambda p: _along(np.arange(p["shape"][p["dimension"]]), p["shape"], p["dimension"]),
    "cumsum": lambda p, x: np.flip(np.cumsum(np.flip(x, p["axis"]), p["axis"]), p["axis"]) if p["reverse"] else np.cumsum(x, p["axis"]),
    "clamp": lambda p, least, x, most: np.minimum(np.maximum(x, least), most),
    "stack": lambda p, *x: np.stack(x, axis=p["axis"]),
    "tile": lambda p, x: np.tile(x, tuple(p["reps"])),
    "split": lambda p, x: np.split(x, np.cumsum(p["sizes"])[:-1], axis=p["axis"]),
}


def _along(values: np.ndarray, shape: tuple[int, ...], axis: int) -> np.ndarray:
    return np.broadcast_to(np.expand_dims(values, [k for k in range(len(shape)) if k != axis]), shape)


@_primitive("broadcast_in_dim")
def _broadcast(params: dict, x: Any) -> Any:
    shape, places = tuple(params["shape"]), params["broadcast_dimensions"]
    between = [1] * len(shape)
    for axis, place in zip(np.shape(x), places):
        between[place] = axis
    # A row of samples, of which JAX's column_stack makes columns by a transpose, is that of their column.
    found = np.reshape(x, between[::-1]).T if getattr(x, "rows", False) and between[:-1] == [1] else np.reshape(x, between)
    # NumPy's operations broadcast by themselves, so only a change of shape is made explicit.
    return np.broadcast_to(found, shape) if np.shape(found) != shape else found


@_primitive("convert_element_type")
def _converted(params: dict, x: Any) -> Any:
    dtype = np.dtype(params["new_dtype"])
    target = np.float64 if dtype.kind == "f" and dtype.itemsize >= 4 else dtype
    if isinstance(x, Traced) and x.truth and dtype.kind == "f":
        return x
    if isinstance(x, Traced) and x.truth and x.value is None and dtype.kind in "iu":
        raise _untraced("convert_element_type", " of a comparison to whole numbers")
    return x.astype(target)


@_primitive("select_n")
def _selected(params: dict, which: Any, *cases: Any) -> Any:
    if len(cases) != 2:
        raise _untraced("select_n", f" of {len(cases)} cases")
    return np.where(which, cases[1], cases[0])


@_primitive("slice")
def _slice(params: dict, x: Any) -> Any:
    strides = params["strides"] or [1] * len(params["start_indices"])
    return x[tuple(slice(a, b, s) for a, b, s in zip(params["start_indices"], params["limit_indices"], strides))]


@_primitive("dynamic_slice")
def _dynamic_slice(params: dict, x: Any, *starts: Any) -> Any:
    sizes = params["slice_sizes"]
    if tuple(sizes) == np.shape(x):
        return x
    starts = [min(max(int(start), 0), n - size) for start, n, size in zip(starts, np.shape(x), sizes)]
    return x[tuple(slice(start, start + size) for start, size in zip(starts, sizes))]


@_primitive("dot_general")
def _product(params: dict, a: Any, b: Any) -> Any:
    (left, right), batch = params["dimension_numbers"]
    if not any(batch):
        return np.tensordot(a, b, axes=(tuple(left), tuple(right)))
    return contracted(*_lifted("dot_general", a, b), left, right, batch)


def _lifted(name: str, *arrays: Any) -> list[Traced]:
    """Lifts all arrays into the trace of the first proxy among them."""
    for array in arrays:
        if isinstance(array, Traced):
            return [array.owner.lift(each) for each in arrays]
    raise _untraced(name, " of constants alone")


@_primitive("polygamma")
def _polygamma(params: dict, n: Any, x: Any) -> Any:
    return polygamma(int(np.ravel(n)[0]), x)


@_primitive("triangular_solve")
def _triangular(params: dict, a: Any, b: Any) -> Any:
    if params["unit_diagonal"]:
        raise _untraced("triangular_solve", " with a unit diagonal")
    turned = params["transpose_a"] != (not params["left_side"])
    method = "lower" if params["lower"] != turned else "upper"
    a, b = _lifted("triangular_solve", a, b)
    a, b = np.transpose(a) if turned else a, b if params["left_side"] else np.transpose(b)
    found = solve(a.owner, a, b, method)
    return found if params["left_side"] else np.transpose(found)


@_primitive("sort")
def _sorted(params: dict, *arrays: Any) -> Any:
    if len(arrays) > 1:
        raise _untraced("sort", " of several arrays")
    return np.sort(arrays[0], axis=params["dimension"])


@_primitive("gather")
def _gather(params: dict, x: Any, indices: Any) -> Any:
    """``x[..., i, ...]`` and ``x[i, j]`` as NumPy writes them: slices of size 1 along the indexed axes, and whole along the others."""
    numbers, sizes = params["dimension_numbers"], tuple(params["slice_sizes"])
    indexed, shape = tuple(numbers.start_index_map), np.shape(x)
    if tuple(getattr(numbers, "operand_batching_dims", ())) == (0,) and indexed == (1,) == tuple(numbers.collapsed_slice_dims) and sizes == (1, 1):
        return np.take_along_axis(x, indices[..., 0], axis=1)
    whole = [k for k in range(len(shape)) if k not in indexed]
    plain = (
        tuple(sorted(indexed)) == tuple(numbers.collapsed_slice_dims)
        and all(sizes[k] == (1 if k in indexed else shape[k]) for k in range(len(shape)))
        and not getattr(numbers, "operand_batching_dims", ())
    )
    if not plain or whole and indexed != tuple(range(len(indexed))) or tuple(sorted(indexed)) != indexed:
        raise _untraced("gather", " of this form")
    known = indices.value if isinstance(indices, Traced) else indices
    if known is not None and np.any(known < 0):
        raise _untraced("gather", " of negative places")
    parts = [indices[..., k] for k in range(len(indexed))]
    return x[tuple(parts) if len(parts) > 1 else parts[0]]


@_primitive("pad")
def _pad(params: dict, x: Any, value: Any) -> Any:
    widths = params["padding_config"]
    if any(low < 0 or high < 0 or inside for low, high, inside in widths) or np.any(np.asarray(value)):
        raise _untraced("pad", " of this form")
    return np.pad(x, [(low, high) for low, high, _ in widths])


@_primitive("scan")
def _scan(params: dict, *operands: Any) -> list[Any]:
    """A loop of known length, unrolled."""
    count, carried = params["num_consts"], params["num_carry"]
    constants, carry, rows = operands[:count], list(operands[count : count + carried]), operands[count + carried :]
    steps, made = range(params["length"]), []
    for k in reversed(steps) if params["reverse"] else steps:
        found = evaluate(params["jaxpr"].jaxpr, params["jaxpr"].consts, [*constants, *carry, *(row[k] for row in rows)])
        carry, made = found[:carried], made + [found[carried:]]
    made = made[::-1] if params["reverse"] else made
    return carry + [np.stack(column) for column in zip(*made)]
