"""Writes fitted scikit-learn models as ONNX graphs that Weft's registry accepts, the same bytes on every run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import onnx
import onnxruntime
from skl2onnx import to_onnx

# The operators that the onnxruntime of Weft's server knows; a newer one here would be refused there.
TARGET_OPSET = {"": 18, "ai.onnx.ml": 3}


def export_sklearn(model: Any, inputs: list[tuple[str, Any]], graph_name: str, *, zipmap: bool | None = False) -> onnx.ModelProto:
    """Converts a fitted estimator. `inputs` are names with skl2onnx types, as `[("features", FloatTensorType([None, 4]))]`.

    `zipmap`: False gives the probabilities as one float tensor, which is what Weft reads; True gives a list of
    dictionaries, which Weft refuses; None for models without the option (clusters, regressions).
    """
    options = None if zipmap is None else {id(model): {"zipmap": zipmap}}
    graph = to_onnx(model, initial_types=inputs, options=options, target_opset=TARGET_OPSET, name=graph_name)
    # skl2onnx lists the opsets in the order of a set of strings, which differs from run to run.
    opsets = sorted(graph.opset_import, key=lambda opset: opset.domain)
    del graph.opset_import[:]
    graph.opset_import.extend(opsets)
    onnx.checker.check_model(graph)
    return graph


def run_onnx(graph: onnx.ModelProto, feeds: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Runs a graph on the same runtime that Weft uses, on one thread so that results repeat."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(graph.SerializeToString(), options, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, dict(feeds)), strict=True))
