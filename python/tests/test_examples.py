"""The examples run, and their results are as stated."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "examples"))


@pytest.fixture
def figure(tmp_path):
    pytest.importorskip("matplotlib")
    yield str(tmp_path / "figure.png")
    assert (tmp_path / "figure.png").stat().st_size > 5000


def test_cleaning(figure):
    import cleaning

    before, after, found = cleaning.main(figure)
    # 40 % of the labels are wrong; 96 % of all labels were judged correctly.
    assert after <= before and found > 0.9


def test_distillation(figure):
    import distillation

    before, after = distillation.main(figure)
    assert after < 0.6 * before


def test_penalties(figure):
    import penalties

    before, after = penalties.main(figure)
    assert after < before


def test_sines(figure):
    import sines

    first, last = sines.main(figure)
    assert last < first / 2


def test_budget(figure):
    import budget

    plan, table = budget.main(figure)
    assert len(plan.schedules) > 2 and table["verdict"][0] == "exact" and len(table) >= 4


def test_torch():
    torch = pytest.importorskip("torch")
    import torch_function

    losses = torch_function.main()
    assert losses[-1] < losses[0] / 10
    # Compared with the gradient of PyTorch through the unrolled loop.
    problem, data = torch_function.ridge()
    X, y, V, u = map(torch.as_tensor, data)
    x = torch.linspace(-1, 0, 10, dtype=torch.float64, requires_grad=True)
    w = torch.zeros(10, dtype=torch.float64)
    for _ in range(30):
        w = w - 0.1 * (X.T @ (X @ w - y) / 80 + torch.exp(x) * w)
    (expected,) = torch.autograd.grad(2 * torch.mean((V @ w - u) ** 2) / 2, x)
    (found,) = torch.autograd.grad(2 * torch_function.outer_loss(problem, x, steps=30, lr=0.1), x)
    # Sums of 80 products of numbers of size 1, 30 times.
    assert torch.linalg.norm(found - expected) < 1e-12 * torch.linalg.norm(expected)
