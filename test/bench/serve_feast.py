"""Feast's feature server on Redis, with values that are given to it.

python serve_feast.py <folder> <redis host:port> <port>: the folder has values.json, {"join_key": …, "features": {name:
type}, "rows": {column: [values]}}; the server is started in the place of this process.
"""

import json
import os
import sys
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pandas
from feast import Entity, FeatureStore, FeatureView, Field, FileSource, ValueType
from feast.types import Float64, Int64, String

TYPES = {"int": Int64, "double": Float64, "string": String}


def main(folder: str, redis: str, port: str) -> None:
    given = json.loads(Path(folder, "values.json").read_text())
    Path(folder, "feature_store.yaml").write_text(
        "project: bench\nprovider: local\nregistry: registry.db\nentity_key_serialization_version: 3\n"
        f"online_store:\n  type: redis\n  connection_string: {redis}\n"
    )
    store = FeatureStore(repo_path=folder)
    key = given["join_key"]
    frame = pandas.DataFrame(given["rows"])
    frame["event_timestamp"] = datetime.now(timezone.utc) - timedelta(minutes=1)
    for name, kind in given["features"].items():
        if kind != "string":
            frame[name] = pandas.to_numeric(frame[name]).fillna(0).astype("int64" if kind == "int" else "float64")
    table = str(Path(folder, "rows.parquet"))
    frame.to_parquet(table)
    visitor = Entity(name="visitor", join_keys=[key], value_type=ValueType.STRING)
    view = FeatureView(
        name="wide",
        entities=[visitor],
        ttl=timedelta(days=1),
        schema=[Field(name=key, dtype=String)]
        + [Field(name=name, dtype=TYPES[kind]) for name, kind in given["features"].items()],
        source=FileSource(path=table, timestamp_field="event_timestamp"),
    )
    store.apply([visitor, view])
    store.write_to_online_store("wide", frame)
    feast = str(Path(sys.executable).with_name("feast"))
    # A worker that is renewed after a thousand requests breaks off those of its connections.
    lasting = ["--max-requests", "1000000000", "--max-requests-jitter", "0"]
    os.execv(feast, [feast, "-c", folder, "serve", "-h", "127.0.0.1", "-p", port, "--no-access-log", *lasting])


main(*sys.argv[1:4])
