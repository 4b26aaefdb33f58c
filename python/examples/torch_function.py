"""A hypergradient as a function of PyTorch: tensors in, a loss out, and ``backward`` goes through the inner loop.

usage: python torch_function.py
"""

import numpy as np
import torch

import hypertape as ht


class OuterLoss(torch.autograd.Function):
    """``F(x)`` of a problem at a tensor; one exact hypergradient gives value and gradient."""

    @staticmethod
    def forward(context, x, problem, options):
        r = problem.hypergradient(x.detach().cpu().numpy(), **options)
        context.save_for_backward(torch.as_tensor(r.gradient, dtype=x.dtype, device=x.device))
        return torch.as_tensor(r.loss, dtype=x.dtype, device=x.device)

    @staticmethod
    def backward(context, loss_bar):
        (gradient,) = context.saved_tensors
        return loss_bar * gradient, None, None


def outer_loss(problem, x, **options):
    return OuterLoss.apply(x, problem, options)


def ridge():
    """A penalty for each weight, and the data: ``X``, ``y`` to train, ``V``, ``u`` to judge."""
    rng = np.random.default_rng(0)
    X, V = rng.normal(size=(80, 10)), rng.normal(size=(40, 10))
    y, u = X[:, 0] + rng.normal(size=80), V[:, 0]
    problem = ht.Problem(
        inner=lambda w, x, d: np.mean((d.X @ w - d.y) ** 2) / 2 + np.sum(np.exp(x) * w**2) / 2,
        outer=lambda w, x, d: np.mean((d.X @ w - d.y) ** 2) / 2,
        x=np.zeros(10),
        w=np.zeros(10),
        train={"X": X, "y": y},
        valid={"X": V, "y": u},
    )
    return problem, (X, y, V, u)


def main():
    problem, _ = ridge()
    # A network of PyTorch makes the penalties.
    torch.manual_seed(0)
    net = torch.nn.Linear(3, 10).double()
    features, adam = torch.ones(3, dtype=torch.float64), torch.optim.Adam(net.parameters(), lr=0.05)
    losses = []
    for _ in range(40):
        adam.zero_grad()
        loss = outer_loss(problem, net(features), steps=50, lr=0.1)
        loss.backward()
        adam.step()
        losses.append(loss.item())
    print(f"outer loss {losses[0]:.4f} to {losses[-1]:.4f}")
    return losses


if __name__ == "__main__":
    main()
