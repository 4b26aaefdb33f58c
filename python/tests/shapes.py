"""Functions of every operation, with arrays of random shapes, for the tests of traces and graphs."""

import functools

import numpy as np
from hypothesis import strategies as st

import hypertape as ht

UNARY = {
    "neg": lambda a: -a, "pos": lambda a: +a, "abs": np.abs, "exp": np.exp, "exp2": np.exp2, "expm1": np.expm1,
    "log": lambda a: np.log(a * a + 0.5), "log2": lambda a: np.log2(a * a + 0.5), "log10": lambda a: np.log10(a * a + 0.5),
    "log1p": lambda a: np.log1p(a * a), "sqrt": lambda a: np.sqrt(a * a + 1), "cbrt": lambda a: np.cbrt(a + 5), "square": np.square,
    "reciprocal": lambda a: np.reciprocal(a + 5), "sin": np.sin, "cos": np.cos, "tan": lambda a: np.tan(a / 3), "arcsin": lambda a: np.arcsin(a / 5),
    "arccos": lambda a: np.arccos(a / 5), "arctan": np.arctan, "sinh": np.sinh, "cosh": np.cosh, "tanh": np.tanh,
    "arcsinh": np.arcsinh, "arccosh": lambda a: np.arccosh(a * a + 1.5), "arctanh": lambda a: np.arctanh(a / 5),
    "power 2": lambda a: a**2, "power 3": lambda a: a**3, "power .5": lambda a: (a * a + 1) ** 0.5, "power -1": lambda a: (a + 5) ** -1,
    "power 1.7": lambda a: (a * a + 1) ** 1.7, "power 0": lambda a: a + a**0, "base": lambda a: 2.0**a, "2 a": lambda a: 2 * a - 1,
    "1 / a": lambda a: 1 / (a + 5), "3 / a": lambda a: 3 / (a + 5), "1 - a": lambda a: 1 - a, "a / 3": lambda a: a / 3,
    "degrees": np.degrees, "radians": np.radians, "sigmoid": ht.sigmoid, "softplus": ht.softplus, "log_sigmoid": ht.log_sigmoid,
    "relu": ht.relu, "erf": ht.erf, "ravel": np.ravel, "a.T": lambda a: a.T, "a.T @ a": lambda a: a.T @ a if 0 < a.ndim < 3 else a,
    "sum": np.sum, "mean": np.mean, "a.sum()": lambda a: a.sum(), "var": np.var, "std": lambda a: np.std(a) if a.size > 1 else a,
    "norm": np.linalg.norm, "norm 1": lambda a: np.linalg.norm(np.ravel(a), 1), "flatten": lambda a: a.flatten(),
    "logsumexp": ht.logsumexp, "softmax all": lambda a: ht.softmax(a, None), "cumsum": np.cumsum, "copy": np.copy,
    "reshape": lambda a: a.reshape(-1, 1), "reshape 1": lambda a: np.reshape(a, (1, a.size)), "squeeze": np.squeeze,
    "in place of a number": lambda a: _accumulated(a), "size": lambda a: a * a.size + len(a.shape), "prod": np.prod,
    "gammaln": lambda a: ht.gammaln(a * a + 0.3), "digamma": lambda a: ht.digamma(a * a + 0.3), "trigamma": lambda a: ht.polygamma(1, a * a + 0.3), "silu": ht.silu, "gelu": ht.gelu, "sort": lambda a: np.sort(a, None), "median": np.median, "quantile": lambda a: np.quantile(a, 0.3),
    "two axes": lambda a: np.sum(a, axis=(0, -1)) * np.max(a, axis=(-1, 0)) if a.ndim > 1 else a, "moveaxis": lambda a: np.moveaxis(a, 0, -1) + 1 if a.ndim else a,
    "logsumexp by hand": lambda a: np.log(np.sum(np.exp(a - np.max(a, -1, keepdims=True)), -1)) + np.max(a, -1) if a.ndim else a,
    "outer": lambda a: np.outer(a, a), "vdot": lambda a: np.vdot(a, a), "astype": lambda a: a.astype(float), "ptp": lambda a: 0 * np.sum(a) + np.max(a) - np.min(a),
}  # fmt: skip


def _accumulated(a):
    total = 0.0
    for k in range(3):
        total += np.sum(a) * k
    return total


AXES = {
    "sum": np.sum, "mean": np.mean, "max": np.max, "min": np.min, "prod": np.prod, "var": np.var,
    "norm": lambda a, axis, keepdims: np.linalg.norm(a, axis=axis, keepdims=keepdims), "amax": np.amax,
    "logsumexp": ht.logsumexp, "norm inf": lambda a, axis, keepdims: np.linalg.norm(a, np.inf, axis=axis, keepdims=keepdims),
    "norm 3": lambda a, axis, keepdims: np.linalg.norm(a, 3, axis=axis, keepdims=keepdims), "add.reduce": np.add.reduce,
    "std": lambda a, axis, keepdims: np.sqrt(np.var(a, axis=axis, keepdims=keepdims) + 1), "softmax": lambda a, axis, keepdims: ht.softmax(a, axis),
    "average": lambda a, axis, keepdims: np.average(a, axis=axis, keepdims=keepdims),
    "log_softmax": lambda a, axis, keepdims: ht.log_softmax(a, axis), "flip": lambda a, axis, keepdims: np.flip(a, axis),
    "cumsum": lambda a, axis, keepdims: np.cumsum(a, axis), "roll": lambda a, axis, keepdims: np.roll(a, 1, axis),
    "repeat": lambda a, axis, keepdims: np.repeat(a, 2, axis), "concatenate": lambda a, axis, keepdims: np.concatenate([a, 2 * a], axis),
    "split": lambda a, axis, keepdims: np.array_split(a, 2, axis)[0] if a.shape[axis] > 1 else a, "sort": lambda a, axis, keepdims: np.sort(a, axis),
    "median": lambda a, axis, keepdims: np.median(a, axis, keepdims=keepdims), "stack": lambda a, axis, keepdims: np.stack([a, 2 * a], axis),
}  # fmt: skip

BINARY = {
    "add": lambda a, b: a + b, "sub": lambda a, b: a - b, "mul": lambda a, b: a * b, "div": lambda a, b: a / (b * b + 1),
    "maximum": np.maximum, "minimum": np.minimum, "fmax": np.fmax, "clip": lambda a, b: np.clip(a, b, 2.0), "logaddexp": np.logaddexp,
    "sum of b a a": lambda a, b: np.sum(b * a * a), "hypot": np.hypot, "power": lambda a, b: (a * a + 0.5) ** b, "a - 2 b": lambda a, b: a - 2 * b + 1, "r-": lambda a, b: np.subtract(b, a),
}  # fmt: skip

CHOICES = {
    "where": lambda a, b: np.where(a > b, np.sin(a), b**2), "where and": lambda a, b: np.where((a > 0) & (b <= 1), a * b, 0.0),
    "not": lambda a, b: np.where(~(a >= b), a, -b), "or": lambda a, b: np.where(np.logical_or(a < -1, b > 1), a, b),
    "sign": lambda a, b: np.sign(a) * b, "equal": lambda a, b: np.where(np.floor(a) == np.floor(b), a, b),
    "arctan2": lambda a, b: np.arctan2(a, b + 0.01), "a mask": lambda a, b: (a > b) * a + (a != b) * b,
    "xor": lambda a, b: np.where((a > 0) ^ (b > 0), a, b), "any": lambda a, b: np.any(a > b) * np.sum(a), "all": lambda a, b: np.all(a > -9) * b,
    "count": lambda a, b: np.count_nonzero(a > b) * a, "heaviside": lambda a, b: np.heaviside(a, 0.5) * b, "copysign": lambda a, b: np.copysign(a, b),
    "floor_divide": lambda a, b: a // (b * b + 0.7), "mod": lambda a, b: a % (b * b + 0.7),
}  # fmt: skip

MATRIX = {
    "a @ b": lambda a, b: a @ b, "b.T @ a.T": lambda a, b: b.T @ a.T, "row": lambda a, b: a[0] @ b, "column": lambda a, b: a @ b[:, 0],
    "vectors": lambda a, b: a[0] @ b[:, 0], "dot": np.dot, "einsum": lambda a, b: np.einsum("ij,jk->ik", a, b), "tensordot": lambda a, b: np.tensordot(a, b, 1),
    "einsum T": lambda a, b: np.einsum("ij,jk->ki", a, b), "einsum trace": lambda a, b: np.einsum("ij,ij->", a, b.T[: a.shape[0]] if b.shape[1] >= a.shape[0] else a),
    "einsum diag": lambda a, b: np.einsum("ii->i", b @ a) if a.shape[0] == b.shape[1] else a, "inner": lambda a, b: np.inner(a, b.T),
    "a.T": lambda a, b: a.T, "a.T twice": lambda a, b: a.T.T + 1, "sum of a.T": lambda a, b: np.sum(a.T * 2, axis=0), "a.T[0]": lambda a, b: a.T[0],
    "kron": np.kron, "outer": lambda a, b: np.multiply.outer(a[0], b[0]), "(a @ b).T": lambda a, b: (a @ b).T @ a, "matmul": np.matmul,
}  # fmt: skip

INDEX = {
    "a[0]": lambda a: a[0], "a[-1]": lambda a: a[-1], "a[1:]": lambda a: a[1:], "a[::-1]": lambda a: a[::-1], "a[:, 1]": lambda a: a[:, 1], "a[1:3, ::2]": lambda a: a[1:3, ::2],
    "a[[2, 0, 2]]": lambda a: a[[2, 0, 2]], "a[:, [1, 0]]": lambda a: a[:, [1, 0]], "a[[0, 1], [1, 2]]": lambda a: a[[0, 1], [1, 2]], "a[1, 2]": lambda a: a[1, 2],
    "a[..., None]": lambda a: a[0][..., None], "a[None]": lambda a: a[0][None], "mask": lambda a: a[np.array([True, False, True])], "stack": lambda a: np.stack([a[0], a[1]]),
    "np.array": lambda a: np.stack([a[0, 0], a[1, 1] ** 2]), "hstack": lambda a: np.hstack([a, a[:, :1]]), "vstack": lambda a: np.vstack([a, a[0]]),
    "column_stack": lambda a: np.column_stack([a[:, 0], a]), "tril": np.tril, "triu": lambda a: np.triu(a, 1), "diag": lambda a: np.diag(a[0]), "diagonal": lambda a: np.diag(a),
    "diag of a matrix": lambda a: np.diag(a, k=1), "diff with ends": lambda a: np.diff(a, 2, prepend=1.5, append=a[:, :1]), "block": lambda a: np.block([[a, 2 * a], [a * a, a]]) + np.block([[a[0], a[1]]]),
    "average by rows": lambda a: np.average(a[:, :3, None] * a[0, :3], axis=1, weights=a[0, :3] + 9), "trace of a stack": lambda a: np.trace(a[:, :3, None] * a[0, :3]),
    "norm of columns": lambda a: np.linalg.norm(a[:, :3, None] * a[0, :3], 1, axis=(2, 0)), "dot of stacks": lambda a: np.dot(a, a[:, :3, None] * a.T[:3]) if a.shape[1] == 3 else a,
    "inner of stacks": lambda a: np.inner(a, a[:, None] * a), "trace": np.trace, "pad": lambda a: np.pad(a, ((1, 0), (2, 1))), "pad edge": lambda a: np.pad(a, 1, mode="edge"), "tile": lambda a: np.tile(a[0], (2, 1)),
    "broadcast_to": lambda a: np.broadcast_to(a[0], (2, a.shape[1])), "take": lambda a: np.take(a, [0, 2], axis=1), "take_along_axis": lambda a: np.take_along_axis(a, np.array([[0], [2], [1]]), axis=1),
    "rows": lambda a: sum(row @ row for row in a), "swapaxes": lambda a: np.swapaxes(a, 0, 1) * 2, "expand_dims": lambda a: np.expand_dims(a[0], 1), "diff": lambda a: np.diff(a, axis=0),
    "convolve": lambda a: np.convolve(a[0], a[1, :2]), "convolve same": lambda a: np.convolve(a[0], a[1, :3], "same"), "correlate": lambda a: np.correlate(a[0], a[1, :2]),
    "split": lambda a: np.split(a, [1, 2])[1], "roll": lambda a: np.roll(a, 2), "block": lambda a: np.block([[a, a], [a, 2 * a]]), "delete": lambda a: np.delete(a, 1, axis=0),
    "pick": lambda a: a[np.arange(3), [2, 0, 1]], "cross_entropy": lambda a: ht.cross_entropy(a, np.array([0, 2, 1])), "list": lambda a: np.array([1.0, 2.0, 0.5]) @ a, "moveaxis": lambda a: np.moveaxis(a, 0, 1) + 0,
}  # fmt: skip

STACKS = {
    "a @ b": lambda a, b: a @ b, "one a": lambda a, b: a[0] @ b, "one b": lambda a, b: a @ b[0], "a vector": lambda a, b: a[0, 0] @ b, "b vector": lambda a, b: a @ b[0, :, 0],
    "einsum": lambda a, b: np.einsum("bij,bjk->bik", a, b), "einsum turned": lambda a, b: np.einsum("bij,bjk->kbi", a, b), "einsum sum": lambda a, b: np.einsum("bij,bjk->ik", a, b),
    "einsum rows": lambda a, b: np.einsum("bij,bj->bi", a, b[:, :, 0]), "tensordot": lambda a, b: np.tensordot(a, b, ((0, 2), (0, 1))), "swapped": lambda a, b: np.swapaxes(b, 1, 2) @ np.swapaxes(a, 1, 2),
    "joined": lambda a, b: np.concatenate([a, np.swapaxes(b, 1, 2)[:, : a.shape[1]]], axis=1) if b.shape[2] >= a.shape[1] else a, "columns": lambda a, b: a[:, :, 0] * b[:, 0, :1],
}  # fmt: skip


def definite(a):
    return a @ a.T + 2 * np.eye(len(a))


SYSTEMS = {
    "solve": lambda a, b: np.linalg.solve(a + 9 * np.eye(len(a)), b), "solve a vector": lambda a, b: np.linalg.solve(definite(a), b[:, 0]), "inv": lambda a, b: np.linalg.inv(definite(a)) @ b,
    "slogdet": lambda a, b: np.linalg.slogdet(a - 9 * np.eye(len(a))).logabsdet * b, "det": lambda a, b: np.linalg.det(a - 9 * np.eye(len(a))) * b, "cholesky": lambda a, b: np.linalg.cholesky(definite(a)) @ b,
}  # fmt: skip
if np.__version__ >= "2":
    SYSTEMS["upper"] = lambda a, b: np.linalg.cholesky(definite(a), upper=True)

CONVOLUTIONS = {
    f"{height} x {width}, size {size}, stride {stride}": lambda a, k, h=height, w=width, s=stride: ht.conv(a, k, h, w, s)
    for height, width, size, stride in [(3, 4, 3, 1), (5, 2, 2, 1), (4, 4, 3, 2), (3, 3, 1, 1)]
}
PIXELS = {name: int(name[0]) * int(name[4]) for name in CONVOLUTIONS}
KERNELS = {name: int(name.split("size ")[1][0]) ** 2 for name in CONVOLUTIONS}


SIDES = st.integers(1, 4)
shapes = st.one_of(st.just(()), st.tuples(st.integers(1, 5)), st.tuples(SIDES, SIDES), st.tuples(*[st.integers(1, 3)] * 3))
seeds = st.integers(0, 99)


def numbers(shape: tuple[int, ...], seed: int) -> np.ndarray:
    """Ordinary numbers, none of them near an integer multiple of a half, where comparisons and roundings jump."""
    random = np.random.default_rng(seed)
    found = random.normal(size=shape) * 1.5
    return np.where(np.abs(found * 2 - np.round(found * 2)) < 0.02, found + 0.1, found)


@st.composite
def one(draw, function):
    return function, [numbers(draw(shapes), draw(seeds))]


@st.composite
def lined(draw, function):
    shape = draw(shapes.filter(len))
    axis, keepdims = draw(st.integers(-len(shape), len(shape) - 1)), draw(st.booleans())
    return lambda a: function(a, axis=axis, keepdims=keepdims), [numbers(shape, draw(seeds))]


@st.composite
def pairs(draw, function):
    """Two shapes that broadcast."""
    full = draw(shapes)
    cut = draw(st.integers(0, len(full)))
    other = tuple(n if draw(st.booleans()) else 1 for n in full[cut:])
    both = (full, other) if draw(st.booleans()) else (other, full)
    return function, [numbers(shape, draw(seeds) + 1000 * k) for k, shape in enumerate(both)]


@st.composite
def factors(draw, function):
    m, k, n = draw(st.tuples(SIDES, SIDES, SIDES))
    return function, [numbers((m, k), draw(seeds)), numbers((k, n), draw(seeds) + 1000)]


@st.composite
def stacks(draw, function):
    b, m, k, n = draw(st.tuples(SIDES, SIDES, SIDES, SIDES))
    return function, [numbers((b, m, k), draw(seeds)), numbers((b, k, n), draw(seeds) + 1000)]


@st.composite
def systems(draw, function):
    n, k = draw(st.tuples(SIDES, SIDES))
    return function, [numbers((n, n), draw(seeds)), numbers((n, k), draw(seeds) + 1000)]


@st.composite
def wide(draw, function):
    return function, [numbers((3, draw(st.integers(3, 5))), draw(seeds))]


def images(name):
    return [numbers((2, PIXELS[name] * 2), 1), numbers((KERNELS[name] * 2, 3), 2)]


FAMILIES = {
    "one": (UNARY, one, [(3, 4)]), "axis": (AXES, lined, [(3, 4)]), "two": (BINARY | CHOICES, pairs, [(3, 4), (4,)]), "product": (MATRIX, factors, [(3, 4), (4, 3)]),
    "stack": (STACKS, stacks, [(2, 3, 4), (2, 4, 3)]), "system": (SYSTEMS, systems, [(3, 3), (3, 2)]), "place": (INDEX, wide, [(3, 4)]),
}  # fmt: skip
"""Functions, arrays of random shapes for them, and one fixed choice of shapes for each."""

CASES = {f"{family} {name}": draw(function) for family, (functions, draw, _) in FAMILIES.items() for name, function in functions.items()}
CASES |= {f"convolution {name}": st.just((function, images(name))) for name, function in CONVOLUTIONS.items()}
"""Draws a function and its arrays."""


def once():
    """Each function once: its name, the function, its arrays."""
    for family, (functions, _, given) in FAMILIES.items():
        arrays = [numbers(shape, 11 + k) for k, shape in enumerate(given)]
        for name, function in functions.items():
            for axis in (0, 1) if family == "axis" else ("",):
                yield f"{family} {name} {axis}", functools.partial(function, axis=axis, keepdims=False) if family == "axis" else function, arrays
    for name, function in CONVOLUTIONS.items():
        yield f"convolution {name}", function, images(name)
