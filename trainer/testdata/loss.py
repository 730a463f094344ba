#!/usr/bin/env python3
"""Write the golden losses and gradients of `src/train/loss.rs` to loss.json beside this file: cross-entropy plain, weighted, smoothed and
both, binary cross-entropy plain and weighted, squared errors; all in float64. Needs: pip install torch (written for 2.15)."""
import json, pathlib

import torch
from torch.nn import functional as F

LOGITS = [[2.0, -1.0, 0.5], [0.125, 0.25, 0.375], [-1.5, 3.0, 0.0], [1.0, 1.0, -2.0]]
WEIGHTS = [0.5, 2.0, 1.5]


def case(task, targets, loss_of, n_labels=3, smoothing=0.0, weights=None):
    logits = torch.tensor(LOGITS, dtype=torch.float64)[:, :n_labels].requires_grad_()
    loss = loss_of(logits)
    loss.backward()
    return dict(task=task, targets=targets, smoothing=smoothing, weights=weights, loss=loss.item(), gradient=logits.grad.flatten().tolist())


def main():
    labels, several, figures = [0, 2, 1, 1], [[0], [0, 2], [], [1, 2]], [1.5, -2.0, 0.25, 1.0]
    cases = []
    for smoothing in (0.0, 0.1):
        for weights in (None, WEIGHTS):
            weight = None if weights is None else torch.tensor(weights, dtype=torch.float64)
            cases.append(case("single", labels, lambda x: F.cross_entropy(x, torch.tensor(labels), weight=weight, label_smoothing=smoothing), smoothing=smoothing, weights=weights))
    hot = torch.tensor([[float(n in row) for n in range(3)] for row in several], dtype=torch.float64)
    for weights in (None, WEIGHTS):
        weight = None if weights is None else torch.tensor(weights, dtype=torch.float64)
        cases.append(case("multi", several, lambda x: F.binary_cross_entropy_with_logits(x, hot, pos_weight=weight), weights=weights))
    cases.append(case("regression", figures, lambda x: F.mse_loss(x.squeeze(1), torch.tensor(figures, dtype=torch.float64)), n_labels=1))
    cases.append(case("regression", [0.5] * 4, lambda x: F.mse_loss(x.squeeze(1), torch.full((4,), 0.5, dtype=torch.float64)), n_labels=1))
    to = pathlib.Path(__file__).with_name("loss.json")
    to.write_text(json.dumps({"torch": torch.__version__.split("+")[0], "logits": LOGITS, "cases": cases}, indent=1) + "\n")


if __name__ == "__main__":
    main()
