"""Small made-up training sets with what real ones have: holes, texts, constant columns, few positives."""

from __future__ import annotations

import csv
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pa_parquet

START_MS = 1_700_000_000_000
HOUR_MS = 3_600_000

INTENT_FEATURES = ["views_24h", "carts_24h", "avg_price_7d", "days_since_visit", "always_zero", "never_there", "last_platform"]


def intent_rows(count: int = 2_000, *, base: float = -3.0, hours: int = 24 * 60, seed: int = 1) -> list[dict[str, Any]]:
    random = np.random.default_rng(seed)
    rows = []
    for i in range(count):
        views, carts = int(random.poisson(4)), int(random.poisson(0.7))
        since = None if random.random() < 0.2 else int(random.integers(0, 30))
        platform = ["web", "ios", "android", None][random.integers(0, 4)]
        logit = base + 0.15 * views + 1.2 * carts + (0 if since is None else -0.05 * since) + (0.8 if platform == "ios" else 0)
        rows.append(
            {
                "ns": "user_id",
                "value": f"u{i % 300}",
                "time": START_MS + int(random.integers(0, hours)) * HOUR_MS,
                "label": int(random.random() < 1 / (1 + np.exp(-logit))),
                "views_24h": views,
                "carts_24h": carts,
                "avg_price_7d": None if views == 0 else round(float(random.gamma(2, 20)), 2),
                "days_since_visit": since,
                "always_zero": 0,
                "never_there": None,
                "last_platform": platform,
            }
        )
    return rows


def rfm_rows(count: int = 600, seed: int = 2) -> list[dict[str, Any]]:
    """Three well-separated kinds of customers, and some who never ordered."""
    random = np.random.default_rng(seed)
    kinds = [(5, 30, 4000), (60, 6, 500), (250, 1, 40)]
    rows = []
    for i in range(count):
        recency, frequency, monetary = kinds[i % 3]
        ordered = random.random() > 0.05
        rows.append(
            {
                "ns": "crm_id",
                "value": f"c{i}",
                "time": START_MS,
                "days_since_order": int(recency * random.uniform(0.7, 1.3)) if ordered else None,
                "orders_365d": max(1, int(frequency * random.uniform(0.7, 1.3))) if ordered else 0,
                "spend_365d": round(monetary * random.uniform(0.7, 1.3), 2) if ordered else 0.0,
            }
        )
    return rows


def write_csv(path: Path, rows: list[dict[str, Any]], *, iso_times: bool = False) -> Path:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, fieldnames=list(rows[0]))
        writer.writeheader()
        for row in rows:
            time = row["time"]
            if iso_times:
                time = datetime.fromtimestamp(time / 1000, tz=timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.000Z")
            writer.writerow(row | {"time": time})
    return path


def write_parquet(path: Path, rows: list[dict[str, Any]]) -> Path:
    pa_parquet.write_table(pa.Table.from_pylist(rows), path)
    return path
