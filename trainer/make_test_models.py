"""Makes the ONNX models that Weft's own tests register, from the data sets that scikit-learn brings (BSD licence).

    python make_test_models.py [--out ../test/fixtures/models]

Every run writes the same bytes. Expected values in the golden vectors come from scikit-learn, not from ONNX.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
from onnx import TensorProto, helper, numpy_helper
from skl2onnx.common.data_types import FloatTensorType, Int64TensorType, StringTensorType
from sklearn.cluster import KMeans
from sklearn.compose import ColumnTransformer
from sklearn.datasets import load_breast_cancer, load_iris
from sklearn.ensemble import RandomForestClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from weft_trainer.manifest import write_model
from weft_trainer.onnx_export import export_sklearn

SEED = 7
IRIS_FEATURES = ["sepal_length_cm", "sepal_width_cm", "petal_length_cm", "petal_width_cm"]
GOLDEN_ROWS = [0, 25, 60, 75, 110, 140]


def snake(name: str) -> str:
    return name.replace(" ", "_")


def base_manifest(key: str, description: str, service: str, features: list[str]) -> dict[str, Any]:
    return {
        "key": key,
        "version": "fixture-1",
        "description": description,
        "featureService": {"name": service, "features": features},
    }


def golden(names: list[str], rows: Any, expected: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [
        {"features": dict(zip(names, row, strict=True)), "expected": want} for row, want in zip(rows, expected, strict=True)
    ]


def as_floats(row: np.ndarray) -> list[float | None]:
    return [None if np.isnan(value) else float(value) for value in row]


def breast_cancer() -> tuple[np.ndarray, np.ndarray, list[str]]:
    """The ten `mean …` columns; the label 1 is benign."""
    data = load_breast_cancer()
    return data.data[:, :10].astype(np.float32), data.target, [snake(name) for name in data.feature_names[:10]]


def logistic_models(out: Path) -> None:
    """A binary score with imputation inside the graph; once as Weft wants it and once with ZipMap outputs."""
    rows, labels, names = breast_cancer()
    holed = rows.copy()
    holed[::9, 3] = np.nan
    model = make_pipeline(SimpleImputer(strategy="median"), StandardScaler(), LogisticRegression(max_iter=1000)).fit(holed, labels)
    picks = holed[GOLDEN_ROWS].copy()
    picks[0, :] = np.nan
    picks[1, 2] = np.nan
    scores = model.predict_proba(picks)[:, 1]
    inputs = [("features", FloatTensorType([None, len(names)]))]
    for key, zipmap in (("benign_logistic", False), ("benign_logistic_zipmap", True)):
        manifest = base_manifest(key, "Probability that a tumour is benign; logistic regression.", "tumour_v1", names) | {
            "inputs": [{"tensor": "features", "type": "float", "features": names}],
            "missing": "nan",
            "outputs": {
                "score": {"output": "output_probability" if zipmap else "probabilities", "index": 1},
                "label": {"output": "output_label" if zipmap else "label"},
            },
            "metrics": {"rows": len(rows), "accuracy": float(model.score(holed, labels))},
            "tolerance": 1e-5,
            "goldenVectors": golden(
                names,
                [as_floats(row) for row in picks],
                [{"score": float(score), "label": int(score > 0.5)} for score in scores],
            ),
        }
        write_model(out, key, export_sklearn(model, inputs, key, zipmap=zipmap), manifest)


def forest_model(out: Path, key: str, trees: int, max_depth: int | None) -> None:
    """A forest; missing values are filled by Weft, with zero or with what the manifest says for a feature."""
    rows, labels, names = breast_cancer()
    model = RandomForestClassifier(n_estimators=trees, max_depth=max_depth, random_state=SEED).fit(rows, labels)
    fill = {"mean_radius": 14.0, "mean_texture": 19.0}
    picks = rows[GOLDEN_ROWS].astype(np.float64)
    shown = [as_floats(row) for row in picks]
    shown[0] = [None] * len(names)
    picks[0, :] = [fill.get(name, 0.0) for name in names]
    shown[1][0] = None
    picks[1, 0] = fill["mean_radius"]
    scores = model.predict_proba(picks.astype(np.float32))[:, 1]
    manifest = base_manifest(key, f"Probability that a tumour is benign; {trees} trees.", "tumour_v1", names) | {
        "inputs": [{"tensor": "features", "type": "float", "features": names}],
        "missing": 0,
        "fill": fill,
        "outputs": {"score": {"output": "probabilities", "index": 1}},
        "metrics": {"rows": len(rows), "accuracy": float(model.score(rows, labels))},
        "tolerance": 1e-5,
        "goldenVectors": golden(names, shown, [{"score": float(score)} for score in scores]),
    }
    graph = export_sklearn(model, [("features", FloatTensorType([None, len(names)]))], key)
    write_model(out, key, graph, manifest)


def kmeans_model(out: Path) -> None:
    rows = load_iris().data.astype(np.float32)
    model = make_pipeline(StandardScaler(), KMeans(n_clusters=3, n_init=4, random_state=SEED)).fit(rows)
    picks = rows[GOLDEN_ROWS]
    cluster_names = ["first", "second", "third"]
    clusters = [int(cluster) for cluster in model.predict(picks)]
    manifest = base_manifest("iris_clusters", "Three groups of flowers; k-means.", "iris_v1", IRIS_FEATURES) | {
        "inputs": [{"tensor": "features", "type": "float"}],
        "missing": 0,
        "outputs": {"cluster": {"output": "label"}, "label": {"output": "label", "names": cluster_names}},
        "metrics": {"rows": len(rows), "inertia": float(model[-1].inertia_)},
        "goldenVectors": golden(
            IRIS_FEATURES,
            [as_floats(row) for row in picks],
            [{"cluster": cluster, "label": cluster_names[cluster]} for cluster in clusters],
        ),
    }
    graph = export_sklearn(model, [("features", FloatTensorType([None, 4]))], "iris_clusters", zipmap=None)
    write_model(out, "iris_clusters", graph, manifest)


def named_inputs_model(out: Path) -> None:
    """One tensor of each kind, as mixed tables give: two floats together, an integer alone, a text alone."""
    data = load_iris()
    rows = data.data.astype(np.float32)
    tenths = np.round(rows[:, 2] * 10).astype(np.int64)
    width = np.where(rows[:, 3] < 0.8, "narrow", np.where(rows[:, 3] < 1.75, "middle", "wide")).astype(object)
    mixed = np.concatenate([rows[:, :2].astype(object), tenths[:, None].astype(object), width[:, None]], axis=1)
    columns = ColumnTransformer(
        [
            ("sepals", StandardScaler(), [0, 1]),
            ("petal_length", StandardScaler(), [2]),
            ("petal_width", OneHotEncoder(handle_unknown="ignore", sparse_output=False), [3]),
        ]
    )
    names = np.array([str(name) for name in data.target_names])
    model = make_pipeline(columns, LogisticRegression(max_iter=1000)).fit(mixed, names[data.target])
    features = ["sepal_length_cm", "sepal_width_cm", "petal_length_tenths", "petal_width_class"]
    picks = mixed[GOLDEN_ROWS].copy()
    shown: list[list[Any]] = [[float(row[0]), float(row[1]), int(row[2]), str(row[3])] for row in picks]
    shown[1][3] = None
    picks[1, 3] = "unknown"
    shown[2][2] = None
    picks[2, 2] = 40
    probabilities = model.predict_proba(picks)
    predicted = model.predict(picks)
    manifest = base_manifest("iris_named", "Species of a flower from mixed columns.", "iris_mixed_v1", features) | {
        "inputs": [
            {"tensor": "sepals", "type": "float", "features": features[:2]},
            {"tensor": "petal_length", "type": "int64", "features": [features[2]]},
            {"tensor": "petal_width", "type": "string", "features": [features[3]]},
        ],
        "missing": 0,
        "fill": {"petal_length_tenths": 40, "petal_width_class": "unknown"},
        "outputs": {"score": {"output": "probabilities", "index": 2}, "label": {"output": "label"}},
        "metrics": {"rows": len(rows), "accuracy": float(model.score(mixed, names[data.target]))},
        "tolerance": 1e-5,
        "goldenVectors": golden(
            features,
            shown,
            [{"score": float(row[2]), "label": str(name)} for row, name in zip(probabilities, predicted, strict=True)],
        ),
    }
    inputs = [
        ("sepals", FloatTensorType([None, 2])),
        ("petal_length", Int64TensorType([None, 1])),
        ("petal_width", StringTensorType([None, 1])),
    ]
    write_model(out, "iris_named", export_sklearn(model, inputs, "iris_named"), manifest)


def external_models(out: Path) -> None:
    """Two graphs with weights in another file, which Weft refuses: at the top, and inside a branch."""

    def external_tensor(name: str) -> TensorProto:
        tensor = numpy_helper.from_array(np.ones(4, dtype=np.float32), name)
        tensor.ClearField("raw_data")
        tensor.data_location = TensorProto.EXTERNAL
        tensor.external_data.add(key="location", value="weights.bin")
        return tensor

    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, [None, 4])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, [None, 4])
    branch_out = helper.make_tensor_value_info("z", TensorProto.FLOAT, [4])
    branch = helper.make_graph([helper.make_node("Constant", [], ["z"], value=external_tensor("w"))], "branch", [], [branch_out])
    yes = numpy_helper.from_array(np.array(True), "yes")
    graphs = {
        "external_top": helper.make_graph([helper.make_node("Add", ["x", "w"], ["y"])], "g", [x], [y], [external_tensor("w")]),
        "external_branch": helper.make_graph(
            [
                helper.make_node("If", ["yes"], ["z"], then_branch=branch, else_branch=branch),
                helper.make_node("Add", ["x", "z"], ["y"]),
            ],
            "g",
            [x],
            [y],
            [yes],
        ),
    }
    for name, graph in graphs.items():
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8, producer_name="")
        (out / f"{name}.onnx").write_bytes(model.SerializeToString(deterministic=True))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent.parent / "test" / "fixtures" / "models")
    out: Path = parser.parse_args().out
    logistic_models(out)
    forest_model(out, "benign_forest", trees=20, max_depth=4)
    forest_model(out, "benign_forest_100", trees=100, max_depth=None)
    kmeans_model(out)
    named_inputs_model(out)
    external_models(out)
    for path in sorted(out.glob("*.onnx")):
        print(f"{path.name}: {path.stat().st_size} bytes")


if __name__ == "__main__":
    main()
