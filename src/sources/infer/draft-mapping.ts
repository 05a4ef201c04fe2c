import { profileColumn, type ColumnProfile } from './infer-column.js';
import type { FileSample, SampleRow } from './read-sample.js';

/** Names of columns by which people are known, and the namespaces of their values. */
const PERSON_COLUMNS: readonly (readonly [RegExp, string])[] = [
  [/^e?[-_\s]?mail(?:[-_\s]?address)?$/i, 'email'],
  [/^(?:phone|mobile|cell|tel(?:ephone)?)(?:[-_\s]?(?:no|nr|number))?$/i, 'phone'],
  [
    /^(?:crm|customer|client|account|contact|member|buyer|guest|patient|subscriber)[-_\s]?(?:id|no|nr|number|key|code)$/i,
    'crm_id',
  ],
  [/^(?:user|login|uid|player|visitor)(?:[-_\s]?(?:id|no|number))?$/i, 'user_id'],
  [/^anonymous[-_\s]?id$/i, 'anonymous_id'],
  [/^device[-_\s]?id$/i, 'device_id'],
  [/^(twitter|instagram|facebook|tiktok|linkedin)(?:[-_\s]?(?:handle|name|id|user))?$/i, '$1'],
];
const EVENT_NAME = /^(?:event|event[-_\s]?(?:name|type)|action|activity|interaction)$/i;
const EVENT_TIME = [
  /^(?:timestamp|time|datetime|ts|event[-_\s]?(?:time|timestamp|date|at))$/i,
  /^(?:occurred|recorded|sent|received|updated|modified)[-_\s]?(?:at|on|time|date)?$/i,
  /(?:^|[-_\s])(?:invoice|order|purchase|transaction|visit|session)[-_\s]?(?:date|time|at|on)|(?:Date|Time)$/i,
  /^(?:date|day|created[-_\s]?(?:at|on)?|created)$/i,
  /(?:^|[-_\s])(?:at|time|date|ts)$/i,
];
const NO_EVENT_TIME = /birth|dob|born|expir|valid|due/i;
const GROUP_COLUMN =
  /^(?:invoice|order|basket|cart|transaction|receipt|purchase|booking)[-_\s]?(?:id|no|nr|number|key|code)?$/i;
const PERSON_TRAIT =
  /(?:^|[-_\s])(?:name|surname|given[-_\s]?name|first|last|city|town|suburb|country|dob|birth|gender|sex|age|tenure|senior[-_\s]?citizen)(?:$|[-_\s])/i;
/** Rows of one group, on average, from which on a column seems to group them. */
const MIN_GROUP_ROWS = 1.5;
/** Of groups: so many must agree on a column for it to be of the group and not of its rows. */
const MOST_GROUPS = 0.99;
/** Rows without any identifier beyond which the limit on errors is raised. */
const MAX_NAMELESS = 0.05;

export interface DraftIdentifier {
  readonly namespace: string;
  /** Null: the row itself. */
  readonly column: ColumnProfile | null;
}

/** What a mapping might say, and why; to be edited. */
export interface MappingDraft {
  readonly source: string;
  readonly sample: FileSample;
  readonly columns: readonly ColumnProfile[];
  readonly identifiers: readonly DraftIdentifier[];
  readonly time: ColumnProfile | null;
  /** By which rows make one event, with the columns that differ among them; null: each row is one. */
  readonly group: { readonly by: ColumnProfile; readonly lines: readonly ColumnProfile[] } | null;
  /** Whose value differs in each row; null: none, or the group's column is the key. */
  readonly key: ColumnProfile | null;
  readonly eventName: { readonly column: ColumnProfile } | { readonly constant: string } | null;
  /** Columns that become properties of an event, or traits of a person. */
  readonly fields: readonly ColumnProfile[];
  /** 0…1 of the rows of the sample: those that no identifier is in. */
  readonly nameless: number;
}

/** Drafts what the rows of a file may become. @param fileName without folders */
export function draftMapping(sample: FileSample, fileName: string): MappingDraft {
  const columns = sample.columns.map((name) => profileColumn(name, sample));
  const stem = keyOf(fileName.replace(/\.(?:csv|tsv|txt|jsonl|ndjson|json|parquet|gz|zst)(?=\.|$)/gi, '')) || 'file';
  const known = personColumns(columns);
  const time = timeColumn(columns);
  const group = groupOf(sample, columns, known);
  const key = group === null ? keyColumn(columns, known) : null;
  const eventColumn = columns.find(({ name, type, distinct, filled }) => {
    return EVENT_NAME.test(name) && type === 'string' && distinct < Math.max(50, filled / 10);
  });
  const isAboutPeople = eventColumn === undefined && group === null && rowsArePeople(columns, known, key);
  const identifiers = identifiersOf(sample, columns, known, key);
  const used = new Set([
    ...identifiers.flatMap(({ column }) => column?.name ?? []),
    ...(group?.lines ?? []).map(({ name }) => name),
    ...[time, eventColumn].flatMap((column) => column?.name ?? []),
  ]);
  return {
    source: stem,
    sample,
    columns,
    identifiers,
    time,
    group,
    key,
    eventName: isAboutPeople ? null : eventColumn === undefined ? { constant: stem } : { column: eventColumn },
    fields: columns.filter(({ name, filled }) => !used.has(name) && filled > 0),
    nameless: namelessShare(sample.rows, identifiers),
  };
}

/** Lower-case letters, digits and underscores, a letter first. */
export function keyOf(name: string): string {
  const words = name.replace(/([a-z\d])([A-Z])/g, '$1_$2').toLowerCase();
  return words
    .replace(/[^a-z\d]+/g, '_')
    .replace(/^[^a-z]+|_+$/g, '')
    .slice(0, 63);
}

function personColumns(columns: readonly ColumnProfile[]): DraftIdentifier[] {
  const found = new Map<string, DraftIdentifier>();
  for (const column of columns) {
    if (column.filled === 0 || column.type === 'json' || column.time !== null) continue;
    const [pattern, named] = PERSON_COLUMNS.find(([each]) => each.test(column.name)) ?? [];
    const byName = pattern === undefined || named === undefined ? null : column.name.replace(pattern, named);
    const namespace = column.isEmail ? 'email' : byName?.toLowerCase();
    if (namespace === undefined || (namespace === 'email' && !column.isEmail)) continue;
    if (!found.has(namespace)) found.set(namespace, { namespace, column });
  }
  return [...found.values()];
}

function timeColumn(columns: readonly ColumnProfile[]): ColumnProfile | null {
  const times = columns.filter(({ time, name, filled, rows }) => {
    return time !== null && !NO_EVENT_TIME.test(name) && filled > rows / 2;
  });
  for (const pattern of EVENT_TIME) {
    const column = times.find(({ name }) => pattern.test(name));
    if (column !== undefined) return column;
  }
  return null;
}

/** A column that names orders or the like, of which each has several rows, all of one person. */
function groupOf(
  { head }: FileSample,
  columns: readonly ColumnProfile[],
  known: readonly DraftIdentifier[],
): MappingDraft['group'] {
  const by = columns.find(({ name, filled, rows, distinct }) => {
    return GROUP_COLUMN.test(name) && filled === rows && rows / distinct >= MIN_GROUP_ROWS;
  });
  if (by === undefined) return null;
  const groups = new Map<unknown, SampleRow[]>();
  for (const row of head) {
    const key = row.get(by.name);
    const rows = groups.get(key);
    if (rows === undefined) groups.set(key, [row]);
    else rows.push(row);
  }
  const isOfGroup = ({ name }: ColumnProfile): boolean => {
    let agreeing = 0;
    for (const rows of groups.values()) if (new Set(rows.map((row) => row.get(name))).size === 1) agreeing++;
    return agreeing >= groups.size * MOST_GROUPS;
  };
  if (!known.every(({ column }) => column !== null && isOfGroup(column))) return null;
  const isTime = ({ time }: ColumnProfile): boolean => time !== null;
  const lines = columns.filter((column) => column !== by && !isTime(column) && !isOfGroup(column));
  return lines.length === 0 ? null : { by, lines };
}

function rowsArePeople(
  columns: readonly ColumnProfile[],
  known: readonly DraftIdentifier[],
  key: ColumnProfile | null,
): boolean {
  const isKeyOfPerson = known.some(({ namespace, column }) => column === key && namespace.endsWith('_id'));
  return isKeyOfPerson || columns.filter(({ name }) => PERSON_TRAIT.test(name)).length >= 2;
}

function keyColumn(columns: readonly ColumnProfile[], known: readonly DraftIdentifier[]): ColumnProfile | null {
  const unique = columns.filter(({ filled, rows, distinct, time, type }) => {
    return rows > 1 && filled === rows && distinct === rows && time === null && type !== 'double' && type !== 'json';
  });
  const isPerson = (column: ColumnProfile): boolean => known.some((identifier) => identifier.column === column);
  const [first] = columns;
  return unique.find((column) => column.isId && !isPerson(column)) ?? unique.find((column) => column === first) ?? null;
}

/** Those by name and content; where most rows have none of them, or there is none, what differs in each row. */
function identifiersOf(
  { rows }: FileSample,
  columns: readonly ColumnProfile[],
  known: readonly DraftIdentifier[],
  key: ColumnProfile | null,
): DraftIdentifier[] {
  const own = key === null || known.some(({ column }) => column === key) ? null : key;
  const isOfPeople = columns.some(({ name }) => PERSON_TRAIT.test(name));
  if (known.length > 0 && (own === null || !isOfPeople || namelessShare(rows, known) <= MAX_NAMELESS))
    return [...known];
  if (own !== null) return [...known, { namespace: keyOf(own.name).slice(0, 32) || 'row_id', column: own }];
  return [{ namespace: 'row_id', column: null }];
}

function namelessShare(rows: readonly SampleRow[], identifiers: readonly DraftIdentifier[]): number {
  if (rows.length === 0 || identifiers.some(({ column }) => column === null)) return 0;
  const hasOne = (row: SampleRow): boolean =>
    identifiers.some(({ column }) => {
      const value = column === null ? undefined : row.get(column.name);
      return (
        value !== undefined &&
        value !== null &&
        value !== '' &&
        !(typeof value === 'string' && (column?.nulls ?? []).includes(value))
      );
    });
  return rows.filter((row) => !hasOne(row)).length / rows.length;
}
