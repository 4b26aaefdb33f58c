"""Hypergradients through unrolled inner loops, at the memory you choose.

State a bilevel problem as two NumPy functions, or take one of the catalogue, and ask for its hypergradient by any estimator:

>>> import hypertape as ht
>>> r = ht.load("w3").hypergradient(memory="1MiB")
>>> r.cost.bytes_measured <= 2**20
True
"""

from . import _core
from .calls import Bilevel, Catalogued, choices, load
from .errors import Error, InputError, RunError, TraceError
from . import products as _products  # what it registers
from .functions import (
    cross_entropy,
    erf,
    gammaln,
    log_sigmoid,
    log_softmax,
    logsumexp,
    relu,
    sigmoid,
    softmax,
    softplus,
    stop_gradient,
)
from .results import Checks, Cost, Hypergradient, Plan, Run, Table

__version__ = _core.__version__

__all__ = [
    "Bilevel",
    "Catalogued",
    "Checks",
    "Cost",
    "Error",
    "Hypergradient",
    "InputError",
    "Plan",
    "Run",
    "RunError",
    "Table",
    "TraceError",
    "choices",
    "cross_entropy",
    "erf",
    "gammaln",
    "load",
    "log_sigmoid",
    "log_softmax",
    "logsumexp",
    "relu",
    "sigmoid",
    "softmax",
    "softplus",
    "stop_gradient",
]
