import { ENRICHED_FIELD, FACT_PATHS } from '../events/enrichment.model.js';
import { MAX_SEEN_NAMES, type SeenNames } from '../events/seen-names.model.js';
import { nearestName } from '../platform/near-names.js';
import type { Warning } from '../platform/warning.js';
import { pathsOfWhere } from './compile-where.js';
import type { FeatureDefinition } from './feature.model.js';

/** What has been sent so far, and from where. */
export interface KnownNames {
  readonly seen: SeenNames;
  /** Keys of sources. */
  readonly sources: ReadonlySet<string>;
}

/** A name in a definition that nothing has sent so far. */
export interface Question {
  /** The name as it is written. */
  readonly name: string;
  readonly message: string;
  readonly hint: string;
}

const MAX_NAMED = 3;
const MAX_OFFERED = 8;

/** True where definitions can be held against names: something was sent, and all names of it are known. */
export function canQuestion({ seen }: KnownNames): boolean {
  return seen.isComplete && seen.events.size > 0;
}

/** Why nothing was held against names although things were sent; empty: it was. */
export function questionless({ seen }: KnownNames): Warning[] {
  if (seen.isComplete) return [];
  const message = `names are not checked: events have carried more than ${String(MAX_SEEN_NAMES)} different ones`;
  return [{ message, where: '', hint: 'keep ids and other values out of the names of events and of their fields' }];
}

/** The names in what a feature reads that nothing has sent so far. */
export function questionsAbout(
  feature: Pick<FeatureDefinition, 'events' | 'source'> & Read,
  known: KnownNames,
): Question[] {
  if (!canQuestion(known)) return [];
  const { events, source } = feature;
  const { seen, sources } = known;
  const questions: Question[] = events.filter((name) => !seen.events.has(name)).map((name) => noEvent(name, seen));
  if (source !== null && !sources.has(source)) {
    questions.push({
      name: source,
      message: `no source is called ${source} so far`,
      hint: offer(source, sources, plain),
    });
  }
  const read = events.length === 0 ? [...seen.events.keys()] : events.filter((name) => seen.events.has(name));
  if (read.length === 0) return questions;
  questions.push(...factsNobodyFinds(feature));
  const fields = new Set(fieldsRead(feature));
  const there = new Set(read.flatMap((name) => [...(seen.events.get(name) ?? [])]));
  for (const field of fields) {
    if (!/^(?:properties|traits)\./.test(field) || there.has(field)) continue;
    const message = `no event ${events.length === 0 ? '' : `${listed(read)} `}has had ${field} so far`;
    questions.push({ name: field, message, hint: offerField(field, there) });
  }
  return questions;
}

/** The fields at the top of events that a feature reads, as `traits.country`. */
function fieldsRead(feature: Read): string[] {
  return pathsRead(feature).map(topOf);
}

function pathsRead(feature: Read): string[] {
  const { where, options } = feature;
  const filters = [where, ...(options?.steps ?? []).map((step) => step.where)].filter((text) => text !== null);
  return [...pathsOf(feature), ...filters.flatMap(pathsOfWhere)];
}

const ENRICHED = `context.${ENRICHED_FIELD}.`;
const FACTS = Object.values(FACT_PATHS)
  .flat()
  .map((path) => `${ENRICHED}${path}`);

/** What Weft finds out about events is known by name, whether or not any source asks for it. */
function factsNobodyFinds(feature: Read): Question[] {
  const unknown = pathsRead(feature).filter(
    (path) => path.startsWith(ENRICHED) && !FACTS.some((fact) => fact === path || fact.startsWith(`${path}.`)),
  );
  const whole = unknown.filter((path) => !unknown.some((other) => other.startsWith(`${path}.`)));
  return [...new Set(whole)].map((name) => ({
    name,
    message: `Weft finds out no ${name} about events`,
    hint: offer(name, FACTS, plain),
  }));
}

/** Paths of the values that a feature is made of: what it aggregates, what it is grouped by, and those of its parts. */
export function pathsOf({ value, options }: Pick<Read, 'value' | 'options'>): string[] {
  const parts = [options?.numerator, options?.denominator, ...(options?.inputs ?? [])].filter(
    (part) => part !== undefined,
  );
  const own = [value, options?.by].filter((path) => typeof path === 'string');
  return [...own, ...parts.flatMap(pathsOf)];
}

type Read = Pick<FeatureDefinition, 'value' | 'where' | 'options'>;

/** The names of the traits that a feature reads. */
export function traitsReadBy(feature: Read): string[] {
  const ofTraits = fieldsRead(feature).filter((field) => field.startsWith('traits.'));
  return [...new Set(ofTraits.map((field) => field.slice('traits.'.length)))];
}

/** The question about a trait; undefined: somebody has it. */
export function questionAboutTrait(name: string, known: KnownNames): Question | undefined {
  if (!canQuestion(known)) return undefined;
  const traits = new Set<string>();
  for (const fields of known.seen.events.values()) {
    for (const field of fields) if (field.startsWith('traits.')) traits.add(field.slice('traits.'.length));
  }
  if (traits.has(name)) return undefined;
  const hint = offer(name, traits, (trait) => `traits.${trait}`);
  return { name, message: `nobody has had a trait ${name} so far`, hint };
}

/** The question about a trait of a group; undefined: some group was given it. */
export function questionAboutGroupTrait(name: string, known: KnownNames): Question | undefined {
  if (!canQuestion(known)) return undefined;
  const fields = [...(known.seen.events.get('group') ?? [])].filter((field) => field.startsWith('properties.'));
  const traits = fields.map((field) => field.slice('properties.'.length));
  if (traits.includes(name)) return undefined;
  return { name, message: `no group has had a trait ${name} so far`, hint: offer(name, traits, plain) };
}

/** Questions about features; those that are the same are one, with the names of the features. */
export function questionFeatures(features: readonly FeatureDefinition[], known: KnownNames): Warning[] {
  const asked = new Map<string, { readonly question: Question; readonly features: string[] }>();
  for (const feature of features) {
    for (const question of questionsAbout(feature, known)) {
      const same = asked.get(question.message);
      if (same === undefined) asked.set(question.message, { question, features: [feature.name] });
      else same.features.push(feature.name);
    }
  }
  const warnings = [...asked.values()].map(({ question: { message, hint }, features: names }) => ({
    message,
    where: `${names.length === 1 ? 'feature' : 'features'} ${listed(names)}`,
    hint,
  }));
  return [...questionless(known), ...warnings];
}

function noEvent(name: string, { events }: SeenNames): Question {
  const hint = offer(name, events.keys(), (event) => `"${event}"`);
  return { name, message: `no event is named "${name}" so far`, hint };
}

/** The near name, or else some of those there are; a name may also be right, and only new. */
function offer(name: string, known: Iterable<string>, write: (known: string) => string): string {
  const names = [...known].sort();
  const near = nearestName(name, names);
  if (near !== undefined) return `did you mean ${write(near)}?`;
  if (names.length === 0) return 'there is none yet';
  const others = names.length - MAX_OFFERED;
  const more = others > 0 ? ` and ${String(others)} more` : '';
  return `known are ${names.slice(0, MAX_OFFERED).map(write).join(', ')}${more}`;
}

function plain(name: string): string {
  return name;
}

/** Near is what differs little behind the dot, or only before it. */
function offerField(field: string, known: ReadonlySet<string>): string {
  const [object = '', name = ''] = field.split('.');
  const moved = [...known].find((other) => other.endsWith(`.${name}`));
  if (moved !== undefined) return `did you mean ${moved}?`;
  const names = [...known]
    .filter((other) => other.startsWith(`${object}.`))
    .map((other) => other.slice(object.length + 1));
  return offer(name, names, (other) => `${object}.${other}`);
}

/** `properties.total` of `properties.total.amount`: what is known of an event is what stands at its top. */
function topOf(path: string): string {
  return path.split('.').slice(0, 2).join('.');
}

function listed(names: readonly string[]): string {
  const shown = names.slice(0, MAX_NAMED).join(', ');
  const others = names.length - MAX_NAMED;
  return others > 0 ? `${shown} and ${String(others)} more` : shown;
}
