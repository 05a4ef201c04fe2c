"""Makes what Weft's tests of record linkage compare with: levels and match weights as Splink and DuckDB give them.

    python make_linkage_fixtures.py --people ../seeds/data/fake_1000.csv.gz [--out ../test/fixtures/linkage]

Needs splink (see requirements-linkage.txt). `levels.json` has invented rows, all conditions that Splink's comparison library
writes for them, and what DuckDB makes of each condition and pair of rows (1 true, 0 false, - neither). `model.json` is a
model as Splink saves it, and `weights.json` the match weights of pairs of the people's records by it.
"""

from __future__ import annotations

import argparse
import json
import random
from pathlib import Path
from typing import Any

import duckdb
import splink.comparison_level_library as cll
import splink.comparison_library as cl
from splink import ColumnExpression, DuckDBAPI, Linker, SettingsCreator, block_on

SEED = 7
ROWS = 80
PAIRS = 400
WEIGHTS = 1_500

NAMES = ["anna", "anne", "ana", "José", "Jose", "josé", "martha", "marhta", "o'brien", "obrien", "de la cruz", "", "x"]
DATES = ["1971-06-24", "1971-05-24", "1971-06-25", "1972-06-24", "1917-06-24", "1971-13-01", "24/06/1971", "1980-02-29"]
TIMES = ["2024-05-01T10:00:00Z", "2024-05-01T10:59:59Z", "2024-05-01T11:00:01Z", "2024-05-02T10:00:00Z", "2024-05-01"]
POSTCODES = ["SW1A 1AA", "SW1A 2AA", "SW1A1AA", "sw1a 1aa", "M1 1AE", "M1 1AF", "B33 8TH", "2000"]
EMAILS = ["a.b@example.com", "a.b@example.org", "ab@example.com", "ba@example.com", "nobody", "@example.com"]


def comparisons() -> list[Any]:
    x = ColumnExpression("x")
    custom = [
        cll.NullLevel("x"),
        cll.LiteralMatchLevel("x", "anna", "string"),
        cll.And(cll.ExactMatchLevel("x"), cll.Not(cll.JaroLevel("y", 0.5))),
        cll.Or(cll.ColumnsReversedLevel("x", "y"), cll.ColumnsReversedLevel("x", "y", symmetrical=True)),
        cll.PercentageDifferenceLevel("n", 0.1),
        cll.AbsoluteDifferenceLevel("n", 5),
        cll.ExactMatchLevel(x.lower().substr(1, 2)),
        cll.ExactMatchLevel(x.nullif("").cast_to_string()),
        cll.ElseLevel(),
    ]
    return [
        cl.ExactMatch("x"),
        cl.LevenshteinAtThresholds("x", [1, 2]),
        cl.DamerauLevenshteinAtThresholds("x", [1, 2]),
        cl.JaccardAtThresholds("x", [0.9, 0.5]),
        cl.JaroAtThresholds("x", [0.9, 0.6]),
        cl.JaroWinklerAtThresholds("x", [0.9, 0.7]),
        cl.PairwiseStringDistanceFunctionAtThresholds("arr", "levenshtein", [1, 2]),
        cl.PairwiseStringDistanceFunctionAtThresholds("arr", "jaro_winkler", [0.9]),
        cl.AbsoluteTimeDifferenceAtThresholds("t", input_is_string=True, metrics=["hour"], thresholds=[1]),
        cl.AbsoluteDateDifferenceAtThresholds(
            "dob", input_is_string=True, metrics=["day", "month", "year"], thresholds=[1, 1, 1]
        ),
        cl.AbsoluteDateDifferenceAtThresholds(
            "dob", input_is_string=True, metrics=["day"], thresholds=[1], datetime_format="%d/%m/%Y"
        ),
        cl.ArrayIntersectAtSizes("arr", [2, 1]),
        cl.DistanceInKMAtThresholds("lat", "long", [1, 10, 500]),
        cl.DateOfBirthComparison("dob", input_is_string=True),
        cl.PostcodeComparison("postcode", lat_col="lat", long_col="long", km_thresholds=[1, 10]),
        cl.EmailComparison("email"),
        cl.NameComparison("x", dmeta_col_name="arr"),
        cl.ForenameSurnameComparison("x", "y"),
        cl.CustomComparison(output_column_name="custom", comparison_levels=custom),
    ]


def invented_rows() -> list[dict[str, Any]]:
    rng = random.Random(SEED)

    def maybe(value: Any) -> Any:
        return None if rng.random() < 0.1 else value

    return [
        {
            "x": maybe(rng.choice([n for n in NAMES if n])),
            "y": maybe(rng.choice(NAMES)),
            "arr": maybe(sorted(set(rng.choices([n for n in NAMES if n], k=rng.randint(1, 3))))),
            "t": maybe(rng.choice(TIMES)),
            "dob": maybe(rng.choice(DATES)),
            "lat": maybe(round(51 + rng.random() * rng.choice([0.01, 0.1, 5]), 6)),
            "long": maybe(round(rng.random() * rng.choice([0.01, 0.1, 5]), 6)),
            "postcode": maybe(rng.choice(POSTCODES)),
            "email": maybe(rng.choice(EMAILS)),
            "n": maybe(rng.choice([1, 4, 5.5, 6, 100, 109, 112])),
        }
        for _ in range(ROWS)
    ]


def levels() -> dict[str, Any]:
    rows = invented_rows()
    con = duckdb.connect()
    con.execute("SET lambda_syntax='ENABLE_SINGLE_ARROW'")
    con.execute(
        "create table rows (id integer, x varchar, y varchar, arr varchar[], t varchar, dob varchar, lat double,"
        " long double, postcode varchar, email varchar, n double)"
    )
    for i, row in enumerate(rows):
        con.execute("insert into rows values (?,?,?,?,?,?,?,?,?,?,?)", [i, *row.values()])
    columns = list(rows[0])
    selected = ", ".join(f'l."{c}" as "{c}_l", r."{c}" as "{c}_r"' for c in columns)
    con.execute(
        f"create table pairs as select l.id as id_l, r.id as id_r, {selected} from rows l, rows r"
        f" order by hash(l.id * 1000 + r.id) limit {PAIRS}"
    )
    conditions: dict[str, str] = {}
    for comparison in comparisons():
        for level in comparison.create_comparison_dict("duckdb")["comparison_levels"]:
            sql = level["sql_condition"]
            if sql == "ELSE":
                continue
            found = con.execute(f"select ({sql}) from pairs order by id_l, id_r").fetchall()
            conditions[sql] = "".join("-" if v is None else "1" if v else "0" for (v,) in found)
    pairs = con.execute("select id_l, id_r from pairs order by id_l, id_r").fetchall()
    return {"rows": rows, "pairs": pairs, "conditions": conditions}


def weights(people: str, out: Path) -> dict[str, Any]:
    settings = SettingsCreator(
        link_type="dedupe_only",
        comparisons=[
            cl.NameComparison("first_name"),
            cl.JaroAtThresholds("surname", [0.9, 0.7]).configure(term_frequency_adjustments=True),
            cl.DateOfBirthComparison("dob", input_is_string=True),
            cl.DamerauLevenshteinAtThresholds("city", [1]).configure(term_frequency_adjustments=True),
            cl.EmailComparison("email"),
        ],
        blocking_rules_to_generate_predictions=[
            block_on("first_name"),
            block_on("surname", "substr(dob, 1, 4)"),
            "l.email = r.email and levenshtein(l.surname, r.surname) <= 3",
        ],
    )
    db_api = DuckDBAPI()
    people_table = db_api.register(duckdb.connect().read_csv(people, all_varchar=True).to_arrow_table(), table_name="people")
    linker = Linker(people_table, settings)
    training = linker.training
    training.estimate_probability_two_random_records_match([block_on("first_name", "surname", "dob")], recall=0.6)
    training.estimate_u_using_random_sampling(max_pairs=1e6, seed=SEED)
    training.estimate_parameters_using_expectation_maximisation(block_on("first_name", "surname"))
    training.estimate_parameters_using_expectation_maximisation(block_on("dob"))
    linker.misc.save_model_to_json(str(out / "model.json"), overwrite=True)
    # By the saved model: a level that was never observed is not the same before saving.
    found = Linker(people_table, str(out / "model.json")).inference.predict().as_record_list()
    found.sort(key=lambda row: (int(row["unique_id_l"]), int(row["unique_id_r"])))
    kept = random.Random(SEED).sample(found, WEIGHTS)
    kept.sort(key=lambda row: (int(row["unique_id_l"]), int(row["unique_id_r"])))
    return {
        "pairs": len(found),
        "weights": [[row["unique_id_l"], row["unique_id_r"], row["match_weight"], row["match_key"]] for row in kept],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--people", required=True)
    parser.add_argument("--out", default="../test/fixtures/linkage")
    args = parser.parse_args()
    out = Path(args.out)
    out.mkdir(parents=True, exist_ok=True)
    (out / "levels.json").write_text(json.dumps(levels()) + "\n", encoding="utf-8")
    (out / "weights.json").write_text(json.dumps(weights(args.people, out)) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
