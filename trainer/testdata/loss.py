#!/usr/bin/env python3
"""Print the golden losses of `src/train/loss.rs`: plain, weighted, smoothed, both. Needs: pip install torch (written for 2.15)."""
import torch
from torch.nn.functional import cross_entropy

logits = torch.tensor([[2.0, -1.0, 0.5], [0.1, 0.2, 0.3], [-1.5, 3.0, 0.0], [1.0, 1.0, -2.0]], dtype=torch.float64)
labels, weights = torch.tensor([0, 2, 1, 1]), torch.tensor([0.5, 2.0, 1.5], dtype=torch.float64)
for smoothing in (0.0, 0.1):
    for weight in (None, weights):
        print(f"{cross_entropy(logits, labels, weight=weight, label_smoothing=smoothing).item():.9f}")
