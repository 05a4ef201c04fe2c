"""The manifest that is registered beside an ONNX file. Its fields are described in docs/models.md of Weft."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any

import onnx
import yaml

MAX_MODEL_BYTES = 64 * 1024 * 1024


def plain(value: Any) -> Any:
    """numpy scalars and arrays as plain Python, and NaN as None, so that YAML and JSON agree on every value."""
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if hasattr(value, "tolist") and not isinstance(value, (str, bytes)):
        return plain(value.tolist())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


_NUMBER_IN_YAML_1_2 = re.compile(r"0o[0-7]+|0x[0-9a-fA-F]+|[-+]?(\.\d+|\d+(\.\d*)?)([eE][-+]?\d+)?")


class _Dumper(yaml.SafeDumper):
    """Writes what readers of YAML 1.1 and of 1.2 understand alike."""


def _represent_float(dumper: yaml.SafeDumper, value: float) -> yaml.Node:
    text = repr(value)
    # YAML reads `1e-05` as text: its floats need a dot.
    if "e" in text and "." not in text:
        text = text.replace("e", ".0e")
    return dumper.represent_scalar("tag:yaml.org,2002:float", text)


def _represent_text(dumper: yaml.SafeDumper, value: str) -> yaml.Node:
    # Weft reads YAML 1.2, where some texts are numbers that YAML 1.1, which this library writes, leaves unquoted.
    quoted = "'" if _NUMBER_IN_YAML_1_2.fullmatch(value) else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=quoted)


_Dumper.add_representer(float, _represent_float)
_Dumper.add_representer(str, _represent_text)


def write_model(out_dir: Path, key: str, graph: onnx.ModelProto, manifest: dict[str, Any]) -> tuple[Path, Path]:
    """Writes `<key>.onnx` and `<key>.manifest.yaml` and returns both paths. An existing pair is replaced."""
    data = graph.SerializeToString(deterministic=True)
    if len(data) > MAX_MODEL_BYTES:
        raise ValueError(f"model {key} has {len(data)} bytes; Weft accepts {MAX_MODEL_BYTES}")
    out_dir.mkdir(parents=True, exist_ok=True)
    model_path = out_dir / f"{key}.onnx"
    manifest_path = out_dir / f"{key}.manifest.yaml"
    model_path.write_bytes(data)
    text = yaml.dump(plain(manifest), Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=110, default_flow_style=None)
    manifest_path.write_text(text, encoding="utf-8")
    return model_path, manifest_path
