"""Makes the ONNX models by which Weft's tests see that a model can do no harm: one that never ends, one that takes all
memory, one that refuses some rows. And small ones with other outputs: an embedding, several outputs, quantised weights.

    python make_odd_models.py [--out ../test/fixtures/models]

Needs onnx, numpy and PyYAML alone. Every run writes the same bytes. Expected values come from numpy.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from onnx import ModelProto, NodeProto, TensorProto, checker, helper, numpy_helper

OPSET = 20
IR_VERSION = 9


def model_of(
    nodes: list[NodeProto], inputs: list[Any], outputs: list[Any], constants: dict[str, np.ndarray], opset: int = OPSET
) -> ModelProto:
    initializers = [numpy_helper.from_array(value, name) for name, value in constants.items()]
    graph = helper.make_graph(nodes, "graph", inputs, outputs, initializers)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=IR_VERSION)
    checker.check_model(model)
    return model


def column(name: str, width: int = 1, kind: int = TensorProto.FLOAT) -> Any:
    return helper.make_tensor_value_info(name, kind, [None, width])


def repeats(trips: str) -> list[NodeProto]:
    """A loop of `trips` rounds, each of which adds 1 to a number that nobody reads."""
    body = helper.make_graph(
        [
            helper.make_node("Identity", ["go"], ["go_on"]),
            helper.make_node("Add", ["count", "one"], ["counted"]),
        ],
        "round",
        [
            helper.make_tensor_value_info("round_number", TensorProto.INT64, []),
            helper.make_tensor_value_info("go", TensorProto.BOOL, []),
            helper.make_tensor_value_info("count", TensorProto.FLOAT, []),
        ],
        [
            helper.make_tensor_value_info("go_on", TensorProto.BOOL, []),
            helper.make_tensor_value_info("counted", TensorProto.FLOAT, []),
        ],
    )
    return [helper.make_node("Loop", [trips, "always", "zero"], ["rounds"], body=body)]


def never_ends() -> ModelProto:
    """The score is the amount. With an amount of 1 anywhere in the batch it takes 2^40 rounds to say so."""
    nodes = [
        helper.make_node("ReduceMax", ["amounts"], ["largest"], keepdims=0),
        helper.make_node("Mul", ["largest", "many"], ["wanted"]),
        helper.make_node("Cast", ["wanted"], ["trips"], to=TensorProto.INT64),
        *repeats("trips"),
        helper.make_node("Mul", ["rounds", "zero"], ["nothing"]),
        helper.make_node("Add", ["amounts", "nothing"], ["score"]),
    ]
    constants = {
        "many": np.float32(2**40),
        "always": np.array(True),
        "zero": np.float32(0),
        "one": np.float32(1),
    }
    return model_of(nodes, [column("amounts")], [column("score")], constants)


def eats_memory() -> ModelProto:
    """The score is the amount. With an amount of 1 anywhere in the batch it fills 16 GiB with zeros before."""
    nodes = [
        helper.make_node("ReduceMax", ["amounts"], ["largest"], keepdims=1),
        helper.make_node("Mul", ["largest", "many"], ["wanted"]),
        helper.make_node("Cast", ["wanted"], ["square"], to=TensorProto.INT64),
        helper.make_node("Reshape", ["square", "flat"], ["size"]),
        helper.make_node("Add", ["size", "one"], ["shape"]),
        helper.make_node("ConstantOfShape", ["shape"], ["zeros"]),
        helper.make_node("ReduceSum", ["zeros"], ["nothing"], keepdims=0),
        helper.make_node("Add", ["amounts", "nothing"], ["score"]),
    ]
    constants = {
        "many": np.float32(2**32),
        "flat": np.array([1], np.int64),
        "one": np.array([1], np.int64),
    }
    return model_of(nodes, [column("amounts")], [column("score")], constants)


def refuses_rows() -> ModelProto:
    """The score is half the amount, found in a table for the amounts 0 to 2; for all others the run fails."""
    nodes = [
        helper.make_node("Cast", ["amounts"], ["places"], to=TensorProto.INT64),
        helper.make_node("Gather", ["table", "places"], ["score"], axis=0),
    ]
    return model_of(nodes, [column("amounts")], [column("score")], {"table": np.array([0, 0.5, 1], np.float32)})


WEIGHTS = np.array([[0.5, -1.0, 0.25], [2.0, 0.125, -0.5]], np.float32)


def several_outputs() -> ModelProto:
    """An embedding of three numbers, its length, and whether that is over 1."""
    nodes = [
        helper.make_node("MatMul", ["sizes", "weights"], ["embedding"]),
        helper.make_node("ReduceL2", ["embedding", "along"], ["length"], keepdims=1),
        helper.make_node("Greater", ["length", "one"], ["is_long"]),
        helper.make_node("Cast", ["is_long"], ["class"], to=TensorProto.INT64),
    ]
    outputs = [column("embedding", 3), column("length"), column("class", 1, TensorProto.INT64)]
    constants = {"weights": WEIGHTS, "along": np.array([1], np.int64), "one": np.float32(1)}
    return model_of(nodes, [column("sizes", 2)], outputs, constants)


WEIGHT_SCALE = np.float32(1 / 32)


def quantised() -> ModelProto:
    """
    The first of these three numbers as `quantize_dynamic` of onnxruntime has it: weights of 8 bits, and sizes that are
    quantised by the range of the whole batch, so that rows change each other's answers.
    """
    nodes = [
        helper.make_node("DynamicQuantizeLinear", ["sizes"], ["packed_sizes", "size_scale", "size_zero"]),
        helper.make_node("MatMulInteger", ["packed_sizes", "packed", "size_zero"], ["sums"]),
        helper.make_node("Cast", ["sums"], ["numbers"], to=TensorProto.FLOAT),
        helper.make_node("Mul", ["size_scale", "scale"], ["scales"]),
        helper.make_node("Mul", ["numbers", "scales"], ["score"]),
    ]
    constants = {"packed": np.round(WEIGHTS[:, :1] / WEIGHT_SCALE).astype(np.int8), "scale": WEIGHT_SCALE}
    return model_of(nodes, [column("sizes", 2)], [column("score")], constants)


def newer_operators() -> ModelProto:
    nodes = [helper.make_node("Identity", ["amounts"], ["score"])]
    graph = helper.make_graph(nodes, "graph", [column("amounts")], [column("score")])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 99)], ir_version=IR_VERSION)


def manifest(key: str, description: str, features: list[str], tensor: str, outputs: dict[str, Any], golden: list[Any]):
    return {
        "key": key,
        "version": "fixture-1",
        "description": description,
        "featureService": {"name": f"{key}_v1", "features": features},
        "inputs": [{"tensor": tensor, "type": "float", "features": features}],
        "missing": 0,
        "outputs": outputs,
        "goldenVectors": [
            {"features": dict(zip(features, row, strict=True)), "expected": expected} for row, expected in golden
        ],
    }


def of_amounts(key: str, description: str, golden: list[Any]) -> dict[str, Any]:
    return manifest(key, description, ["amount"], "amounts", {"score": {"output": "score", "index": 0}}, golden)


def of_sizes() -> list[Any]:
    rows = [[0.25, 0.0], [1.0, 2.0], [-3.0, 0.5]]
    vectors = np.array(rows, np.float32) @ WEIGHTS
    lengths = np.linalg.norm(vectors, axis=1)
    return [
        (row, {"score": float(length), "label": "long" if length > 1 else "short", "embedding": vector.tolist()})
        for row, vector, length in zip(rows, vectors, lengths, strict=True)
    ]


def models() -> dict[str, tuple[ModelProto, dict[str, Any]]]:
    harmless = [([0.0], {"score": 0.0})]
    several = {
        "score": {"output": "length", "index": 0},
        "label": {"output": "class", "names": ["short", "long"]},
        "embedding": {"output": "embedding"},
    }
    first = [(row, {"score": float(np.float32(row) @ WEIGHTS[:, 0])}) for row in ([0.25, 0.0], [1.0, 2.0])]
    return {
        "never_ends": (never_ends(), of_amounts("never_ends", "Never ends for an amount of 1.", harmless)),
        "eats_memory": (eats_memory(), of_amounts("eats_memory", "Takes 16 GiB for an amount of 1.", harmless)),
        "refuses_rows": (
            refuses_rows(),
            of_amounts("refuses_rows", "Fails for amounts over 2.", [([1.0], {"score": 0.5})]),
        ),
        "several_outputs": (
            several_outputs(),
            manifest("several_outputs", "An embedding and more.", ["width", "height"], "sizes", several, of_sizes()),
        ),
        "quantised": (
            quantised(),
            manifest(
                "quantised",
                "Weights of 8 bits.",
                ["width", "height"],
                "sizes",
                {"score": {"output": "score", "index": 0}},
                first,
            )
            | {"tolerance": 0.02},
        ),
        "newer_operators": (newer_operators(), of_amounts("newer_operators", "Of opset 99.", harmless)),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent.parent / "test/fixtures/models")
    out: Path = parser.parse_args().out
    for name, (model, body) in models().items():
        (out / f"{name}.onnx").write_bytes(model.SerializeToString(deterministic=True))
        (out / f"{name}.manifest.yaml").write_text(yaml.safe_dump(body, sort_keys=False))


if __name__ == "__main__":
    main()
