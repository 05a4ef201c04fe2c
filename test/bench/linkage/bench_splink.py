"""Trains, links and clusters with Splink, and prints as JSON what that took and where the clusters are.

    python bench_splink.py <case.json> <records.csv> <clusters.csv> <model.json>

`case.json` has settings, deterministic rules, recall, passes and the match probability to link from. Times are pairs of
seconds, by wall clock and of the processor (all threads), from the open table on: starting Python and reading the file
are not counted.
"""

from __future__ import annotations

import csv
import json
import logging
import sys
import time
from pathlib import Path

import duckdb
from splink import DuckDBAPI, Linker


def main() -> None:
    logging.disable(logging.WARNING)
    case_file, records_file, clusters_file, model_file = sys.argv[1:5]
    case = json.loads(Path(case_file).read_text(encoding="utf-8"))
    db_api = DuckDBAPI()
    db_api._con.execute(f"SET threads = {case['threads']}")
    table = duckdb.connect().read_csv(records_file, all_varchar=True).to_arrow_table()
    settings = {**case["settings"]}
    records = db_api.register(table, table_name="records")
    took: dict[str, tuple[float, float]] = {}
    started = (0.0, 0.0)

    def now() -> tuple[float, float]:
        return time.perf_counter(), time.process_time()

    def since() -> tuple[float, float]:
        wall, cpu = now()
        return wall - started[0], cpu - started[1]

    started = now()
    linker = Linker(records, settings)
    linker.training.estimate_probability_two_random_records_match(case["deterministic"], recall=case["recall"])
    linker.training.estimate_u_using_random_sampling(max_pairs=case["pairs"], seed=1)
    for rule in case["passes"]:
        linker.training.estimate_parameters_using_expectation_maximisation(rule)
    took["train"] = since()
    linker.misc.save_model_to_json(model_file, overwrite=True)

    started = now()
    predictions = linker.inference.predict(threshold_match_probability=case["threshold"])
    took["link"] = since()
    started = now()
    clusters = linker.clustering.cluster_pairwise_predictions_at_threshold(
        predictions, threshold_match_probability=case["threshold"]
    )
    took["cluster"] = since()

    with Path(clusters_file).open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        for row in clusters.as_record_list():
            writer.writerow([row["unique_id"], row["cluster_id"]])
    print(json.dumps({"took": took, "links": len(predictions.as_record_list())}))


if __name__ == "__main__":
    main()
