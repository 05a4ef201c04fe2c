import { WeftError } from '../platform/errors.js';
import { durationHint, durationMs } from '../platform/duration.js';
import { parseInstant, type InstantPolicy } from '../platform/instant.js';
import { isKey } from '../platform/key.js';
import { YamlFile, type YamlValue } from '../platform/yaml-file.js';
import { readNeededPurposes } from '../profiles/purpose.model.js';
import {
  dwellHint,
  MAX_DWELL_MS,
  MAX_INSTANT_MS,
  type MembershipTerms,
  type SegmentDraft,
  type SegmentRule,
} from './segment-rule.model.js';
import { SEGMENT_LIMITS } from './segment.model.js';
import { MAX_SEGMENTS } from './segment.reader.js';

/** A segment as a file defines it. */
export interface SegmentDefinition extends Omit<SegmentDraft, keyof SegmentRule>, SegmentRule {
  /** Whether it decides membership; false: kept as a draft, or archived if it is active. */
  readonly active: boolean;
  readonly edge: boolean;
}

/** Fields at the top of a file of segments. */
export const SEGMENT_FILE_FIELDS = ['segments'];

const MAX_FILE_LENGTH = 4_000_000;
const { maxNameLength, maxTextLength, maxTags, maxTagLength } = SEGMENT_LIMITS;
/** `applies_to` is for people and for checks of their own: whom the segment is meant to single people out from. */
const FIELDS = [
  ...['key', 'name', 'description', 'tags', 'expression', 'exit', 'min_dwell', 'active_from', 'active_until'],
  ...['active', 'edge', 'purposes', 'applies_to'],
];
const TIMES: InstantPolicy = { date: 'refused', time: 'refused' };

/**
 * Reads a file of segment definitions: `segments`, a list of `key`, `expression` and, if wanted, `name` (default: the
 * key), `description`, `tags`, `active` (default: true), `edge` (default: false), `purposes` (default: none), which its
 * members have to allow, `exit`, the condition on which they leave, `min_dwell`, a duration, and `active_from` and
 * `active_until`, times with an offset from UTC. `applies_to` is accepted and has no effect.
 * Expressions are kept as text, without the white space around them; what they mean is checked elsewhere.
 *
 * @param file how messages call it
 * @param others further fields that the file may have; what they hold is read by somebody else
 * @throws WeftError DEFINITION_INVALID with every problem, one a line: `file:line:column: what; how to fix it`
 */
export function parseSegments(text: string, file: string, others: readonly string[] = []): SegmentDefinition[] {
  if (text.length > MAX_FILE_LENGTH) {
    throw new WeftError('DEFINITION_INVALID', `${file} has more than ${String(MAX_FILE_LENGTH)} characters`, {
      where: file,
      hint: 'split it into several files',
    });
  }
  const yaml = new YamlFile(text, file);
  yaml.throwProblems();
  const items =
    yaml.root
      .fields('the file', [...SEGMENT_FILE_FIELDS, ...others])
      ?.get('segments')
      ?.items('segments') ?? [];
  if (items.length > MAX_SEGMENTS) yaml.root.problem('too many segments', `define at most ${String(MAX_SEGMENTS)}`);
  const taken = new Set<string>();
  const segments = items.map((item) => readSegment(item, taken)).filter((segment) => segment !== undefined);
  yaml.throwProblems();
  return segments;
}

function readSegment(item: YamlValue, taken: Set<string>): SegmentDefinition | undefined {
  const fields = item.fields('a segment', FIELDS);
  if (fields === undefined) return undefined;
  const key = readKey(fields.get('key') ?? item, taken);
  const name = fields.get('name')?.text('the name', maxNameLength);
  const description = fields.get('description')?.text('the description', maxTextLength) ?? '';
  const tags = readTags(fields.get('tags'));
  const active = fields.get('active')?.bool('active') ?? true;
  const edge = fields.get('edge')?.bool('edge') ?? false;
  const purposes = readNeededPurposes(fields.get('purposes'));
  const written = fields.get('expression');
  if (written === undefined) item.problem('the segment has no expression', 'add expression: the condition, in CEL');
  const expression = written?.text('the expression', maxTextLength);
  const exitExpression = fields.get('exit')?.text('the exit condition', maxTextLength)?.trim() ?? null;
  const terms = readTerms(fields);
  if (key === undefined || expression === undefined) return undefined;
  const rule = { expression: expression.trim(), exitExpression, purposes, ...terms };
  return { key, name: name ?? key, description, tags, active, edge, ...rule };
}

function readTerms(fields: ReadonlyMap<string, YamlValue>): MembershipTerms {
  const from = fields.get('active_from');
  const until = fields.get('active_until');
  const terms = {
    minDwellMs: readDwell(fields.get('min_dwell')),
    activeFrom: readTime(from, 'active_from'),
    activeUntil: readTime(until, 'active_until'),
  };
  if (terms.activeFrom !== null && terms.activeUntil !== null && terms.activeFrom >= terms.activeUntil) {
    until?.problem('the segment would end before it begins', 'give active_until a time after active_from');
  }
  return terms;
}

function readDwell(item: YamlValue | undefined): number | null {
  const text = item?.scalar;
  if (item === undefined) return null;
  try {
    const ms = durationMs(String(text));
    if (ms <= MAX_DWELL_MS) return ms;
    item.problem('min_dwell is too long', dwellHint());
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    item.problem('min_dwell is no duration', durationHint(String(text)));
  }
  return null;
}

function readTime(item: YamlValue | undefined, what: string): number | null {
  if (item === undefined) return null;
  const text = item.scalar;
  const ms = typeof text === 'string' ? parseInstant(text, TIMES) : Number.NaN;
  if (ms >= 0 && ms <= MAX_INSTANT_MS) return ms;
  item.problem(`${what} is no time`, 'write a date, a time and its offset from UTC, as in 2026-12-01T00:00:00+01:00');
  return null;
}

function readKey(item: YamlValue, taken: Set<string>): string | undefined {
  const key = item.scalar;
  if (typeof key !== 'string' || !isKey(key)) {
    const hint = 'begin with a small letter and go on with up to 62 small letters, digits and _';
    return item.problem(`a segment needs a key${typeof key === 'string' ? `, and "${key}" is none` : ''}`, hint);
  }
  if (taken.has(key)) return item.problem(`the key ${key} is taken`, 'give each segment its own');
  taken.add(key);
  return key;
}

function readTags(list: YamlValue | undefined): string[] {
  const items = list?.items('tags') ?? [];
  if (items.length > maxTags) list?.problem('the segment has too many tags', `give it at most ${String(maxTags)}`);
  return items.map((item) => item.text('a tag', maxTagLength)).filter((tag) => tag !== undefined);
}
