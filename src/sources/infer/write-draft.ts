import { keyOf, type MappingDraft } from './draft-mapping.js';
import type { ColumnProfile } from './infer-column.js';

const PLAIN_TEXT = /^[A-Za-z_][\w]*(?:[ ./()-]?[\w()]+)*$/;
/** Words that YAML does not read as texts. */
const NO_TEXT = /^(?:true|false|null|yes|no|on|off|y|n)$/i;
const COMMENT_COLUMN = 48;

/**
 * A mapping file with comments that say what each guess is from. No value of the file is in it but texts that mean "no
 * value".
 */
export function writeDraft(draft: MappingDraft): string {
  return `${linesOf(draft).join('\n')}\n`;
}

/** What whoever edits the mapping should look at, one line each. */
export function notesOf({ time, identifiers, sample, nameless, group, key, columns }: MappingDraft): string[] {
  const notes: string[] = [];
  for (const column of columns) notes.push(...notesOfColumn(column, column === time));
  if (sample.faulty > 0) notes.push(`${String(sample.faulty)} rows of the sample cannot be read`);
  if (sample.encoding !== 'utf-8') notes.push('the file is no UTF-8; it is taken for windows-1252');
  if (sample.header !== null) notes.push('the file seems to have no header row; its columns have made-up names');
  if (time === null) notes.push('no column is the time of an event for certain; events get the time of the load');
  if (time?.time?.other != null) {
    notes.push(`days and months of "${time.name}" may be the other way round: ${time.time.other}`);
  }
  if (time?.time?.hasOffset === false) notes.push(`times of "${time.name}" name no zone; UTC is a guess`);
  if (identifiers.some(({ column }) => column === null)) {
    notes.push('no column names a person; each row is somebody of its own until you name one');
  } else if (key !== null && identifiers.length === 1 && identifiers[0]?.column === key) {
    notes.push(`no column names a person for certain; "${key.name}" differs in each row`);
  }
  if (nameless > 0) notes.push(`${percent(nameless)} of the rows have none of the identifiers; they would be refused`);
  if (group !== null) notes.push(`rows with the same "${group.by.name}" are taken for lines of one event`);
  return notes;
}

function notesOfColumn(
  { name, type, time, decimal, isDecimalUncertain, misfits, filled }: ColumnProfile,
  isTime: boolean,
): string[] {
  const notes: string[] = [];
  // Of other times, the text is taken as it is.
  if (misfits.count > 0 && (time === null || isTime)) {
    const where =
      misfits.rows.length === 0
        ? ''
        : ` (row ${misfits.rows.join(', ')}${misfits.count > misfits.rows.length ? ', …' : ''})`;
    const what = isTime
      ? 'times'
      : type === 'bool'
        ? 'true or false'
        : type === 'json'
          ? 'JSON'
          : type === 'int'
            ? 'integers'
            : 'numbers';
    notes.push(
      `${String(misfits.count)} of ${String(filled)} values of "${name}" are not ${what}${where}: their rows would be refused and kept to be mended`,
    );
  }
  if (isDecimalUncertain) {
    const other = decimal === 'comma' ? 'between thousands' : 'before decimals';
    notes.push(`commas of "${name}" may also stand ${other}; "clean" says how they are read`);
  }
  return notes;
}

function linesOf(draft: MappingDraft): string[] {
  const { sample, columns, time, identifiers, group, key, eventName, fields, nameless } = draft;
  const { format, encoding, delimiter, header } = sample;
  const nulls = [...new Set(columns.flatMap((column) => column.nulls))].sort();
  const isRecords = format !== 'csv';
  const typed = columns.filter(({ type }) => !isRecords && type !== 'string');
  const title = eventName === null ? 'traits' : 'properties';
  const ofFields = group === null ? fields : [...fields.filter((column) => column !== group.by)];
  return [
    `# Drafted from ${String(sample.rows.length)} rows (${sample.place}). Edit it, then see what it makes of the file:`,
    '#   weft load <file> --mapping <this file> --dry-run',
    ...notesOf(draft).map((note) => `# - ${note}`),
    `source: ${draft.source}`,
    `format: ${format}`,
    ...(encoding === 'utf-8' ? [] : [`encoding: ${encoding}`]),
    ...(delimiter === ',' || isRecords ? [] : [`delimiter: "${delimiter === '\t' ? '\\t' : delimiter}"`]),
    ...(header === null ? [] : [`header: [${header.join(', ')}]`]),
    ...(nulls.length === 0 ? [] : [`nulls: [${nulls.map(quoted).join(', ')}]`]),
    ...cleanLines(columns),
    ...(typed.length === 0
      ? []
      : ['columns:', ...typed.map((column) => entry(scalar(column.name), column.type, column))]),
    ...(group === null
      ? []
      : [
          'group:',
          `  by: [${scalar(group.by.name)}]`,
          '  lines:',
          '    path: lines',
          '    fields:',
          ...fieldLines(group.lines, isRecords, '      '),
        ]),
    ...keyLines(group?.by ?? key),
    ...timeLines(time),
    'identifiers:',
    ...identifiers.map(({ namespace, column }) =>
      column === null
        ? `  ${namespace}: { row: true }`
        : entry(namespace, valueOf(column, namespace === 'email' ? ['trim', 'lower'] : ['trim']), column),
    ),
    'event:',
    ...(eventName === null
      ? ['  type: identify']
      : [
          '  type: track',
          'column' in eventName
            ? `  name: { column: ${scalar(eventName.column.name)} }`
            : `  name: ${eventName.constant}`,
        ]),
    ...(ofFields.length === 0 && group === null ? [] : [`${title}:`]),
    ...(group === null ? [] : ['  line_count: { count: true }']),
    ...fieldLines(ofFields, isRecords, '  '),
    ...(nameless === 0 ? [] : [`errors: ${String(Math.min(100, Math.ceil(nameless * 100 + 10)))}%`]),
  ];
}

/** Numbers that programs would not read as such. */
function cleanLines(columns: readonly ColumnProfile[]): string[] {
  const marked = columns.filter(({ decimal }) => decimal !== null);
  if (marked.length === 0) return [];
  return ['clean:', ...marked.map(({ name, decimal }) => `  ${scalar(name)}: { decimal: ${decimal ?? ''} }`)];
}

function keyLines(column: ColumnProfile | null): string[] {
  if (column === null) return ["# key: '{Column}'  # no column differs in each row: a row is named by file and number"];
  return [`key: ${quoted(`{${column.name}}`)}`];
}

function timeLines(column: ColumnProfile | null): string[] {
  if (column?.time == null) return ['# time: { column: …, format: iso, zone: UTC }'];
  const { format, hasOffset, other } = column.time;
  const also = other === null ? '' : `  # or ${other}: both fit`;
  const zone = hasOffset ? '' : ', zone: UTC';
  return [`time: { column: ${scalar(column.name)}, format: ${quoted(format)}${zone} }${also}`];
}

function fieldLines(columns: readonly ColumnProfile[], isRecords: boolean, indent: string): string[] {
  const names = new Set<string>();
  return columns.map((column) => {
    let name = keyOf(column.name) || 'value';
    for (let i = 2; names.has(name); i++) name = `${keyOf(column.name)}_${String(i)}`;
    names.add(name);
    const value = isRecords && column.name.includes('.') ? scalar(column.name) : valueOf(column, []);
    return entry(name, value, column, indent);
  });
}

function valueOf(column: ColumnProfile, always: readonly string[]): string {
  const transforms = [
    ...always,
    ...(column.isPadded && !always.includes('trim') ? ['trim'] : []),
    ...(column.isWrittenAsDecimal ? ['stripDecimal'] : []),
  ];
  if (transforms.length === 0) return scalar(column.name);
  return `{ column: ${scalar(column.name)}, transforms: [${transforms.join(', ')}] }`;
}

function entry(
  name: string,
  value: string,
  { filled, rows, distinct, time, type }: ColumnProfile,
  indent = '  ',
): string {
  const what = time === null ? type : `time, ${time.format}`;
  const empty = filled === rows ? '' : `, ${percent(1 - filled / rows)} empty`;
  const counted = distinct === rows ? 'all different' : `${distinct.toLocaleString('en-US')} distinct`;
  return `${`${indent}${name}: ${value}`.padEnd(COMMENT_COLUMN)} # ${what}, ${counted}${empty}`;
}

function percent(share: number): string {
  const value = share * 100;
  return value > 0 && value < 1 ? '<1 %' : `${String(Math.round(value))} %`;
}

function scalar(text: string): string {
  return PLAIN_TEXT.test(text) && !NO_TEXT.test(text) ? text : quoted(text);
}

function quoted(text: string): string {
  return `'${text.replaceAll("'", "''")}'`;
}
