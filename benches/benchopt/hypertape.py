"""hypertape as a solver of the field's benchmark, benchopt/benchmark_bilevel: single-loop algorithms on the benchmark's losses.

The benchmark's losses are JAX functions that close over their data. They are read from their jaxpr. Arrays with one row per sample become
the samples that mini-batches are drawn from, and hypertape does the whole run. In a checkout of the benchmark:

    cp .../benches/benchopt/hypertape.py solvers/
    benchopt run . -d ijcnn1 -s "hypertape[algorithm=[soba,saba,srba],step_size=0.1,outer_ratio=0.1]" -s SABA

Losses of data with more than two axes, such as those of the benchmark's simulated quadratics, are refused.
"""

from benchopt import BaseSolver, safe_import_context
from benchopt.stopping_criterion import SufficientProgressCriterion

with safe_import_context() as import_ctx:
    import hypertape as ht
    import jax
    import numpy as np
    from benchmark_utils import constants
    from hypertape.jaxprs import evaluate


def with_data(loss, samples, w, x):
    """The loss of all samples as a function of ``w``, ``x`` and the arrays that it closes over, and these arrays by name."""
    whole = jax.make_jaxpr(lambda w, x: loss(w, x, start=0, batch_size=samples))(w, x)
    (call,) = whole.eqns  # of the jitted loss
    closed = call.params["jaxpr"]
    data = {f"data{k}": np.asarray(array) for k, array in enumerate(closed.consts)}
    given = [np.asarray(atom.val) for atom in call.invars[2:]]

    def stated(w, x, d):
        return evaluate(closed.jaxpr, [d[name] for name in data], [w, x, *given])[0]

    return stated, data


class Solver(BaseSolver):
    """A single-loop algorithm, as ``hypertape algorithms`` lists them."""

    name = "hypertape"
    requirements = ["pip::hypertape", "jax", "jaxlib"]
    stopping_criterion = SufficientProgressCriterion(patience=constants.PATIENCE, strategy="callback")
    parameters = {
        "algorithm": ["soba", "saba", "srba"],
        "step_size": [0.1],
        "outer_ratio": [1.0],
        "batch_size": [64],
        "eval_freq": [128],
        "random_state": [1],
    }

    @staticmethod
    def get_next(stop_val):
        return stop_val + 1

    def set_objective(self, f_inner, f_outer, n_inner_samples, n_outer_samples, inner_var0, outer_var0):
        inner, train = with_data(f_inner, n_inner_samples, inner_var0, outer_var0)
        outer, valid = with_data(f_outer, n_outer_samples, inner_var0, outer_var0)
        w, x = np.asarray(inner_var0, float), np.asarray(outer_var0, float)
        self.problem = ht.Problem(inner, outer, x=x, w=w, train=train, valid=valid, steps=100, lr=0.1, name="benchmark")

    def run(self, callback):
        """A record describes the point at which its iterations began, so the time of a point is never too early."""

        def watch(_, x):
            self.outer_var = x
            if not callback():
                raise StopIteration

        self.problem.run(
            algorithm=f"{self.algorithm}:step={self.step_size},ratio={self.outer_ratio}",
            iterations=2**40,
            record_every=self.eval_freq,
            callback=watch,
            batch=self.batch_size,
            seed=self.random_state,
            dtype="float32",
        )

    def get_result(self):
        """Not timed. ``w`` is the end of the problem's inner loop."""
        return {"inner_var": self.problem.solve(self.outer_var), "outer_var": self.outer_var}
