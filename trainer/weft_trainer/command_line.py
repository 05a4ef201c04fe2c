"""What the training scripts share on the command line: options, errors, and what they write and print."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import onnx

from .dataset import TrainingSet
from .errors import TrainerError
from .manifest import write_model


def common_parser(doc: str | None, *, key: str, description: str) -> argparse.ArgumentParser:
    """The options of every training script; `doc` is the script's own help."""
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="training set, .csv, .csv.gz or .parquet")
    parser.add_argument("--out", type=Path, required=True, help="folder for the model and its manifest")
    parser.add_argument("--key", default=key, help="key of the model")
    parser.add_argument("--version", help="label of this version; default: date of the last row")
    parser.add_argument("--description", default=description)
    parser.add_argument("--features-file", type=Path, help="feature definitions that hold the service")
    parser.add_argument("--entity-columns", default="ns,value", help="columns that name the entity")
    parser.add_argument("--time-column", default="time")
    parser.add_argument("--seed", type=int, default=7)
    return parser


def manifest_head(data: TrainingSet, args: argparse.Namespace) -> dict[str, Any]:
    """What every manifest begins with."""
    last = datetime.fromtimestamp(data.times_ms[-1] / 1000, tz=timezone.utc)
    return {
        "key": args.key,
        "version": args.version or f"to-{last:%Y-%m-%d}",
        "description": args.description,
        "featureService": {"name": data.service.name, "features": data.service.features},
    }


def run(args: argparse.Namespace, train: Callable[[], tuple[onnx.ModelProto, dict[str, Any]]]) -> int:
    """Trains, writes the model with its manifest, prints the metrics as JSON; the exit code."""
    try:
        graph, manifest = train()
        written = write_model(args.out, args.key, graph, manifest)
    except TrainerError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(json.dumps(manifest["metrics"], indent=2))
    print(f"wrote {written[0]} and {written[1]}", file=sys.stderr)
    return 0
