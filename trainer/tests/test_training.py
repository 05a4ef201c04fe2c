"""python -m unittest, from the trainer's folder."""

from __future__ import annotations

import contextlib
import io
import tempfile
import unittest
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import yaml

import make_test_models
import train_purchase_intent
import train_rfm_clusters
from tests.synthetic import HOUR_MS, INTENT_FEATURES, intent_rows, rfm_rows, write_csv, write_parquet
from weft_trainer.errors import TrainerError
from weft_trainer.manifest import write_model
from weft_trainer.onnx_export import run_onnx
from weft_trainer.split import split_by_time

FIXTURES = Path(__file__).parents[2] / "test" / "fixtures" / "models"


def feeds_of(manifest: dict[str, Any], features: dict[str, Any]) -> dict[str, np.ndarray]:
    """Binds one row as Weft does: columns by name, missing values filled as the manifest says."""
    fill = manifest.get("fill", {})
    tensors = {}
    for tensor in manifest["inputs"]:
        row = [features[name] for name in tensor["features"]]
        missing = [fill.get(name, manifest["missing"]) for name in tensor["features"]]
        values = [other if value is None else value for value, other in zip(row, missing, strict=True)]
        if tensor["type"] == "string":
            tensors[tensor["tensor"]] = np.array([values], dtype=object)
        else:
            tensors[tensor["tensor"]] = np.array([[float(value) for value in values]], dtype=np.float32)
    return tensors


class Training(unittest.TestCase):
    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)

    def run_main(self, module: Any, data: Path, *args: str, out: str = "out") -> tuple[int, str, Path]:
        target = self.folder / out
        errors = io.StringIO()
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(errors):
            code = module.main(["--data", str(data), "--out", str(target), *args])
        return code, errors.getvalue(), target

    def train(self, module: Any, key: str, data: Path, *args: str, out: str = "out") -> tuple[dict[str, Any], onnx.ModelProto]:
        code, errors, target = self.run_main(module, data, *args, out=out)
        self.assertEqual(code, 0, errors)
        manifest = yaml.safe_load((target / f"{key}.manifest.yaml").read_text())
        return manifest, onnx.load(target / f"{key}.onnx")

    def refused(self, module: Any, data: Path, *args: str) -> str:
        code, errors, target = self.run_main(module, data, *args)
        self.assertEqual(code, 1)
        self.assertFalse(target.exists())
        return errors


class PurchaseIntent(Training):
    def intent(self, rows: list[dict[str, Any]] | None = None, *args: str, out: str = "out") -> tuple[dict[str, Any], onnx.ModelProto]:
        data = write_csv(self.folder / "intent.csv", rows or intent_rows())
        return self.train(train_purchase_intent, "purchase_intent", data, *args, out=out)

    def test_learns_what_can_be_learned_and_reports_it(self) -> None:
        manifest, _ = self.intent()
        test = manifest["metrics"]["test"]
        self.assertGreater(test["auc"], 0.7)
        self.assertLess(test["brier"], test["brierOfBaseRate"])
        self.assertLess(test["expectedCalibrationError"], 0.1)
        self.assertEqual(sum(entry["rows"] for entry in test["calibration"]), test["rows"])
        self.assertEqual(manifest["metrics"]["constantFeatures"], ["always_zero", "never_there"])
        self.assertEqual(manifest["metrics"]["missing"]["never_there"], 1)
        self.assertEqual(next(iter(manifest["metrics"]["aucLostWithout"])), "carts_24h")

    def test_golden_vectors_come_out_of_the_graph_through_the_binding(self) -> None:
        for model in ("logistic", "boosting"):
            manifest, graph = self.intent(None, "--model", model)
            self.assertEqual(manifest["featureService"]["features"], INTENT_FEATURES)
            self.assertGreaterEqual(len(manifest["goldenVectors"]), 10)
            self.assertEqual(set(manifest["goldenVectors"][-1]["features"].values()), {None})
            for vector in manifest["goldenVectors"]:
                score = run_onnx(graph, feeds_of(manifest, vector["features"]))["probabilities"][0, 1]
                self.assertAlmostEqual(score, vector["expected"]["score"], delta=manifest["tolerance"])

    def test_the_same_data_gives_the_same_bytes(self) -> None:
        self.intent(out="one")
        self.intent(out="two")
        for name in ("purchase_intent.onnx", "purchase_intent.manifest.yaml"):
            self.assertEqual((self.folder / "one" / name).read_bytes(), (self.folder / "two" / name).read_bytes())

    def test_the_form_of_the_file_does_not_matter(self) -> None:
        rows = intent_rows()
        iso = write_csv(self.folder / "iso.csv", rows, iso_times=True)
        # Parquet has no type for a column without a value; the service says what such a feature is.
        parquet = write_parquet(self.folder / "intent.parquet", rows)
        expected, _ = self.intent(rows)
        for data in (iso, parquet):
            manifest, _ = self.train(train_purchase_intent, "purchase_intent", data)
            self.assertEqual(manifest, expected)

    def test_a_service_fixes_the_columns_and_their_kinds(self) -> None:
        features = self.folder / "features.yaml"
        features.write_text(
            "views: [{ name: web, features: [{ name: last_platform, aggregate: last, value: properties.platform }] }]\n"
            "services: [{ name: small, features: [last_platform, carts_24h] }]\n"
        )
        manifest, _ = self.intent(None, "--features-file", str(features), "--service", "small")
        self.assertEqual(manifest["featureService"], {"name": "small", "features": ["last_platform", "carts_24h"]})
        kinds = {tensor["tensor"]: (tensor["type"], tensor["features"]) for tensor in manifest["inputs"]}
        self.assertEqual(kinds, {"numbers": ("float", ["carts_24h"]), "texts": ("string", ["last_platform"])})

    def test_refuses_what_it_cannot_learn_from(self) -> None:
        def csv(rows: list[dict[str, Any]]) -> Path:
            return write_csv(self.folder / "bad.csv", rows)

        rows = intent_rows(600)
        without = [{key: value for key, value in row.items() if key != "label"} for row in rows]
        near = [{("lable" if key == "label" else key): value for key, value in row.items()} for row in rows]
        wrong = [row | {"label": 2} for row in rows]
        self.assertIn("a label is 0 or 1", self.refused(train_purchase_intent, csv(wrong)))
        self.assertIn("positive labels", self.refused(train_purchase_intent, csv(intent_rows(600, base=-9))))
        self.assertIn("no column label", self.refused(train_purchase_intent, csv(without)))
        self.assertIn("did you mean lable?", self.refused(train_purchase_intent, csv(near)))
        same_time = [row | {"time": rows[0]["time"]} for row in rows]
        self.assertIn("do not spread over enough time", self.refused(train_purchase_intent, csv(same_time)))
        constant = [{**{key: row[key] for key in ("ns", "value", "time", "label")}, "nothing": 1} for row in rows]
        self.assertIn("every feature is the same", self.refused(train_purchase_intent, csv(constant)))
        infinite = [row | {"views_24h": float("inf")} for row in rows]
        self.assertIn("views_24h has infinite values", self.refused(train_purchase_intent, csv(infinite)))
        self.assertIn("there is no file", self.refused(train_purchase_intent, self.folder / "none.csv"))
        self.assertIn("cannot read", self.refused(train_purchase_intent, self.garbage()))

    def garbage(self) -> Path:
        path = self.folder / "garbage.parquet"
        path.write_bytes(b"not a table")
        return path


class Split(unittest.TestCase):
    def test_no_label_of_an_earlier_part_reaches_into_a_later_one(self) -> None:
        times = np.sort(np.random.default_rng(3).integers(0, 1000, 500)) * HOUR_MS
        split = split_by_time(times, 24 * HOUR_MS)
        self.assertLess(times[split.train].max() + 24 * HOUR_MS, times[split.validation].min())
        self.assertLess(times[split.validation].max() + 24 * HOUR_MS, times[split.test].min())
        self.assertEqual(len(split.train) + len(split.validation) + len(split.test) + split.embargoed, 500)
        self.assertAlmostEqual(len(split.test) / 500, 0.15, delta=0.02)

    def test_rows_of_one_instant_stay_together(self) -> None:
        times = np.repeat(np.arange(20), 10) * HOUR_MS
        split = split_by_time(times, 0)
        seen = [set(times[rows]) for rows in split.parts().values()]
        self.assertEqual(seen[0] & seen[1] | seen[1] & seen[2] | seen[0] & seen[2], set())

    def test_one_instant_cannot_be_split(self) -> None:
        with self.assertRaises(TrainerError):
            split_by_time(np.zeros(100, dtype=np.int64), 0)


class RfmClusters(Training):
    def clusters(self, rows: list[dict[str, Any]] | None = None, *args: str, out: str = "out") -> tuple[dict[str, Any], onnx.ModelProto]:
        data = write_csv(self.folder / "rfm.csv", rows or rfm_rows())
        return self.train(train_rfm_clusters, "rfm_clusters", data, "--clusters", "3", *args, out=out)

    def test_finds_the_kinds_of_customers_and_orders_them_from_best_to_least(self) -> None:
        manifest, _ = self.clusters()
        metrics = manifest["metrics"]
        self.assertEqual([cluster["name"] for cluster in metrics["clusters"]], ["champions", "regulars", "lapsed"])
        spends = [cluster["spend_365d"] for cluster in metrics["clusters"]]
        self.assertEqual(spends, sorted(spends, reverse=True))
        self.assertGreater(metrics["silhouette"], 0.6)
        self.assertGreater(metrics["leftOut"], 0)
        self.assertEqual(metrics["rows"] + metrics["leftOut"], 600)

    def test_golden_vectors_come_out_of_the_graph_through_the_binding(self) -> None:
        manifest, graph = self.clusters()
        self.assertEqual({vector["expected"]["cluster"] for vector in manifest["goldenVectors"]}, {0, 1, 2})
        for vector in manifest["goldenVectors"]:
            cluster = run_onnx(graph, feeds_of(manifest, vector["features"]))["cluster"][0]
            self.assertEqual(cluster, vector["expected"]["cluster"])
            self.assertEqual(manifest["outputs"]["label"]["names"][cluster], vector["expected"]["label"])

    def test_who_never_ordered_counts_as_lapsed(self) -> None:
        manifest, graph = self.clusters()
        nobody = {"days_since_order": None, "orders_365d": 0, "spend_365d": 0.0}
        cluster = run_onnx(graph, feeds_of(manifest, nobody))["cluster"][0]
        self.assertEqual(manifest["outputs"]["label"]["names"][cluster], "lapsed")

    def test_the_order_of_the_service_does_not_matter(self) -> None:
        features = self.folder / "features.yaml"
        features.write_text("services: [{ name: rfm_v1, features: [spend_365d, orders_365d, days_since_order] }]\n")
        expected, graph = self.clusters()
        manifest, other = self.clusters(None, "--features-file", str(features))
        self.assertEqual(graph.SerializeToString(), other.SerializeToString())
        self.assertEqual(manifest["inputs"], expected["inputs"])
        self.assertEqual(list(manifest["goldenVectors"][0]["features"]), ["spend_365d", "orders_365d", "days_since_order"])

    def test_the_same_data_gives_the_same_bytes(self) -> None:
        self.clusters(out="one")
        self.clusters(out="two")
        for name in ("rfm_clusters.onnx", "rfm_clusters.manifest.yaml"):
            self.assertEqual((self.folder / "one" / name).read_bytes(), (self.folder / "two" / name).read_bytes())

    def test_refuses_what_it_cannot_cluster(self) -> None:
        few = write_csv(self.folder / "few.csv", rfm_rows(20))
        self.assertIn("too few for 4 clusters", self.refused(train_rfm_clusters, few))
        flat = write_csv(self.folder / "flat.csv", [row | {"orders_365d": 1} for row in rfm_rows()])
        self.assertIn("orders_365d is the same for every customer", self.refused(train_rfm_clusters, flat))
        good = write_csv(self.folder / "good.csv", rfm_rows())
        self.assertIn("2 names for 4 clusters", self.refused(train_rfm_clusters, good, "--names", "a,b"))
        self.assertIn("no column total", self.refused(train_rfm_clusters, good, "--monetary", "total"))


class Manifests(Training):
    def test_values_that_yaml_readers_disagree_on_survive(self) -> None:
        graph = onnx.load(FIXTURES / "iris_clusters.onnx")
        texts = ["1e3", "0o17", "yes", "null", "~", "1_000", ".5", "2024-06-29", "a: b", ""]
        written = write_model(self.folder, "m", graph, {"texts": texts, "small": 1e-05, "nan": float("nan")})
        text = written[1].read_text()
        self.assertEqual(yaml.safe_load(text), {"texts": texts, "small": 1e-05, "nan": None})
        # YAML 1.2 reads these as numbers unless they are quoted; YAML 1.1 does not.
        self.assertIn("'1e3'", text)
        self.assertIn("'0o17'", text)


class TestModels(Training):
    def test_the_committed_fixtures_are_what_the_script_makes(self) -> None:
        make_test_models.logistic_models(self.folder)
        make_test_models.forest_model(self.folder)
        make_test_models.kmeans_model(self.folder)
        make_test_models.named_inputs_model(self.folder)
        make_test_models.external_models(self.folder)
        made = {path.name: path.read_bytes() for path in self.folder.iterdir()}
        self.assertEqual(made, {path.name: path.read_bytes() for path in FIXTURES.iterdir()})


if __name__ == "__main__":
    unittest.main()
