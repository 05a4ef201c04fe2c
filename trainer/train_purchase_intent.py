"""Trains a probability, such as that of a purchase within 24 hours, on a training set that Weft exported.

    python train_purchase_intent.py --data intent.parquet --out ../seeds/models \\
        --features-file ../seeds/features.yaml --service purchase_intent_v1

Writes `<key>.onnx` and `<key>.manifest.yaml` and prints the metrics as JSON. Imputation and scaling are part of the
graph. The same data and seed give the same files.
"""

from __future__ import annotations

import argparse
import sys
from typing import Any

import numpy as np
import onnx
from skl2onnx.common.data_types import FloatTensorType, StringTensorType
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import GradientBoostingClassifier
from sklearn.impute import SimpleImputer
from sklearn.inspection import permutation_importance
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from weft_trainer.command_line import common_parser, manifest_head, run
from weft_trainer.dataset import TrainingSet, read_service, read_training_set
from weft_trainer.errors import TrainerError
from weft_trainer.manifest import plain
from weft_trainer.metrics import probability_metrics, rounded
from weft_trainer.onnx_export import export_sklearn, run_onnx
from weft_trainer.split import TimeSplit, check_positives, split_by_time

MISSING_TEXT = "(missing)"
MAX_CATEGORIES = 50
TREE_COUNTS = (25, 50, 100, 150, 200)
GOLDEN_VECTORS = 12
#: Beyond this, the graph does not compute what was trained.
MAX_ONNX_DIFFERENCE = 1e-4


def matrix(data: TrainingSet, rows: np.ndarray) -> np.ndarray:
    """What the model is fed: numbers in single precision, as in the graph, then texts."""
    numbers = data.numbers[rows].astype(np.float32)
    if not data.text_names:
        return numbers
    texts = data.texts[rows].copy()
    texts[texts == None] = MISSING_TEXT  # noqa: E711 — elementwise
    return np.concatenate([numbers.astype(object), texts], axis=1)


def encoder(data: TrainingSet, rows: np.ndarray, numbers: Any) -> ColumnTransformer | Any:
    """Prepares the numbers with `numbers`, and the texts as one column per frequent value."""
    if not data.text_names:
        return numbers
    width = len(data.number_names)
    steps: list[tuple[str, Any, list[int]]] = [("numbers", numbers, list(range(width)))] if width else []
    texts = matrix(data, rows)[:, width:]
    categories = []
    for column in range(texts.shape[1]):
        values, counts = np.unique(texts[:, column].astype(str), return_counts=True)
        frequent = values[np.argsort(-counts, kind="stable")[:MAX_CATEGORIES]]
        categories.append(np.array(sorted(frequent), dtype=object))
    one_hot = OneHotEncoder(categories=categories, handle_unknown="ignore", sparse_output=False)
    return ColumnTransformer([*steps, ("texts", one_hot, list(range(width, width + texts.shape[1])))])


def logistic(data: TrainingSet, rows: np.ndarray, _trees: int, _seed: int) -> Pipeline:
    numbers = make_pipeline(SimpleImputer(strategy="median", keep_empty_features=True), StandardScaler())
    return Pipeline([("encode", encoder(data, rows, numbers)), ("model", LogisticRegression(max_iter=2000))])


def boosting(data: TrainingSet, rows: np.ndarray, trees: int, seed: int) -> Pipeline:
    # A value below all others: a tree can then tell a missing value from every present one.
    numbers = SimpleImputer(strategy="constant", fill_value=-1.0, keep_empty_features=True)
    model = GradientBoostingClassifier(
        n_estimators=trees, learning_rate=0.08, max_depth=3, min_samples_leaf=20, subsample=0.8, random_state=seed
    )
    return Pipeline([("encode", encoder(data, rows, numbers)), ("model", model)])


KINDS = {"logistic": logistic, "boosting": boosting}


def choose(data: TrainingSet, split: TimeSplit, kinds: list[str], seed: int) -> tuple[str, int, dict[str, Any]]:
    """The kind and number of trees with the least log loss on the validation part."""
    tried: dict[str, Any] = {}
    best: tuple[float, str, int] | None = None
    features, labels = matrix(data, split.train), data.labels[split.train]
    held_out, truth = matrix(data, split.validation), data.labels[split.validation]
    for kind in kinds:
        model = KINDS[kind](data, split.train, TREE_COUNTS[-1], seed).fit(features, labels)
        if kind == "boosting":
            encoded = model["encode"].transform(held_out)
            stages = list(model["model"].staged_predict_proba(encoded))
            options = [(trees, stages[trees - 1][:, 1]) for trees in TREE_COUNTS]
        else:
            options = [(0, model.predict_proba(held_out)[:, 1])]
        for trees, scores in options:
            loss = float(log_loss(truth, scores, labels=[0, 1]))
            tried[f"{kind}_{trees}" if trees else kind] = {"validationLogLoss": loss}
            if best is None or loss < best[0]:
                best = (loss, kind, trees)
    assert best is not None
    return best[1], best[2], tried


def graph_inputs(data: TrainingSet) -> list[tuple[str, Any]]:
    inputs: list[tuple[str, Any]] = []
    if data.number_names:
        inputs.append(("numbers", FloatTensorType([None, len(data.number_names)])))
    if data.text_names:
        inputs.append(("texts", StringTensorType([None, len(data.text_names)])))
    return inputs


def feeds(data: TrainingSet, features: np.ndarray) -> dict[str, np.ndarray]:
    width = len(data.number_names)
    tensors: dict[str, np.ndarray] = {}
    if width:
        tensors["numbers"] = features[:, :width].astype(np.float32)
    if data.text_names:
        tensors["texts"] = features[:, width:].astype(object)
    return tensors


def check_graph(data: TrainingSet, graph: onnx.ModelProto, model: Pipeline, features: np.ndarray) -> float:
    """Greatest difference between the graph and scikit-learn over these rows."""
    got = run_onnx(graph, feeds(data, features))["probabilities"][:, 1]
    difference = float(np.abs(got - model.predict_proba(features)[:, 1]).max())
    if difference > MAX_ONNX_DIFFERENCE:
        raise TrainerError(f"the ONNX graph differs from the trained model by {difference:.1e}", "do not use it; report this")
    return difference


def golden_vectors(data: TrainingSet, model: Pipeline, rows: np.ndarray) -> list[dict[str, Any]]:
    """Rows of the test part from the lowest to the highest score, and one where everything is missing."""
    scores = model.predict_proba(matrix(data, rows))[:, 1]
    order = np.argsort(scores, kind="stable")
    picks = rows[order[np.unique(np.linspace(0, len(order) - 1, GOLDEN_VECTORS - 1).round().astype(int))]]
    vectors = []
    for row in picks:
        values = dict(zip(data.number_names, [plain_number(value) for value in data.numbers[row]], strict=True))
        values |= dict(zip(data.text_names, data.texts[row], strict=True))
        score = float(model.predict_proba(matrix(data, np.array([row])))[0, 1])
        vectors.append({"features": {name: values[name] for name in data.service.features}, "expected": {"score": score}})
    nothing = np.full((1, len(data.number_names)), np.nan, dtype=np.float32)
    if data.text_names:
        texts = np.full((1, len(data.text_names)), MISSING_TEXT, dtype=object)
        nothing = np.concatenate([nothing.astype(object), texts], axis=1)
    score = float(model.predict_proba(nothing)[0, 1])
    vectors.append({"features": dict.fromkeys(data.service.features), "expected": {"score": score}})
    return vectors


def plain_number(value: float) -> float | int | None:
    if np.isnan(value):
        return None
    return int(value) if float(value).is_integer() and abs(value) < 2**53 else float(value)


def importances(data: TrainingSet, model: Pipeline, rows: np.ndarray, seed: int) -> dict[str, float]:
    """Loss of AUC when a feature's values are shuffled, greatest first."""
    sample = rows[:: max(1, len(rows) // 2000)]
    found = permutation_importance(
        model, matrix(data, sample), data.labels[sample], scoring="roc_auc", n_repeats=3, random_state=seed
    )
    names = [*data.number_names, *data.text_names]
    ranked = sorted(zip(names, found.importances_mean, strict=True), key=lambda pair: (-pair[1], pair[0]))
    return {name: float(value) for name, value in ranked}


def train(data: TrainingSet, args: argparse.Namespace) -> tuple[onnx.ModelProto, dict[str, Any]]:
    split = split_by_time(data.times_ms, round(args.horizon_hours * 3_600_000))
    check_positives(data.labels, split, args.min_positives)
    constant = data.constant_features()
    if len(constant) == len(data.service.features):
        raise TrainerError("every feature is the same in all rows", "check that the features were backfilled before the export")
    kinds = list(KINDS) if args.model == "auto" else [args.model]
    kind, trees, tried = choose(data, split, kinds, args.seed)
    # What validation has chosen is fitted again with the validation rows; the test part stays unseen.
    seen = np.concatenate([split.train, split.validation])
    model = KINDS[kind](data, seen, trees, args.seed).fit(matrix(data, seen), data.labels[seen])
    graph = export_sklearn(model, graph_inputs(data), args.key)
    test = matrix(data, split.test)
    difference = check_graph(data, graph, model, test)
    metrics = {
        "kind": kind if trees == 0 else f"{kind}, {trees} trees",
        "seed": args.seed,
        "horizonHours": args.horizon_hours,
        "split": {name: part_summary(data, rows) for name, rows in split.parts().items()} | {"embargoed": split.embargoed},
        "test": probability_metrics(data.labels[split.test], model.predict_proba(test)[:, 1]),
        "tried": tried,
        "aucLostWithout": importances(data, model, split.test, args.seed),
        "missing": data.missing_shares(),
        "constantFeatures": constant,
    }
    bindings = [("numbers", "float", data.number_names), ("texts", "string", data.text_names)]
    manifest = {
        **manifest_head(data, args),
        "inputs": [{"tensor": tensor, "type": kind, "features": names} for tensor, kind, names in bindings if names],
        "missing": "nan",
        "fill": dict.fromkeys(data.text_names, MISSING_TEXT),
        "outputs": {"score": {"output": "probabilities", "index": 1}},
        "metrics": rounded(plain(metrics)) | {"onnxDifference": float(f"{difference:.1e}")},
        "tolerance": 1e-5 if difference < 5e-6 else MAX_ONNX_DIFFERENCE,
        "goldenVectors": golden_vectors(data, model, split.test),
    }
    return graph, manifest


def part_summary(data: TrainingSet, rows: np.ndarray) -> dict[str, Any]:
    times = data.times_ms[rows]
    return {
        "rows": len(rows),
        "positives": int(data.labels[rows].sum()),
        "fromMs": int(times[0]),
        "toMs": int(times[-1]),
    }


def parse_args(argv: list[str] | None) -> argparse.Namespace:
    parser = common_parser(__doc__, key="purchase_intent", description="Probability of a purchase within the next 24 hours.")
    parser.add_argument("--service", default="purchase_intent_v1", help="feature service; its list fixes the columns")
    parser.add_argument("--label-column", default="label")
    parser.add_argument("--horizon-hours", type=float, default=24.0, help="how far after T the label looks")
    parser.add_argument("--min-positives", type=int, default=20, help="least positives (and negatives) in training")
    parser.add_argument("--model", choices=["auto", *KINDS], default="auto", help="auto takes the better on validation")
    return parser.parse_args(argv)


def read_data(args: argparse.Namespace) -> TrainingSet:
    return read_training_set(
        args.data,
        service=None if args.features_file is None else read_service(args.features_file, args.service),
        service_name=args.service,
        entity_columns=args.entity_columns.split(","),
        time_column=args.time_column,
        label_column=args.label_column,
    )


def main(argv: list[str] | None = None) -> int:
    args = parse_args(argv)
    return run(args, lambda: train(read_data(args), args))


if __name__ == "__main__":
    sys.exit(main())
