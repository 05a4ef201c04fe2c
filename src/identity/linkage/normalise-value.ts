import { PhoneParser } from '../normalise-identifier.js';
import type { ColumnKind, LinkageModel, LinkageRecord, LinkageValue, ModelColumn } from './linkage-model.model.js';
import { plainTextOf } from './plain-text.js';

type Values = LinkageRecord['values'];

/** What is written where nothing is known. */
const NOTHING: ReadonlySet<string> = new Set([
  '',
  '-',
  'n/a',
  'na',
  'nil',
  'none',
  'null',
  'unknown',
  'undefined',
  'nan',
]);

/** How the value of a model's column comes out of the values of a record. */
export function modelValueOf({ columns }: LinkageModel, name: string): (values: Values) => LinkageValue {
  const column = columns?.find((each) => each.name === name);
  if (column === undefined) return (values) => values[name] ?? null;
  const normalise = NORMALISERS[column.kind];
  return (values) => {
    const texts = textsOf(column, values);
    return texts.length === 0 ? null : normalise(texts);
  };
}

function textsOf({ from }: ModelColumn, values: Values): string[] {
  return from
    .flatMap((name) => values[name] ?? [])
    .map((text) => text.trim())
    .filter((text) => !NOTHING.has(text.toLowerCase()));
}

type Normalise = (texts: readonly string[]) => LinkageValue;

const phones = new PhoneParser(null);

const NORMALISERS: Readonly<Record<ColumnKind, Normalise>> = {
  text: (texts) => filled(texts.join(' ').normalize('NFKC').toLowerCase().replaceAll(/\s+/g, ' ')),
  name: (texts) => filled(plainTextOf(texts.join(' '))),
  date: (texts) => dateOf(texts.join(' ')),
  address: (texts) => plainTextOf(texts.join(' ')).split(' ').filter(Boolean),
  postcode: (texts) => filled(plainTextOf(texts.join('')).replaceAll(' ', '').toUpperCase()),
  email: (texts) => filled(texts.join('').normalize('NFKC').toLowerCase().replaceAll(/\s+/g, '')),
  phone: (texts) => phoneOf(texts.join(' ')),
  number: (texts) => filled(texts.join(' ').replaceAll(/[^\d.-]+/g, '')),
  list: (texts) =>
    texts
      .flatMap((text) => text.split(/[|;,]/))
      .map(plainTextOf)
      .filter(Boolean),
};

function filled(text: string): string | null {
  return text === '' ? null : text;
}

/**
 * Year, month and day as eight digits, whether or not there is such a day: a slip of the keyboard is compared by its
 * digits. Of dates that begin with the day or the month, the day is taken to be first unless it cannot be.
 */
function dateOf(text: string): string | null {
  const parts = text.match(/\d+/g) ?? [];
  const [first = '', second = '', third = ''] = parts;
  if (parts.length === 1) return first.length === 8 ? first : null;
  if (first.length === 4 && second !== '' && third !== '')
    return first + second.padStart(2, '0') + third.slice(0, 2).padStart(2, '0');
  if (third.length !== 4 || first.length > 2 || second.length > 2) return null;
  const isMonthFirst = Number(second) > 12 && Number(first) <= 12;
  const [day, month] = isMonthFirst ? [second, first] : [first, second];
  return third + month.padStart(2, '0') + day.padStart(2, '0');
}

/** E.164 where the country is given, else the digits without leading zeros, which the national part ends with. */
function phoneOf(text: string): string | null {
  const parsed = phones.parse(text);
  if ('value' in parsed) return parsed.value;
  return filled(text.replaceAll(/\D+/g, '').replace(/^0+/, ''));
}
