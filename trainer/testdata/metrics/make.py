#!/usr/bin/env python3
"""Write golden.json beside this file: figures of scikit-learn and SciPy for logits and what is right.

usage: make.py            (needs: pip install scikit-learn scipy; written for 1.9.1 and 1.17.1)

Logits are numbers that float32 has exactly; scores are their sigmoids in float64. A label is given where its score is at least its threshold.
"""
import json, pathlib, warnings

import numpy as np
import scipy, sklearn
from scipy.special import expit, log_softmax
from scipy.stats import pearsonr, spearmanr
from sklearn import metrics

HERE = pathlib.Path(__file__).parent
draw = np.random.default_rng(11)


def logits(n: int, width: int) -> np.ndarray:
    return (np.round(draw.normal(0, 2, (n, width)) * 8) / 8).astype(np.float32)  # eighths: there are ties


def single(n: int, width: int, absent: int | None) -> dict:
    values, right = logits(n, width), draw.integers(0, width, n)
    if absent is not None:
        right[right == absent] = (absent + 1) % width
        values[:, absent] = -9
    given = values.argmax(1)
    p, r, f, s = metrics.precision_recall_fscore_support(right, given, labels=range(width), zero_division=0)
    return dict(logits=values.tolist(), targets=right.tolist(), loss=-log_softmax(values.astype(np.float64), 1)[np.arange(n), right].mean(), accuracy=metrics.accuracy_score(right, given),
                macro_f1=metrics.f1_score(right, given, average="macro", zero_division=0), precision=p.tolist(), recall=r.tolist(), f1=f.tolist(), n_examples=s.tolist(),
                confusion=metrics.confusion_matrix(right, given, labels=range(width)).tolist())


def multi(n: int, width: int, thresholds: list, share: float, empty: int | None) -> dict:
    values, right = logits(n, width), (draw.random((n, width)) < share).astype(int)
    if empty is not None:
        right[:, empty] = 0
        values[0] = -9
        right[0] = 0  # neither has nor is given any
    scores = expit(values.astype(np.float64))
    given = (scores >= np.array(thresholds)).astype(int)
    averages = {name: dict(zip(("precision", "recall", "f1"), metrics.precision_recall_fscore_support(right, given, average=name, zero_division=0)[:3])) for name in ("micro", "macro", "samples")}
    p, r, f, s = metrics.precision_recall_fscore_support(right, given, average=None, zero_division=0)
    aucs = [metrics.roc_auc_score(right[:, k], scores[:, k]) if 0 < right[:, k].sum() < n else None for k in range(width)]
    known = [auc for auc in aucs if auc is not None]
    loss = (np.maximum(values, 0) - values * right + np.log1p(np.exp(-np.abs(values.astype(np.float64))))).mean()
    return dict(logits=values.tolist(), targets=[np.flatnonzero(row).tolist() for row in right], thresholds=thresholds, loss=loss, exact_match=metrics.accuracy_score(right, given),
                hamming_loss=metrics.hamming_loss(right, given), **averages, roc_auc=float(np.mean(known)) if known else None, precision=p.tolist(), recall=r.tolist(), f1=f.tolist(), n_examples=s.tolist(), aucs=aucs)


def chosen(n: int, width: int) -> dict:
    """The best F1 that any threshold reaches, of each label."""
    values = logits(n, width)
    right = (draw.random((n, width)) < expit(values.astype(np.float64))).astype(int)
    scores = expit(values.astype(np.float64))
    best = []
    for k in range(width):
        p, r, _ = metrics.precision_recall_curve(right[:, k], scores[:, k])
        best.append(float(np.max(np.where(p + r > 0, 2 * p * r / np.where(p + r > 0, p + r, 1), 0))))
    return dict(logits=values.tolist(), targets=[np.flatnonzero(row).tolist() for row in right], best_f1=best)


def regression(values: np.ndarray, right: np.ndarray) -> dict:
    given = values[:, 0].astype(np.float64)
    def maybe(value): return None if np.isnan(value) else float(value)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        r2 = maybe(metrics.r2_score(right, given)) if len(right) > 1 else None
        pearson = maybe(pearsonr(given, right)[0]) if len(right) > 1 else None
        spearman = maybe(spearmanr(given, right)[0]) if len(right) > 1 else None
    return dict(logits=values.tolist(), targets=right.tolist(), mse=metrics.mean_squared_error(right, given), mae=metrics.mean_absolute_error(right, given),
                rmse=metrics.root_mean_squared_error(right, given), r2=r2, pearson=pearson, spearman=spearman)


def main() -> None:
    rated = logits(60, 1)
    golden = {
        "versions": {"scikit-learn": sklearn.__version__, "scipy": scipy.__version__},
        "single": [single(50, 4, None), single(30, 5, 2), single(7, 2, None)],
        "multi": [multi(60, 4, [0.5] * 4, 0.4, None), multi(40, 5, [0.3, 0.25, 0.75, 0.5, 0.05], 0.3, 3), multi(12, 2, [0.5, 0.5], 0.5, None)],
        "chosen": [chosen(80, 4), chosen(9, 3)],
        "regression": [regression(rated, np.round(rated[:, 0].astype(np.float64) + draw.normal(0, 1, 60), 1)), regression(logits(20, 1), np.round(draw.random(20) * 5 + 1e6)),
                       regression(logits(5, 1), np.full(5, 2.0)), regression(np.full((5, 1), 2.0, np.float32), np.arange(5.0)), regression(np.full((3, 1), 2.0, np.float32), np.full(3, 2.0)),
                       regression(logits(1, 1), np.array([1.5]))],
    }
    (HERE / "golden.json").write_text(json.dumps(golden) + "\n")


if __name__ == "__main__":
    main()
