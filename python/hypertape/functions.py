"""Functions that losses need and NumPy lacks. Each accepts NumPy arrays as well as the proxies of a trace."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from .elementwise import log_expit, unary
from .reducing import over
from .refusals import refuse
from .rowwise import ENTRIES, SHAPED
from .shaping import reshape
from .trace import Traced, call, proxies, two


def _traced(own: Callable, kind: set[Callable] | None = None) -> Callable:
    """Registers ``own`` as the implementation on proxies of the decorated function, which is written for NumPy arrays. ``kind`` is ``ENTRIES`` or
    ``SHAPED`` if it is one of these functions."""

    def decorate(function: Callable) -> Callable:
        if kind is not None:
            kind.add(function)

        @functools.wraps(function)
        def either(*args: Any, **kwargs: Any) -> Any:
            if any(True for _ in proxies(args)):
                return call(f"ht.{function.__name__}", own, function, args, kwargs)
            return function(*args, **kwargs)

        return either

    return decorate


def _entries(op: str) -> Callable:
    return lambda trace, x: unary(trace.lift(x), op)


@_traced(_entries("sigmoid"), ENTRIES)
def sigmoid(x: Any) -> Any:
    """``1 / (1 + exp(-x))`` of each entry, without overflow."""
    x = np.asarray(x, dtype=float)
    e = np.exp(-np.abs(x))
    return np.where(x >= 0, 1.0, e) / (1.0 + e)


@_traced(_entries("softplus"), ENTRIES)
def softplus(x: Any) -> Any:
    """``ln(1 + exp(x))`` of each entry, without overflow."""
    return np.logaddexp(x, 0.0)


@_traced(lambda trace, x: log_expit(trace.lift(x)), ENTRIES)
def log_sigmoid(x: Any) -> Any:
    """``ln sigmoid(x)`` of each entry, without overflow."""
    return -np.logaddexp(-np.asarray(x), 0.0)


@_traced(_entries("relu"), ENTRIES)
def relu(x: Any) -> Any:
    """``max(x, 0)`` of each entry; its derivative at 0 is 0."""
    return np.maximum(x, 0.0)


@_traced(_entries("erf"), ENTRIES)
def erf(x: Any) -> Any:
    """The error function of each entry."""
    from math import erf as of

    return np.vectorize(of, otypes=[float])(x)


@_traced(_entries("ln_gamma"), ENTRIES)
def gammaln(x: Any) -> Any:
    """``ln |Gamma(x)|`` of each entry."""
    from math import lgamma

    return np.vectorize(lgamma, otypes=[float])(x)


def _evaluated(function: Callable, x: Any) -> np.ndarray:
    """Evaluates, on a NumPy array, a function that only graphs implement."""
    from .layout import Layout
    from .transforms import Compiled

    layout, flat = Layout.of(np.asarray(x), "x")
    return Compiled(function, layout, []).core.value(flat, []).reshape(np.shape(x))


@_traced(_entries("digamma"), ENTRIES)
def digamma(x: Any) -> Any:
    """The derivative of ``gammaln`` of each entry."""
    return _evaluated(digamma, x)


@_traced(lambda trace, n, x: unary(trace.lift(x), "polygamma", number=float(n)), ENTRIES)
def polygamma(n: int, x: Any) -> Any:
    """The derivative of order ``n >= 0`` of ``digamma`` of each entry."""
    return _evaluated(lambda a: polygamma(n, a), x)


def silu(x: Any) -> Any:
    """``x sigmoid(x)`` of each entry."""
    return x * sigmoid(x)


def gelu(x: Any) -> Any:
    """``x Phi(x)`` of each entry, where ``Phi`` is the distribution function of the standard normal distribution."""
    return x * (0.5 + 0.5 * erf(x / 2**0.5))


@_traced(lambda trace, x: Traced(trace, trace.lift(x).shape, trace.node("detach", (trace.lift(x).node,), two(trace.lift(x).shape))), ENTRIES)
def stop_gradient(x: Any) -> Any:
    """Returns ``x`` as a constant: derivatives do not go through it."""
    return np.asarray(x)


def _along_rows(trace: Any, x: Any, axis: Any) -> tuple[Traced, int | None]:
    """Returns ``x`` with the reduced axis moved to its columns, and that axis; if all are reduced, ``x`` as one row, and ``None``."""
    found = trace.lift(x)
    axes, _ = over(found, axis, False)
    if len(axes) == found.ndim:
        return reshape(found, (1, found.size)), None
    if len(axes) > 1:
        raise refuse("ht.logsumexp or ht.softmax", f"found the axes {axes}, expected one or all")
    return np.moveaxis(found, axes[0], -1), axes[0]


def _logsumexp(trace: Any, x: Any, axis: Any = None, keepdims: bool = False) -> Traced:
    rows, _ = _along_rows(trace, x, axis)
    n = two(rows.shape)[0]
    column = Traced(trace, (n,), trace.node("logsumexp", (rows.node,), (n, 1)))
    return reshape(column, over(trace.lift(x), axis, keepdims)[1])


@_traced(_logsumexp)
def logsumexp(x: Any, axis: int | None = None, keepdims: bool = False) -> Any:
    """``ln sum exp(x)`` over an axis, by default over all entries, without overflow."""
    x = np.asarray(x, dtype=float)
    most = np.max(x, axis=axis, keepdims=True)
    most = np.where(np.isfinite(most), most, 0.0)
    found = np.log(np.sum(np.exp(x - most), axis=axis, keepdims=True)) + most
    return found if keepdims else np.squeeze(found, axis=axis)


def _softmax(trace: Any, x: Any, axis: Any = -1) -> Traced:
    rows, moved = _along_rows(trace, x, axis)
    found = Traced(trace, rows.shape, trace.node("softmax", (rows.node,), two(rows.shape)))
    return reshape(found, trace.lift(x).shape) if moved is None else np.moveaxis(found, -1, moved)


@_traced(_softmax)
def softmax(x: Any, axis: int | None = -1) -> Any:
    """``exp(x) / sum exp(x)`` over an axis, by default the last."""
    return np.exp(x - logsumexp(x, axis, keepdims=True))


def log_softmax(x: Any, axis: int | None = -1) -> Any:
    """``x - logsumexp(x)`` over an axis, by default the last."""
    return x - logsumexp(x, axis, keepdims=True)


def cross_entropy(scores: Any, labels: Any) -> Any:
    """``-ln softmax(scores)[i, labels[i]]`` of each row: shape ``(n,)`` for scores of shape ``(n, classes)`` and ``n`` integer labels."""
    if np.ndim(scores) != 2:
        raise refuse("ht.cross_entropy", f"found scores of shape {np.shape(scores)}, expected (n, classes)")
    return logsumexp(scores, axis=1) - scores[np.arange(np.shape(scores)[0]), labels]


def _sides(images: Any, kernel: Any, height: int, width: int) -> tuple[int, int, int]:
    """Number of channels, side length of the kernel, and number of filters."""
    (_, values), (rows, filters) = np.shape(images), np.shape(kernel)
    channels = values // (height * width)
    size = round((rows / max(channels, 1)) ** 0.5)
    if channels * height * width != values or size * size * channels != rows:
        shapes = f"images of shape {np.shape(images)} and a kernel of {np.shape(kernel)}"
        raise refuse("ht.conv", f"found {shapes}, expected (n, height * width * channels) and (size^2 * channels, filters)")
    return channels, size, filters


def _conv(trace: Any, images: Any, kernel: Any, height: int, width: int, stride: int = 1) -> Traced:
    found, weights = trace.lift(images), trace.lift(kernel)
    channels, size, filters = _sides(found, weights, height, width)
    n, pixels = found.shape[0], -(-height // stride) * -(-width // stride)
    columns = reshape(found, (n * height * width, channels))
    map_ = dict(height=height, width=width, size=size, stride=stride)
    shape = (n * pixels, filters)
    return reshape(Traced(trace, shape, trace.node("convolve", (columns.node, weights.node), shape, **map_)), (n, pixels * filters))


@_traced(_conv, SHAPED)
def conv(images: Any, kernel: Any, height: int, width: int, stride: int = 1) -> Any:
    """Convolves images with a square kernel that moves by ``stride``; outside of the images are zeros (padding ``SAME``).

    ``images`` has shape ``(n, height * width * channels)``, pixel by pixel, and ``kernel`` has ``(size**2 * channels, filters)``. The
    result has shape ``(n, rows * cols * filters)``, where ``rows`` and ``cols`` are ``height`` and ``width`` divided by ``stride``, rounded
    up.
    """
    images, kernel = np.asarray(images, dtype=float), np.asarray(kernel, dtype=float)
    channels, size, filters = _sides(images, kernel, height, width)
    rows, cols = -(-height // stride), -(-width // stride)
    beyond = [max((count - 1) * stride + size - side, 0) for count, side in ((rows, height), (cols, width))]
    padding = [(0, 0), *((b // 2, b - b // 2) for b in beyond), (0, 0)]
    padded = np.pad(images.reshape(-1, height, width, channels), padding)
    patches = [
        padded[:, i * stride : i * stride + size, j * stride : j * stride + size].reshape(len(images), -1) @ kernel
        for i in range(rows)
        for j in range(cols)
    ]
    return np.stack(patches, axis=1).reshape(len(images), rows * cols * filters)


__all__ = [
    "conv", "cross_entropy", "digamma", "erf", "gammaln", "gelu", "log_sigmoid", "log_softmax", "logsumexp", "polygamma", "relu",
    "sigmoid", "silu", "softmax", "softplus", "stop_gradient",
]  # fmt: skip
