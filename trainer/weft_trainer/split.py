"""Splits by time, as the model will be used: trained on the past, judged on what came after."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .errors import TrainerError

TRAIN_SHARE = 0.70
VALIDATION_SHARE = 0.15


@dataclass(frozen=True)
class TimeSplit:
    """Row numbers of each part. Rows of equal T are never in two parts."""

    train: np.ndarray
    validation: np.ndarray
    test: np.ndarray
    #: Rows left out because their label looks beyond the part's end.
    embargoed: int

    def parts(self) -> dict[str, np.ndarray]:
        return {"train": self.train, "validation": self.validation, "test": self.test}


def split_by_time(times_ms: np.ndarray, horizon_ms: int) -> TimeSplit:
    """70/15/15 by T, which must be sorted.

    A label tells of the `horizon_ms` after T; a row of an earlier part whose horizon reaches into a later one would
    carry the later part's outcomes into training, and is left out.
    """
    rows = len(times_ms)
    validation_from = times_ms[min(int(rows * TRAIN_SHARE), rows - 1)]
    test_from = times_ms[min(int(rows * (TRAIN_SHARE + VALIDATION_SHARE)), rows - 1)]
    train = np.flatnonzero(times_ms + horizon_ms < validation_from)
    validation = np.flatnonzero((times_ms >= validation_from) & (times_ms + horizon_ms < test_from))
    test = np.flatnonzero(times_ms >= test_from)
    if min(len(train), len(validation), len(test)) == 0:
        raise TrainerError(
            "the rows do not spread over enough time to split them 70/15/15",
            f"sample T over many times the label's horizon of {horizon_ms / 3_600_000:g} hours, or lower --horizon-hours",
        )
    return TimeSplit(train, validation, test, rows - len(train) - len(validation) - len(test))


def check_positives(labels: np.ndarray, split: TimeSplit, least: int) -> None:
    """Both classes must be there in every part, `least` times in training and a quarter of that in the others."""
    for name, rows in split.parts().items():
        wanted = least if name == "train" else max(2, least // 4)
        positives = int(labels[rows].sum())
        found = min(positives, len(rows) - positives)
        if found >= wanted:
            continue
        rare = "positive" if positives == found else "negative"
        raise TrainerError(
            f"the {name} part has {found} {rare} labels of {len(rows)} rows; at least {wanted} are needed",
            "sample more rows, or a longer time; --min-positives lowers the bound",
        )
