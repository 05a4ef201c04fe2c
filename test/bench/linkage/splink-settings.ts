/** Settings in the form that Splink reads and saves, so that both programs work by the same file. */
export interface SplinkCase {
  readonly settings: Readonly<Record<string, unknown>>;
  /** Rules by which the prior is estimated, and passes of EM, as blocking rules. */
  readonly deterministic: readonly string[];
  readonly recall: number;
  readonly passes: readonly string[];
}

interface Level {
  readonly sql_condition: string;
  readonly label_for_charts: string;
  readonly is_null_level?: true;
  readonly tf_adjustment_column?: string;
  readonly tf_adjustment_weight?: number;
}

function comparison(column: string, between: readonly string[], isAdjusted = true) {
  const [l, r] = [`"${column}_l"`, `"${column}_r"`];
  const levels: Level[] = [
    { sql_condition: `${l} IS NULL OR ${r} IS NULL`, label_for_charts: 'missing', is_null_level: true },
    {
      sql_condition: `${l} = ${r}`,
      label_for_charts: 'equal',
      ...(isAdjusted ? { tf_adjustment_column: column, tf_adjustment_weight: 1 } : {}),
    },
    ...between.map((condition) => {
      const sql = condition.replaceAll('$l', l).replaceAll('$r', r);
      return { sql_condition: sql, label_for_charts: sql };
    }),
    { sql_condition: 'ELSE', label_for_charts: 'different' },
  ];
  return { output_column_name: column, comparison_levels: levels };
}

const NAME = [
  'jaro_winkler_similarity($l, $r) >= 0.92',
  'jaro_winkler_similarity($l, $r) >= 0.88',
  'jaro_winkler_similarity($l, $r) >= 0.7',
];

/** Equality of expressions of one record, `$` being the record. */
function agree(...expressions: readonly string[]): string {
  return expressions.map((text) => `${text.replaceAll('$', 'l')} = ${text.replaceAll('$', 'r')}`).join(' AND ');
}

function settings(comparisons: readonly unknown[], rules: readonly string[]): Record<string, unknown> {
  return {
    link_type: 'dedupe_only',
    unique_id_column_name: 'unique_id',
    probability_two_random_records_match: 0.0001,
    comparisons,
    blocking_rules_to_generate_predictions: rules.map((rule) => ({ blocking_rule: rule, sql_dialect: 'duckdb' })),
    retain_matching_columns: false,
    retain_intermediate_calculation_columns: false,
  };
}

/** For fake_1000 and the generated people, which have the same columns. */
export const PEOPLE: SplinkCase = {
  settings: settings(
    [
      comparison('first_name', NAME),
      comparison('surname', NAME),
      comparison('dob', ['damerau_levenshtein($l, $r) <= 1', 'damerau_levenshtein($l, $r) <= 2'], false),
      comparison('city', ['jaro_winkler_similarity($l, $r) >= 0.9']),
      comparison('email', [
        "NULLIF(regexp_extract($l, '^[^@]+', 0), '') = NULLIF(regexp_extract($r, '^[^@]+', 0), '')",
        'jaro_winkler_similarity($l, $r) >= 0.88',
      ]),
    ],
    [
      agree('$.email'),
      agree('$.first_name', '$.surname'),
      agree('$.dob'),
      agree('$.surname', 'substr($.dob, 1, 4)'),
      agree('$.first_name', '$.city'),
    ],
  ),
  deterministic: [agree('$.first_name', '$.surname', '$.dob'), agree('$.email')],
  recall: 0.6,
  passes: [agree('$.first_name', '$.surname'), agree('$.dob'), agree('$.email')],
};

export const FEBRL: SplinkCase = {
  settings: settings(
    [
      comparison('given_name', NAME),
      comparison('surname', NAME),
      comparison('date_of_birth', ['damerau_levenshtein($l, $r) <= 1', 'damerau_levenshtein($l, $r) <= 2'], false),
      comparison('address_1', ['jaro_winkler_similarity($l, $r) >= 0.9', 'jaro_winkler_similarity($l, $r) >= 0.7']),
      comparison('suburb', ['jaro_winkler_similarity($l, $r) >= 0.9']),
      comparison('postcode', ['damerau_levenshtein($l, $r) <= 1']),
    ],
    [
      agree('$.date_of_birth'),
      agree('$.given_name', '$.surname'),
      agree('$.postcode', '$.surname'),
      agree('$.postcode', '$.given_name'),
      agree('$.surname', 'substr($.date_of_birth, 1, 4)'),
    ],
  ),
  deterministic: [agree('$.given_name', '$.surname', '$.date_of_birth')],
  recall: 0.6,
  passes: [agree('$.given_name', '$.surname'), agree('$.date_of_birth'), agree('$.postcode', '$.surname')],
};
