"""How good a probability is: ranking (AUC), sharpness (log loss, Brier) and honesty (calibration)."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.metrics import average_precision_score, brier_score_loss, log_loss, roc_auc_score

CALIBRATION_BINS = 10


def probability_metrics(labels: np.ndarray, scores: np.ndarray) -> dict[str, Any]:
    base = float(labels.mean())
    bins = calibration_bins(labels, scores)
    error = sum(entry["rows"] * abs(entry["predicted"] - entry["observed"]) for entry in bins) / len(labels)
    top = np.argsort(-scores, kind="stable")[: max(1, len(scores) // 10)]
    return {
        "rows": len(labels),
        "positives": int(labels.sum()),
        "auc": float(roc_auc_score(labels, scores)),
        "averagePrecision": float(average_precision_score(labels, scores)),
        "logLoss": float(log_loss(labels, scores, labels=[0, 1])),
        "brier": float(brier_score_loss(labels, scores)),
        "brierOfBaseRate": base * (1 - base),
        "liftOfTopTenth": float(labels[top].mean() / base),
        "expectedCalibrationError": float(error),
        "calibration": bins,
    }


def calibration_bins(labels: np.ndarray, scores: np.ndarray) -> list[dict[str, Any]]:
    """Mean score and share of positives in bins of equal numbers of rows, by rising score."""
    order = np.argsort(scores, kind="stable")
    return [
        {"rows": len(rows), "predicted": float(scores[rows].mean()), "observed": float(labels[rows].mean())}
        for rows in np.array_split(order, CALIBRATION_BINS)
        if len(rows) > 0
    ]


def rounded(value: Any, digits: int = 6) -> Any:
    """Metrics for people: the last bits differ between machines and tell nothing."""
    if isinstance(value, dict):
        return {key: rounded(item, digits) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [rounded(item, digits) for item in value]
    return round(value, digits) if isinstance(value, float) else value
