import { durationHint, durationMs, durationText } from '../platform/duration.js';
import { WeftError } from '../platform/errors.js';
import type { YamlValue } from '../platform/yaml-file.js';
import { zoneHint } from '../platform/zone-cache.js';
import { ZoneOffsets } from '../platform/zone-offsets.js';
import type { AggregateField, AggregateRule } from './aggregate.model.js';
import { compileWhere } from './compile-where.js';
import { WEEKDAYS, type FeatureOptions, type FunnelStep } from './feature.model.js';
import { MAX_FUNNEL_STEPS, MAX_WITHIN_MS, MIN_FUNNEL_STEPS, MIN_WITHIN_MS } from './funnel.model.js';
import { MAX_WINDOW_MS, MIN_WINDOW_MS } from './stream.model.js';
import { parseValuePath } from './value-path.js';

const MAX_PATH_LENGTH = 1_000;
const MAX_KEY_LENGTH = 100;
export const MAX_NAME_LENGTH = 200;
export const MAX_TEXT_LENGTH = 4_000;
const [MIN_GAP_MS, MAX_GAP_MS] = [1_000, 30 * 86_400_000];
const QUARTER_HOUR_MS = 900_000;
const HOURS = /^(\d{1,2})-(\d{1,2})$/;

/** A field that some aggregates take. */
interface FieldForm {
  /** How messages name it. */
  readonly what: string;
  /** How it may be written. */
  readonly example: string;
  /** Reads it as an option. Left out: it has a place of its own in a definition. Notes what is wrong with it. */
  read?(item: YamlValue, rule: AggregateRule): FeatureOptions;
}

/** How the fields that only some aggregates take are written. To add one, add a row. */
export const FIELD_FORMS: { readonly [F in AggregateField]: FieldForm } = {
  value: { what: 'a value', example: 'the path of a property, as in value: properties.total' },
  window: { what: 'a window', example: 'how far back events count, as in window: 7d' },
  type: { what: 'a type', example: 'the type of the value, as in type: string' },
  unit: { what: 'a unit', example: 'what is counted in, as in unit: 1d' },
  limit: { what: 'a limit', example: 'how many are kept at most, as in limit: 10' },
  others: {
    what: 'others',
    example: 'whether events that are not named are kept, too, as in others: true',
    read: (item) => (item.bool('others') === true ? { others: true } : {}),
  },
  gap: {
    what: 'a gap',
    example: 'how much later an event begins another session, as in gap: 30m',
    read: (item) => option('gapMs', readDuration(item, 'a gap', MIN_GAP_MS, MAX_GAP_MS)),
  },
  of: {
    what: 'of',
    example: 'which value is meant, as in of: mean',
    read: (item, { summaries = [] }) => option('of', item.oneOf('of', summaries)),
  },
  steps: {
    what: 'steps',
    example: 'the events from first to last, as in steps: [product_view, order_completed]',
    read: (item) => option('steps', readSteps(item)),
  },
  within: {
    what: 'within',
    example: 'how long after the first step the last may come, as in within: 1d',
    read: (item) => option('withinMs', readDuration(item, 'within', MIN_WITHIN_MS, MAX_WITHIN_MS)),
  },
  zone: {
    what: 'a zone',
    example: 'whose clock it goes by, as in zone: Europe/Berlin',
    read: (item) => option('zone', readZone(item)),
  },
  share_of: {
    what: 'share_of',
    example: 'days of the week, as in share_of: [sat, sun]',
    read: (item) => option('days', readDays(item)),
  },
  hours: {
    what: 'hours',
    example: 'the first and the last hour of the day, as in hours: 18-23',
    read: (item) => option('hours', readHours(item)),
  },
  by: {
    what: 'a field to group by',
    example: 'its path, as in by: properties.category',
    read: (item) => option('by', readPath(item, 'what events are grouped by')),
  },
  key: {
    what: 'a key',
    example: 'the one key to read, as in key: shoes',
    read: (item) => option('key', item.text('the key', MAX_KEY_LENGTH)),
  },
  p: {
    what: 'a p',
    example: 'which percentile it is, as in p: 0.95',
    read: (item) => option('p', readShare(item)),
  },
  half_life: {
    what: 'a half-life',
    example: 'in what time an event comes to count half, as in half_life: 7d',
    read: (item) => option('halfLifeMs', readDuration(item, 'a half-life', MIN_WINDOW_MS, MAX_WINDOW_MS)),
  },
  numerator: { what: 'a numerator', example: 'a feature of this view, as in numerator: orders_90d' },
  denominator: { what: 'a denominator', example: 'a feature of this view, as in denominator: visits_90d' },
};

function option<K extends keyof FeatureOptions>(name: K, value: FeatureOptions[K] | null): FeatureOptions {
  return value === undefined || value === null ? {} : { [name]: value };
}

function readShare(item: YamlValue): number | undefined {
  const value = item.scalar;
  if (typeof value === 'number' && value >= 0 && value <= 1) return value;
  return item.problem('p must be a number', 'from 0 to 1, as in 0.95');
}

function readSteps(list: YamlValue): readonly FunnelStep[] | undefined {
  const items = list.items('steps') ?? [];
  if (items.length < MIN_FUNNEL_STEPS || items.length > MAX_FUNNEL_STEPS) {
    return list.problem(`a funnel has 2 to ${String(MAX_FUNNEL_STEPS)} steps`, 'name the events from first to last');
  }
  return items.map(readStep).filter((step) => step !== undefined);
}

function readStep(item: YamlValue): FunnelStep | undefined {
  if (item.scalar !== undefined) {
    const event = item.text('a step', MAX_NAME_LENGTH);
    return event === undefined ? undefined : { event, where: null };
  }
  const fields = item.fields('a step', ['event', 'where']);
  if (fields === undefined) return undefined;
  const event = fields.get('event')?.text('the event of a step', MAX_NAME_LENGTH);
  const where = readWhere(fields.get('where'));
  if (event !== undefined) return { event, where };
  return fields.has('event') ? undefined : item.problem('the step has no event', 'add event: its name');
}

function readZone(item: YamlValue): string | undefined {
  const name = item.text('the zone', MAX_NAME_LENGTH);
  if (name === undefined) return undefined;
  const wrong = (): undefined => item.problem(`there is no zone ${name}`, zoneHint(name));
  try {
    // Tiles are quarters of an hour, which the offset of every IANA zone is made of since 1972.
    return new ZoneOffsets(name).offsetAt(Date.UTC(2020, 0, 1)) % QUARTER_HOUR_MS === 0 ? name : wrong();
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    return wrong();
  }
}

function readDays(list: YamlValue): FeatureOptions['days'] {
  const written = list.items('share_of')?.map((item) => item.oneOf('a day', WEEKDAYS));
  if (written?.length === 0) return list.problem('share_of names no day', 'name days, as in share_of: [sat, sun]');
  return written === undefined ? undefined : WEEKDAYS.filter((day) => written.includes(day));
}

function readHours(item: YamlValue): FeatureOptions['hours'] {
  const match = HOURS.exec(String(item.scalar));
  const [first, last] = [Number(match?.[1]), Number(match?.[2])];
  if (first < 24 && last < 24) return [first, last];
  return item.problem('hours must be two hours of the day', 'write the first and the last, 0 to 23, as in 18-23');
}

/** A condition in CEL over an event; null if there is none, or none that is right. */
export function readWhere(filter: YamlValue | undefined): string | null {
  const text = filter?.text('the filter', MAX_TEXT_LENGTH);
  if (filter === undefined || text === undefined) return null;
  try {
    compileWhere(text);
    return text;
  } catch (error) {
    if (!(error instanceof WeftError)) throw error;
    filter.problem(
      `the filter is wrong at ${error.where ?? 'its start'}: ${error.message}`,
      error.hint ?? 'correct it',
    );
    return null;
  }
}

export function readDuration(
  item: YamlValue | undefined,
  what: string,
  leastMs: number,
  mostMs: number,
): number | null {
  if (item === undefined) return null;
  const text = item.scalar;
  try {
    const ms = durationMs(typeof text === 'string' ? text : String(text));
    if (ms >= leastMs && ms <= mostMs) return ms;
    item.problem(`${what} cannot be ${String(text)}`, `choose ${durationText(leastMs)} to ${durationText(mostMs)}`);
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    item.problem(`${what} must be a duration`, durationHint(String(text)));
  }
  return null;
}

/** The path of a value in an event; undefined if there is none, or none that is right. */
export function readPath(path: YamlValue | undefined, what: string): string | undefined {
  const text = path?.text(what, MAX_PATH_LENGTH);
  if (path === undefined || text === undefined) return undefined;
  try {
    parseValuePath(text);
    return text;
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    return path.problem(error.message, 'name one value of the event');
  }
}
