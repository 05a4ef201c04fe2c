"""Groups customers by recency, frequency and monetary value, on a training set that Weft exported.

    python train_rfm_clusters.py --data rfm.parquet --out ../seeds/models \\
        --features-file ../seeds/features.yaml --service rfm_v1

k-means on standardised log(1 + x). Clusters are numbered and named from the best customers (recent, frequent, much
spent) to the least. Writes `<key>.onnx` and `<key>.manifest.yaml` and prints the metrics as JSON. The same data and
seed give the same files.
"""

from __future__ import annotations

import argparse
import sys
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from sklearn.cluster import KMeans
from sklearn.metrics import silhouette_score
from sklearn.preprocessing import StandardScaler

from weft_trainer.command_line import common_parser, manifest_head, run
from weft_trainer.dataset import FeatureService, TrainingSet, read_service, read_training_set
from weft_trainer.errors import TrainerError
from weft_trainer.manifest import plain
from weft_trainer.metrics import rounded
from weft_trainer.onnx_export import TARGET_OPSET, run_onnx

#: From best to least, by number of clusters.
NAMES = {
    2: ["engaged", "lapsed"],
    3: ["champions", "regulars", "lapsed"],
    4: ["champions", "loyal", "occasional", "lapsed"],
    5: ["champions", "loyal", "regulars", "occasional", "lapsed"],
    6: ["champions", "loyal", "regulars", "occasional", "fading", "lapsed"],
}
GOLDEN_PER_CLUSTER = 3
SILHOUETTE_ROWS = 5_000
#: A golden vector lies nearer to its own centre than to the next by this share, so that rounding cannot move it.
GOLDEN_MARGIN = 0.05


class RfmModel:
    """Standardised log(1 + x), then the nearest of the centres, which are ordered from best to least."""

    def __init__(self, values: np.ndarray, clusters: int, seed: int) -> None:
        logs = np.log1p(values)
        self.scaler = StandardScaler().fit(logs)
        found = KMeans(n_clusters=clusters, n_init=10, random_state=seed).fit(self.scaler.transform(logs)).cluster_centers_
        # Recency counts against, frequency and monetary value for; all three have unit variance here.
        worth = found[:, 1] + found[:, 2] - found[:, 0]
        self.centres = found[np.argsort(-worth, kind="stable")]

    def distances(self, values: np.ndarray) -> np.ndarray:
        z = self.scaler.transform(np.log1p(np.maximum(values, 0)))
        return ((z[:, None, :] - self.centres[None, :, :]) ** 2).sum(axis=2)

    def predict(self, values: np.ndarray) -> np.ndarray:
        return self.distances(values).argmin(axis=1)

    def centres_in_units(self) -> np.ndarray:
        """The centres as days, orders and money."""
        return np.expm1(self.scaler.inverse_transform(self.centres))


def rfm_graph(model: RfmModel, key: str) -> onnx.ModelProto:
    """Written out by hand: scikit-learn's log step has no counterpart that converts."""

    def constant(name: str, value: np.ndarray) -> TensorProto:
        return numpy_helper.from_array(value.astype(np.float32), name)

    def axis(name: str, value: int) -> TensorProto:
        return numpy_helper.from_array(np.array([value], dtype=np.int64), name)

    clusters = len(model.centres)
    graph = helper.make_graph(
        [
            helper.make_node("Max", ["features", "zero"], ["positive"]),
            helper.make_node("Add", ["positive", "one"], ["shifted"]),
            helper.make_node("Log", ["shifted"], ["logs"]),
            helper.make_node("Sub", ["logs", "mean"], ["centred"]),
            helper.make_node("Div", ["centred", "scale"], ["z"]),
            helper.make_node("Unsqueeze", ["z", "axis_one"], ["z_rows"]),
            helper.make_node("Sub", ["z_rows", "centres"], ["offsets"]),
            helper.make_node("Mul", ["offsets", "offsets"], ["squares"]),
            helper.make_node("ReduceSum", ["squares", "axis_two"], ["distances"], keepdims=0),
            helper.make_node("ArgMin", ["distances"], ["cluster"], axis=1, keepdims=0),
        ],
        key,
        [helper.make_tensor_value_info("features", TensorProto.FLOAT, [None, 3])],
        [
            helper.make_tensor_value_info("cluster", TensorProto.INT64, [None]),
            helper.make_tensor_value_info("distances", TensorProto.FLOAT, [None, clusters]),
        ],
        [
            constant("zero", np.zeros(1)),
            constant("one", np.ones(1)),
            constant("mean", model.scaler.mean_),
            constant("scale", model.scaler.scale_),
            constant("centres", model.centres[None, :, :]),
            axis("axis_one", 1),
            axis("axis_two", 2),
        ],
    )
    opset = helper.make_opsetid("", TARGET_OPSET[""])
    proto = helper.make_model(graph, opset_imports=[opset], ir_version=8, producer_name="weft-trainer")
    onnx.checker.check_model(proto)
    return proto


def golden_vectors(model: RfmModel, values: np.ndarray, columns: list[str], features: list[str], names: list[str]) -> list[dict[str, Any]]:
    """For each cluster its middle rows and its outermost that lie clear of the border."""
    distances = model.distances(values)
    ordered = np.sort(distances, axis=1)
    clear = ordered[:, 0] < (1 - GOLDEN_MARGIN) * ordered[:, 1]
    clusters = distances.argmin(axis=1)
    vectors = []
    for cluster, name in enumerate(names):
        rows = np.flatnonzero((clusters == cluster) & clear)
        if len(rows) == 0:
            continue
        rows = rows[np.argsort(distances[rows, cluster], kind="stable")]
        for row in rows[np.unique(np.linspace(0, len(rows) - 1, GOLDEN_PER_CLUSTER).round().astype(int))]:
            row_values = dict(zip(columns, [float(value) for value in values[row]], strict=True))
            shown = {feature: row_values[feature] for feature in features}
            vectors.append({"features": shown, "expected": {"cluster": cluster, "label": name}})
    return vectors


def rfm_values(data: TrainingSet, columns: list[str]) -> tuple[np.ndarray, int]:
    """Recency, frequency and monetary columns of the rows that have all three, and how many rows were left out."""
    if data.text_names:
        raise TrainerError(f"{', '.join(data.text_names)} holds text", "recency, frequency and monetary value are numbers")
    values = data.numbers[:, [data.number_names.index(name) for name in columns]]
    whole = ~np.isnan(values).any(axis=1)
    return np.maximum(values[whole], 0), int((~whole).sum())


def train(data: TrainingSet, args: argparse.Namespace) -> tuple[onnx.ModelProto, dict[str, Any]]:
    columns = [args.recency, args.frequency, args.monetary]
    values, left_out = rfm_values(data, columns)
    names = args.names.split(",") if args.names else NAMES[args.clusters]
    if len(set(names)) != args.clusters:
        raise TrainerError(f"{len(set(names))} names for {args.clusters} clusters", "give as many different --names as --clusters")
    distinct = len(np.unique(values, axis=0))
    if distinct < 10 * args.clusters:
        raise TrainerError(
            f"{distinct} different rows are too few for {args.clusters} clusters ({left_out} rows lacked a value)",
            "export more customers, or lower --clusters",
        )
    for name, spread in zip(columns, values.std(axis=0), strict=True):
        if spread == 0:
            raise TrainerError(f"{name} is the same for every customer", "check that the features were backfilled before the export")
    model = RfmModel(values, args.clusters, args.seed)
    graph = rfm_graph(model, args.key)
    clusters = model.predict(values)
    agreement = float((run_onnx(graph, {"features": values.astype(np.float32)})["cluster"] == clusters).mean())
    if agreement < 0.999:
        raise TrainerError(f"the ONNX graph agrees on only {agreement:.2%} of the rows", "do not use it; report this")
    z = model.scaler.transform(np.log1p(values))
    metrics = {
        "rows": len(values),
        "leftOut": left_out,
        "seed": args.seed,
        "silhouette": float(silhouette_score(z, clusters, sample_size=min(len(z), SILHOUETTE_ROWS), random_state=args.seed)),
        "onnxAgreement": agreement,
        "clusters": [
            {"name": name, "rows": int((clusters == i).sum()), "share": float((clusters == i).mean())}
            | dict(zip(columns, centre, strict=True))
            for i, (name, centre) in enumerate(zip(names, model.centres_in_units(), strict=True))
        ],
    }
    manifest = {
        **manifest_head(data, args),
        # The graph's columns; the feature service may list the three in another order.
        "inputs": [{"tensor": "features", "type": "float", "features": columns}],
        "missing": 0,
        # Who never ordered is as far away as the longest-lapsed customer.
        "fill": {args.recency: float(values[:, 0].max())},
        "outputs": {"cluster": {"output": "cluster"}, "label": {"output": "cluster", "names": names}},
        "metrics": rounded(plain(metrics)),
        "goldenVectors": golden_vectors(model, values, columns, data.service.features, names),
    }
    return graph, manifest


def parse_args(argv: list[str] | None) -> argparse.Namespace:
    description = "Group of customers by recency, frequency and monetary value."
    parser = common_parser(__doc__, key="rfm_clusters", description=description)
    parser.add_argument("--service", default="rfm_v1", help="feature service")
    parser.add_argument("--recency", default="days_since_order", help="feature: days since the last order")
    parser.add_argument("--frequency", default="orders_365d", help="feature: number of orders")
    parser.add_argument("--monetary", default="spend_365d", help="feature: money spent")
    parser.add_argument("--clusters", type=int, choices=sorted(NAMES), default=4)
    parser.add_argument("--names", help="comma-separated, from best to least")
    return parser.parse_args(argv)


def read_data(args: argparse.Namespace) -> TrainingSet:
    columns = [args.recency, args.frequency, args.monetary]
    service = FeatureService(args.service, columns, frozenset())
    if args.features_file is not None:
        service = read_service(args.features_file, args.service)
    if sorted(service.features) != sorted(columns):
        raise TrainerError(
            f"service {service.name} has {', '.join(service.features)}, not {', '.join(columns)}",
            "name the three with --recency, --frequency and --monetary",
        )
    return read_training_set(
        args.data,
        service=service,
        service_name=args.service,
        entity_columns=args.entity_columns.split(","),
        time_column=args.time_column,
        label_column=None,
    )


def main(argv: list[str] | None = None) -> int:
    args = parse_args(argv)
    return run(args, lambda: train(read_data(args), args))


if __name__ == "__main__":
    sys.exit(main())
