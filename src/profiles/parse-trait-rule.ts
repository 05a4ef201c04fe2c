import type { YamlValue } from '../platform/yaml-file.js';
import { CONFLICT_POLICIES, TRAIT_TYPES } from './trait-type.model.js';
import {
  DEFAULT_TRAIT_RULE,
  PRECEDENCES,
  SURVIVORSHIPS,
  type Survivorship,
  type TraitAnswer,
  type TraitRule,
} from './trait-rule.model.js';

/** Fields of a trait in a file that say how its values are taken in. */
export const TRAIT_RULE_FIELDS = ['type', 'on_conflict', 'survivorship', 'precedence', 'declared_by', 'answers'];

const MAX_SOURCES = 20;
const MAX_ANSWERS = 20;
const MAX_CONDITIONS = 10;
const MAX_NAME_LENGTH = 200;

/** Reads how the values of a trait are taken in; what is wrong is noted with the values. */
export function parseTraitRule(item: YamlValue, fields: ReadonlyMap<string, YamlValue>): TraitRule {
  const type = fields.get('type')?.oneOf('type', TRAIT_TYPES) ?? null;
  const policy = fields.get('on_conflict');
  if (policy !== undefined && type === null)
    policy.problem('on_conflict needs a type', 'declare the type of the trait');
  const { survivorship, sourcePriority } = readSurvivorship(fields.get('survivorship'));
  if (survivorship === 'union' && type !== null && type !== 'list') {
    item.problem('survivorship union makes a list', 'declare type: list, or no type');
  }
  return {
    type,
    onConflict: policy?.oneOf('on_conflict', CONFLICT_POLICIES) ?? DEFAULT_TRAIT_RULE.onConflict,
    survivorship,
    sourcePriority,
    precedence: fields.get('precedence')?.oneOf('precedence', PRECEDENCES) ?? DEFAULT_TRAIT_RULE.precedence,
    declaredBy: readNames(fields.get('declared_by'), 'declared_by'),
    answers: readAnswers(fields.get('answers')),
  };
}

function readSurvivorship(value: YamlValue | undefined): Pick<TraitRule, 'survivorship' | 'sourcePriority'> {
  const standard = { survivorship: DEFAULT_TRAIT_RULE.survivorship, sourcePriority: [] };
  if (value === undefined) return standard;
  if (value.scalar === undefined) {
    const list = value.fields('survivorship', ['source_priority'])?.get('source_priority');
    if (list === undefined) {
      value.problem('survivorship has no source_priority', 'write survivorship: { source_priority: [crm, web] }');
      return standard;
    }
    return { survivorship: 'source_priority', sourcePriority: readNames(list, 'source_priority') };
  }
  const survivorship = value.oneOf<Survivorship>('survivorship', SURVIVORSHIPS) ?? standard.survivorship;
  if (survivorship === 'source_priority') {
    value.problem('source_priority needs its sources', 'write survivorship: { source_priority: [crm, web] }');
  }
  return { survivorship, sourcePriority: [] };
}

function readNames(value: YamlValue | undefined, what: string): string[] {
  const items = value?.items(what) ?? [];
  if (items.length > MAX_SOURCES) {
    value?.problem(`${what} has too many sources`, `name at most ${String(MAX_SOURCES)}`);
    return [];
  }
  const names = items.flatMap((item) => item.text('a source', MAX_NAME_LENGTH) ?? []);
  if (new Set(names).size < names.length) value?.problem(`${what} names a source twice`, 'name it once');
  return names;
}

function readAnswers(value: YamlValue | undefined): TraitAnswer[] {
  const items = value?.items('answers') ?? [];
  if (items.length > MAX_ANSWERS) value?.problem('too many answers', `map at most ${String(MAX_ANSWERS)} events`);
  return items.slice(0, MAX_ANSWERS).flatMap((item) => readAnswer(item) ?? []);
}

function readAnswer(item: YamlValue): TraitAnswer | undefined {
  const fields = item.fields('an answer', ['event', 'property', 'where']);
  if (fields === undefined) return undefined;
  const event = (fields.get('event') ?? item).text('the event', MAX_NAME_LENGTH);
  const property = (fields.get('property') ?? item).text('the property', MAX_NAME_LENGTH);
  const conditions = fields.get('where')?.entries('where') ?? [];
  if (conditions.length > MAX_CONDITIONS) {
    return item.problem('where has too many properties', `name at most ${String(MAX_CONDITIONS)}`);
  }
  const where: Record<string, string | number | boolean> = {};
  for (const [name, wanted] of conditions) {
    const { scalar } = wanted;
    if (typeof scalar === 'string' || typeof scalar === 'number' || typeof scalar === 'boolean') where[name] = scalar;
    else return wanted.problem(`${name} has to be a text, a number or true or false`, 'quote it if it is a text');
  }
  return event === undefined || property === undefined ? undefined : { event, property, where };
}
