"""Reads a training set that `weft export training-set` wrote: one row per entity and instant T.

Columns: those of the entity (`ns`, `value`), the instant (`time`), the label (`label`), and one per feature, as of T.
"""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pa_parquet
import yaml

from .errors import TrainerError

FEATURE_NAME = re.compile(r"[a-z][a-z0-9_]{0,62}")
MAX_ROWS = 5_000_000


@dataclass(frozen=True)
class FeatureService:
    """The ordered features that a model reads, and which of them hold text."""

    name: str
    features: list[str]
    texts: frozenset[str]


@dataclass(frozen=True)
class TrainingSet:
    """Rows by rising T; equal T keep the order of the file, so that the same file gives the same model."""

    service: FeatureService
    #: One float64 column per numeric feature, in the service's order; NaN is missing.
    numbers: np.ndarray
    #: One object column of str per text feature, in the service's order; None is missing.
    texts: np.ndarray
    #: ms since the epoch, UTC.
    times_ms: np.ndarray
    #: 0 or 1; empty where the set has no labels.
    labels: np.ndarray

    @property
    def number_names(self) -> list[str]:
        return [name for name in self.service.features if name not in self.service.texts]

    @property
    def text_names(self) -> list[str]:
        return [name for name in self.service.features if name in self.service.texts]

    def constant_features(self) -> list[str]:
        """Features that are the same in every row, missing ones included: nothing can be learned from them."""
        numbers = [name for i, name in enumerate(self.number_names) if len(np.unique(self.numbers[:, i])) <= 1]
        texts = [name for i, name in enumerate(self.text_names) if len(set(self.texts[:, i])) <= 1]
        return numbers + texts

    def missing_shares(self) -> dict[str, float]:
        """Share of rows in which a feature is missing, for those that ever are."""
        shares = {name: float(np.isnan(self.numbers[:, i]).mean()) for i, name in enumerate(self.number_names)}
        for i, name in enumerate(self.text_names):
            shares[name] = float(np.mean([text is None for text in self.texts[:, i]]))
        return {name: share for name, share in shares.items() if share > 0}


def read_service(features_file: Path, name: str) -> FeatureService:
    """A service of a feature definition file, such as `seeds/features.yaml`."""
    try:
        document = yaml.safe_load(features_file.read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError) as error:
        raise TrainerError(f"cannot read {features_file}: {error}") from error
    services = {service["name"]: service["features"] for service in document.get("services") or []}
    if name not in services:
        raise TrainerError(f"{features_file} has no service {name}", f"it has {', '.join(sorted(services)) or 'none'}")
    texts = {
        feature["name"]
        for view in document.get("views") or []
        for feature in view.get("features") or []
        if feature.get("aggregate") in ("first", "last") and feature.get("type", "string") == "string"
    }
    return FeatureService(name, list(services[name]), frozenset(texts & set(services[name])))


def read_training_set(
    path: Path,
    *,
    service: FeatureService | None,
    service_name: str,
    entity_columns: list[str],
    time_column: str,
    label_column: str | None,
) -> TrainingSet:
    """Reads CSV (also .gz) or Parquet. Without a service, every other column is a feature, in the file's order."""
    table = _read_table(path)
    known = [*entity_columns, time_column] + ([label_column] if label_column is not None else [])
    if service is None:
        features = [name for name in table.column_names if name not in known and name not in ("profile_id", "entity_status")]
        texts = frozenset(name for name in features if _is_text(table.column(name).type))
        service = FeatureService(service_name, features, texts)
    _check_columns(path, table, [time_column, *service.features] + ([label_column] if label_column is not None else []))
    if not service.features:
        raise TrainerError(f"{path} has no feature columns", f"it has only {', '.join(table.column_names)}")
    for name in service.features:
        if FEATURE_NAME.fullmatch(name) is None:
            raise TrainerError(f"column {name!r} is not the name of a feature", "leave it out with --service")
    if table.num_rows == 0:
        raise TrainerError(f"{path} has no rows")
    if table.num_rows > MAX_ROWS:
        raise TrainerError(f"{path} has {table.num_rows} rows", f"train on a sample of at most {MAX_ROWS}")
    numbers = [_numbers(table, name) for name in service.features if name not in service.texts]
    texts = [_texts(table, name) for name in service.features if name in service.texts]
    times_ms = _times_ms(table, time_column)
    labels = np.zeros(0, dtype=np.int64) if label_column is None else _labels(table, label_column)
    order = np.argsort(times_ms, kind="stable")
    rows = table.num_rows
    return TrainingSet(
        service=service,
        numbers=(np.stack(numbers, axis=1) if numbers else np.zeros((rows, 0)))[order],
        texts=(np.stack(texts, axis=1) if texts else np.zeros((rows, 0), dtype=object))[order],
        times_ms=times_ms[order],
        labels=labels if label_column is None else labels[order],
    )


def _read_table(path: Path) -> pa.Table:
    if not path.is_file():
        raise TrainerError(f"there is no file {path}", "write one with: weft export training-set")
    try:
        if path.name.endswith(".parquet"):
            return pa_parquet.read_table(path)
        # A quoted empty text is missing as well: CSV cannot tell the two apart after most tools.
        convert = pa_csv.ConvertOptions(strings_can_be_null=True, null_values=["", "null", "NULL", "NaN", "nan"])
        return pa_csv.read_csv(path, convert_options=convert)
    except (pa.ArrowException, OSError) as error:
        raise TrainerError(f"cannot read {path}: {error}", "give a .csv, .csv.gz or .parquet file") from error


def _check_columns(path: Path, table: pa.Table, wanted: list[str]) -> None:
    missing = [name for name in wanted if name not in table.column_names]
    if not missing:
        return
    near = difflib.get_close_matches(missing[0], table.column_names, n=1)
    hint = f"did you mean {near[0]}?" if near else f"it has {', '.join(table.column_names)}"
    raise TrainerError(f"{path} has no column {', '.join(missing)}", hint)


def _is_text(kind: pa.DataType) -> bool:
    return pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_dictionary(kind)


def _numbers(table: pa.Table, name: str) -> np.ndarray:
    column = table.column(name)
    if pa.types.is_null(column.type):
        return np.full(table.num_rows, np.nan)
    if pa.types.is_timestamp(column.type):
        column = column.cast(pa.timestamp("ms")).cast(pa.int64())
    if not (pa.types.is_integer(column.type) or pa.types.is_floating(column.type) or pa.types.is_boolean(column.type)):
        raise TrainerError(f"feature {name} is {column.type}, not a number", "declare it as text, or leave it out of the service")
    numbers = column.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False).astype(np.float64)
    if np.isinf(numbers).any():
        raise TrainerError(f"feature {name} has infinite values", "bound it where it is defined")
    if np.nanmax(np.abs(numbers), initial=0) > np.finfo(np.float32).max:
        raise TrainerError(f"feature {name} has values beyond single precision", "scale it where it is defined")
    return numbers


def _texts(table: pa.Table, name: str) -> np.ndarray:
    texts = np.empty(table.num_rows, dtype=object)
    texts[:] = [None if value is None else str(value) for value in table.column(name).to_pylist()]
    return texts


def _times_ms(table: pa.Table, name: str) -> np.ndarray:
    column = table.column(name)
    if column.null_count > 0:
        raise TrainerError(f"column {name} has {column.null_count} rows without a time")
    if pa.types.is_timestamp(column.type):
        return column.cast(pa.timestamp("ms", tz=column.type.tz), safe=False).cast(pa.int64()).to_numpy()
    if pa.types.is_integer(column.type) or pa.types.is_floating(column.type):
        return column.cast(pa.int64(), safe=False).to_numpy()
    try:
        return np.array([_iso_ms(text) for text in column.to_pylist()], dtype=np.int64)
    except (TypeError, ValueError) as error:
        raise TrainerError(f"column {name} does not hold times: {error}", "give ms since the epoch, or ISO 8601") from error


def _iso_ms(text: str) -> int:
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=timezone.utc)
    return round(moment.timestamp() * 1000)


def _labels(table: pa.Table, name: str) -> np.ndarray:
    column = table.column(name)
    if column.null_count > 0:
        raise TrainerError(f"column {name} has {column.null_count} rows without a label")
    values = {str(value).lower() for value in column.unique().to_pylist()}
    if not values <= {"0", "1", "0.0", "1.0", "true", "false"}:
        shown = ", ".join(sorted(values)[:5])
        raise TrainerError(f"column {name} holds {shown}", "a label is 0 or 1")
    return np.array([str(value).lower() in ("1", "1.0", "true") for value in column.to_pylist()], dtype=np.int64)
