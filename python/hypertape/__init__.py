"""Hypergradients through unrolled inner loops, at the memory you choose.

State a bilevel problem as two NumPy functions, or load one from the catalogue, and compute its hypergradient with any estimator:

>>> import hypertape as ht
>>> r = ht.load("w3").hypergradient(memory="1MiB")
>>> r.cost.bytes_measured <= 2**20
True
"""

from . import _core
from .calls import Bilevel, Catalogued, choices, digits, load
from .errors import Error, InputError, RunError, TraceError
from . import products as _products  # imported to register its operations
from .functions import (
    conv,
    cross_entropy,
    digamma,
    erf,
    gammaln,
    gelu,
    log_sigmoid,
    log_softmax,
    logsumexp,
    polygamma,
    relu,
    sigmoid,
    silu,
    softmax,
    softplus,
    stop_gradient,
)
from .problem import Problem
from .results import Checks, Cost, Hypergradient, Plan, Run, Table
from .transforms import check, grad, hessian, hvp, jacobian, jvp, value_and_grad, vjp

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
    "Problem",
    "Run",
    "RunError",
    "Table",
    "TraceError",
    "check",
    "choices",
    "conv",
    "cross_entropy",
    "digamma",
    "digits",
    "erf",
    "gammaln",
    "gelu",
    "grad",
    "hessian",
    "hvp",
    "jacobian",
    "jvp",
    "load",
    "log_sigmoid",
    "log_softmax",
    "logsumexp",
    "polygamma",
    "relu",
    "sigmoid",
    "silu",
    "softmax",
    "softplus",
    "stop_gradient",
    "value_and_grad",
    "vjp",
]
