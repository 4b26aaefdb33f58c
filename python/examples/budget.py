"""Which estimator, under a memory budget? Plans and certificates of the cleaning problem.

usage: python budget.py [FIGURE.png]
"""

import sys

import numpy as np

import hypertape as ht
from cleaning import problem


def main(figure="budget.png"):
    cleaning, *_ = problem(sizes=(300, 200))
    free = cleaning.hypergradient()
    budget = free.cost.bytes_measured * 2 // 3
    print(f"all states take {free.cost.bytes_measured} bytes; allowed are {budget}\n")
    plan = cleaning.plan(memory=budget, draws=2)
    print(plan, "\n")
    table = cleaning.certify(["truncated:k=10", "cg:iterations=10", "thinned:q=0.5,slots=60", "jump:q=0.2"], draws=10)
    print(table)

    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    fig, (left, right) = plt.subplots(1, 2, figsize=(9, 3.6), layout="constrained")
    left.loglog(plan.schedules["bytes"], plan.schedules["seconds"], "o")
    left.set(xlabel="bytes", ylabel="seconds, predicted", title="exact gradients under every schedule")
    right.loglog(table["seconds"], np.maximum(table["error"], 1e-16), "o")
    for row in table:
        right.annotate(row.estimator, (row.seconds, max(row.error, 1e-16)), fontsize=7)
    right.set(xlabel="seconds", ylabel="error of the mean", title="estimators")
    fig.savefig(figure)
    return plan, table


if __name__ == "__main__":
    main(*sys.argv[1:])
