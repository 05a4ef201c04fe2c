import type { ComparisonSign, Condition, Measure, Operand, ValueExpression, ValueStep } from './condition.model.js';
import { isSameSql, parseSql, refused, type SqlNode } from './sql-expression.js';

/** How columns say which record of the pair they are of: `name_l`, as in conditions, or `l.name`, as in blocking rules. */
type Naming = 'suffix' | 'table' | 'neither';

/** Names of one thing in the dialects that models are written in. */
const FUNCTION_NAMES: Readonly<Record<string, string>> = {
  jaro_similarity: 'jaro',
  jaro_sim: 'jaro',
  jaro_winkler_similarity: 'jaro_winkler',
  jaro_winkler_sim: 'jaro_winkler',
  editdist3: 'levenshtein',
  damerau_lev: 'damerau_levenshtein',
  jaccard_sim: 'jaccard',
  substring: 'substr',
  array_intersect: 'list_intersect',
  len: 'array_length',
  size: 'array_length',
  array_size: 'array_length',
  cardinality: 'array_length',
  lcase: 'lower',
  ucase: 'upper',
  strptime: 'try_strptime',
};

const KM_COSINE = 'sin(radians($a)) * sin(radians($b)) + cos(radians($a)) * cos(radians($b)) * cos(radians($d - $c))';
const pairwise = (aggregate: string, measure: string): string =>
  `${aggregate}(list_transform(flatten(list_transform($a, x -> list_transform($b, y -> [x, y]))), pair -> ${measure}(pair[1], pair[2])))`;

/** What may stand on the left of a comparison with a number. `$a` is the first operand, `$b` the second, and so on. */
const MEASURES: readonly (readonly [Measure, string])[] = [
  ['levenshtein', 'levenshtein($a, $b)'],
  ['damerau_levenshtein', 'damerau_levenshtein($a, $b)'],
  ['jaro', 'jaro($a, $b)'],
  ['jaro_winkler', 'jaro_winkler($a, $b)'],
  ['jaccard', 'jaccard($a, $b)'],
  ['token_overlap', 'token_overlap($a, $b)'],
  ['common', 'array_length(list_intersect($a, $b))'],
  ['shorter', 'least(array_length($a), array_length($b))'],
  ['seconds_apart', 'abs(epoch($a) - epoch($b))'],
  ['difference', 'abs($a - $b)'],
  ['relative_difference', 'abs($a - $b) / (case when $b > $a then $b else $a end)'],
  ['nearest_levenshtein', pairwise('list_min', 'levenshtein')],
  ['nearest_damerau_levenshtein', pairwise('list_min', 'damerau_levenshtein')],
  ['nearest_jaro', pairwise('list_max', 'jaro')],
  ['nearest_jaro_winkler', pairwise('list_max', 'jaro_winkler')],
  [
    'km_apart',
    `cast(acos(case when (${KM_COSINE}) > 1 then 1 when (${KM_COSINE}) < -1 then -1 else (${KM_COSINE}) end) * 6371 as float)`,
  ],
];
const SUBSET = 'array_length(list_intersect($a, $b)) = least(array_length($a), array_length($b))';

const SUPPORTED =
  'conditions may compare columns for equality, test for null, compare with a number any of levenshtein, ' +
  'damerau_levenshtein, jaro, jaro_winkler, jaccard, token_overlap, abs(a - b), abs(epoch(a) - epoch(b)), relative ' +
  'differences, array_length(list_intersect(a, b)), pairwise distances and distances in km, joined by AND, OR and NOT';
const SUPPORTED_STEPS =
  'columns may go through lower, upper, trim, substr, left, nullif, regexp_extract, try_strptime, cast to text, ' +
  'digits, plain, soundex, year, [n]';

/** `$a` is no SQL; as names they would be columns. */
function template(text: string): SqlNode {
  return parseSql(text.replaceAll('$', 'operand_'));
}

const MEASURE_TEMPLATES = MEASURES.map(([measure, text]) => [measure, template(text)] as const);
const SUBSET_TEMPLATE = template(SUBSET);

/**
 * Reads a condition of a comparison level, whose columns end with `_l` and `_r`; `ELSE` is what nothing else holds for.
 * @throws WeftError MODEL_INVALID with the position and what is supported
 */
export function parseCondition(sql: string): Condition {
  if (sql.trim().toUpperCase() === 'ELSE') return { kind: 'else' };
  return new ConditionReader(sql, 'suffix').condition(withUsualNames(parseSql(sql)));
}

/**
 * Reads a blocking rule, whose columns are `l.name` and `r.name`.
 * @throws WeftError MODEL_INVALID with the position and what is supported
 */
export function parseBlockingCondition(sql: string): Condition {
  return new ConditionReader(sql, 'table').condition(withUsualNames(parseSql(sql)));
}

/**
 * Reads an expression of one record, as `substr(surname, 1, 2)`.
 * @throws WeftError MODEL_INVALID with the position and what is supported
 */
export function parseValueExpression(sql: string): ValueExpression {
  const operand = new ConditionReader(sql, 'neither').operand(withUsualNames(parseSql(sql)));
  if (operand.side === 'none') throw refused(sql, 0, 'it reads no column', SUPPORTED_STEPS);
  return operand.expression;
}

function withUsualNames(node: SqlNode): SqlNode {
  if (node.kind !== 'call') return node;
  return { ...node, name: FUNCTION_NAMES[node.name] ?? node.name, args: node.args.map(withUsualNames) };
}

const FLIPPED: Readonly<Record<ComparisonSign, ComparisonSign>> = {
  '=': '=',
  '<>': '<>',
  '<': '>',
  '<=': '>=',
  '>': '<',
  '>=': '<=',
};

function isSign(name: string): name is ComparisonSign {
  return name in FLIPPED;
}

class ConditionReader {
  readonly #sql: string;
  readonly #naming: Naming;

  constructor(sql: string, naming: Naming) {
    this.#sql = sql;
    this.#naming = naming;
  }

  condition(node: SqlNode): Condition {
    if (node.kind !== 'call') throw refused(this.#sql, node.at, 'a condition is expected here', SUPPORTED);
    const { name, args } = node;
    const [first, second] = args;
    if (first === undefined) throw refused(this.#sql, node.at, `${name}() is not supported`, SUPPORTED);
    if (name === 'and' || name === 'or') return this.#joined(name, args);
    if (name === 'not') return { kind: 'not', of: this.condition(first) };
    if (name === 'is null') return { kind: 'missing', operand: this.operand(first) };
    if (name === 'is not null') return { kind: 'not', of: { kind: 'missing', operand: this.operand(first) } };
    const bound = unify(SUBSET_TEMPLATE, node);
    if (bound !== null) return this.#measure('uncommon', bound, '=', 0);
    if (second === undefined || !isSign(name)) {
      throw refused(this.#sql, node.at, `${name} is not supported as a condition`, SUPPORTED);
    }
    return this.#compared(name, first, second);
  }

  #joined(name: 'and' | 'or', args: readonly SqlNode[]): Condition {
    const kind = name === 'and' ? 'all' : 'any';
    const parts = args.map((arg) => this.condition(arg));
    return { kind, of: parts.flatMap((part) => (part.kind === kind ? part.of : [part])) };
  }

  #compared(sign: ComparisonSign, left: SqlNode, right: SqlNode): Condition {
    if (left.kind === 'number' && right.kind === 'call') return this.#compared(FLIPPED[sign], right, left);
    if (right.kind === 'number') {
      for (const [measure, pattern] of MEASURE_TEMPLATES) {
        const bound = unify(pattern, left);
        if (bound !== null) return this.#measure(measure, bound, sign, right.value);
      }
    }
    if (sign === '=') return { kind: 'equal', left: this.operand(left), right: this.operand(right) };
    if (sign === '<>') {
      return { kind: 'not', of: { kind: 'equal', left: this.operand(left), right: this.operand(right) } };
    }
    const what = left.kind === 'call' ? `${left.name}() ${sign} …` : `this comparison by ${sign}`;
    throw refused(this.#sql, left.at, `${what} is not supported`, SUPPORTED);
  }

  #measure(measure: Measure, bound: ReadonlyMap<string, SqlNode>, sign: ComparisonSign, limit: number): Condition {
    const nodes = [...bound].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, node]) => node);
    const operands = nodes.map((node) => {
      const operand = this.operand(node);
      return measure === 'seconds_apart' ? inSeconds(operand) : operand;
    });
    return { kind: 'measure', measure, operands, sign, bound: limit };
  }

  operand(node: SqlNode): Operand {
    if (node.kind === 'text') return { side: 'none', text: node.value };
    if (node.kind === 'number') return { side: 'none', text: String(node.value) };
    if (node.kind === 'name') return this.#column(node);
    if (node.kind === 'null') throw refused(this.#sql, node.at, 'nothing is ever equal to null', 'write IS NULL');
    const [first, ...others] = node.args;
    if (first === undefined) throw refused(this.#sql, node.at, `${node.name}() is not supported`, SUPPORTED_STEPS);
    const inner = this.operand(first);
    if (inner.side === 'none') {
      if (node.name === 'cast') return inner;
      throw refused(this.#sql, node.at, `${node.name} of a constant is not supported`, SUPPORTED_STEPS);
    }
    const steps = this.#steps(node.name, node.at, others);
    return { ...inner, expression: { ...inner.expression, steps: [...inner.expression.steps, ...steps] } };
  }

  #column({ at, table, name }: { at: number; table: string | null; name: string }): Operand {
    const [column, letter] =
      this.#naming === 'suffix' ? [name.slice(0, -2), name.slice(-2)] : [name, `_${table ?? ''}`];
    if (this.#naming === 'neither') {
      return { side: 'left', expression: { column: name, steps: [] } };
    }
    const side = letter.toLowerCase() === '_l' ? 'left' : letter.toLowerCase() === '_r' ? 'right' : null;
    if (side === null || column === '' || (this.#naming === 'suffix' && table !== null)) {
      const hint = this.#naming === 'suffix' ? 'write name_l and name_r' : 'write l.name and r.name';
      throw refused(this.#sql, at, `it is not clear of which record "${name}" is`, hint);
    }
    return { side, expression: { column, steps: [] } };
  }

  #steps(name: string, at: number, args: readonly SqlNode[]): ValueStep[] {
    const [first, second] = args;
    switch (name) {
      case 'lower':
      case 'upper':
      case 'trim':
      case 'digits':
      case 'soundex':
      case 'year':
      case 'plain':
        if (first === undefined) return [{ kind: name }];
        break;
      case 'substr':
        if (first?.kind === 'number' && (second === undefined || second.kind === 'number')) {
          return [{ kind: 'part', from: first.value, length: second?.value ?? null }];
        }
        break;
      case 'left':
        if (first?.kind === 'number') return [{ kind: 'part', from: 1, length: first.value }];
        break;
      case 'nullif':
        if (first?.kind === 'text') return [{ kind: 'missing_if', text: first.value }];
        break;
      case 'regexp_extract':
        if (first?.kind === 'text' && (second === undefined || second.kind === 'number')) {
          return [{ kind: 'extract', pattern: first.value, group: second?.value ?? 0 }];
        }
        break;
      case 'try_strptime':
        if (first?.kind === 'text') return [{ kind: 'seconds', format: first.value }];
        break;
      case '[]':
        if (first?.kind === 'number') return [{ kind: 'item', at: first.value }];
        break;
      case 'cast':
        if (first?.kind === 'text' && TEXT_TYPES.has(first.value)) return [];
        if (first?.kind === 'text' && TIME_TYPES.has(first.value)) return [{ kind: 'seconds', format: null }];
        break;
    }
    throw refused(this.#sql, at, `${name} is not supported here`, SUPPORTED_STEPS);
  }
}

const TEXT_TYPES: ReadonlySet<string> = new Set(['text', 'varchar', 'string']);
const TIME_TYPES: ReadonlySet<string> = new Set(['date', 'timestamp']);

/** Times may be given as they are, without a format. */
function inSeconds(operand: Operand): Operand {
  if (operand.side === 'none') return operand;
  const { column, steps } = operand.expression;
  if (steps.some(({ kind }) => kind === 'seconds')) return operand;
  return { ...operand, expression: { column, steps: [...steps, { kind: 'seconds', format: null }] } };
}

/** What `operand_a`, `operand_b` … of the pattern stand for; null where the node is not of that shape. */
function unify(pattern: SqlNode, node: SqlNode): Map<string, SqlNode> | null {
  const bound = new Map<string, SqlNode>();
  return matches(pattern, node, bound) ? bound : null;
}

function matches(pattern: SqlNode, node: SqlNode, bound: Map<string, SqlNode>): boolean {
  if (pattern.kind === 'name' && pattern.name.startsWith('operand_')) {
    const before = bound.get(pattern.name);
    if (before !== undefined) return isSameSql(before, node);
    bound.set(pattern.name, node);
    return true;
  }
  if (pattern.kind !== 'call') return isSameSql(pattern, node);
  if (node.kind !== 'call' || node.name !== pattern.name || node.args.length !== pattern.args.length) return false;
  return pattern.args.every((arg, i) => matches(arg, node.args[i] as SqlNode, bound));
}
