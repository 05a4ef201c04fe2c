import { WeftError } from '../../platform/errors.js';
import { nearestName } from '../../platform/near-names.js';
import type { StandingField } from '../../profiles/search-field.reader.js';
import { UPDATED_FIELD } from '../../profiles/search-field.model.js';
import { instantKey } from '../../profiles/search-key.model.js';
import { isPersonal, ruleOf, type TraitDefinition } from '../../profiles/trait-definition.model.js';
import type { TraitSealer } from '../../profiles/trait-seal.model.js';
import { termOf, type ProfileFilter, type SearchOrder } from '../../segments/profile-filter.model.js';
import { featureFilter, featureOrder, type SearchableFeatures } from './compile-feature-filter.js';
import { checkValues, containsFilter, refused, valueFilter } from './compile-value-filter.js';
import type {
  IdentifierFilterInput,
  ProfileFilterInput,
  ProfileOrderInput,
  SegmentFilterInput,
  TimeRangeInput,
  TraitFilterInput,
} from './profile-search.types.js';

const MAX_DEPTH = 5;
const MAX_TERMS = 20;
const MAX_PREFIX_LENGTH = 200;

/** What filters are held against. */
export interface FilterContext {
  /** By name. */
  readonly fields: ReadonlyMap<string, StandingField>;
  readonly traits: readonly TraitDefinition[];
  /** By what keys of sealed traits are made. */
  readonly traitSealer: TraitSealer;
  readonly features: SearchableFeatures;
  /** Whether whoever asks may see personal data. */
  readonly seesPersonal: boolean;
  /** What somebody may be known by, now or by former rules; empty where nobody can be. */
  readonly identifierIds: (namespace: string, value: string) => readonly string[];
  /** What may be meant by a namespace that is mistyped; null: it is not. */
  readonly nearNamespace: (namespace: string) => Promise<string | null>;
  /** @throws WeftError NOT_FOUND */
  readonly segmentId: (key: string) => Promise<number>;
}

/**
 * A filter as it can be asked of the database.
 * @throws WeftError BAD_REQUEST, NOT_FOUND (no such segment), FORBIDDEN, UNAVAILABLE (the index is being built)
 */
export async function compileFilter(input: ProfileFilterInput, context: FilterContext): Promise<ProfileFilter> {
  let terms = 0;
  const compile = async (part: ProfileFilterInput, where: string, depth: number): Promise<ProfileFilter> => {
    if (depth > MAX_DEPTH) throw refused(where, `more than ${String(MAX_DEPTH)} levels`, 'ask in fewer levels');
    // Begun only once all are known: a promise that nobody awaits, since another part is refused, would end the process.
    const all: (() => readonly ProfileFilter[] | Promise<readonly ProfileFilter[]>)[] = [];
    const below = (parts: readonly ProfileFilterInput[], name: string): Promise<ProfileFilter[]> => {
      if (parts.length === 0)
        throw refused(`${where}.${name}`, 'the list is empty', 'leave it out, or add a condition');
      return Promise.all(parts.map((each, i) => compile(each, `${where}.${name}[${String(i)}]`, depth + 1)));
    };
    const { and, or, not, trait, feature, identifier, segment, created, updated } = part;
    if (and) all.push(() => below(and, 'and'));
    if (or) all.push(async () => [{ kind: 'or', all: await below(or, 'or') }]);
    if (not) all.push(async () => [{ kind: 'not', of: await compile(not, `${where}.not`, depth + 1) }]);
    if (trait) all.push(() => traitFilter(trait, context, `${where}.trait`));
    if (feature) all.push(() => featureFilter(feature, context.features, `${where}.feature`));
    if (identifier) all.push(() => identifierFilter(identifier, context, `${where}.identifier`));
    if (segment) all.push(() => segmentFilter(segment, context, `${where}.segment`));
    if (created) all.push(() => [termOf({ kind: 'created', ...rangeOf(created) })]);
    if (updated) all.push(() => [updatedFilter(updated, context, `${where}.updated`)]);
    if (all.length === 0) throw refused(where, 'nothing is asked for', 'add a condition, or leave it out');
    const parts = (await Promise.all(all.map(async (each) => each()))).flat();
    terms += parts.filter(({ kind }) => kind === 'term' || kind === 'not').length;
    if (terms > MAX_TERMS) throw refused('filter', `more than ${String(MAX_TERMS)} conditions`, 'ask for less at once');
    const [only] = parts;
    return only !== undefined && parts.length === 1 ? only : { kind: 'and', all: parts };
  };
  return compile(input, 'filter', 1);
}

/**
 * An order as it can be asked of the database.
 * @throws WeftError BAD_REQUEST, FORBIDDEN, UNAVAILABLE
 */
export function compileOrder(
  { by, trait, feature, direction }: ProfileOrderInput,
  context: FilterContext,
): SearchOrder {
  const descending = direction === 'desc';
  for (const [name, given] of Object.entries({ trait, feature })) {
    if ((by === name) === (typeof given === 'string')) continue;
    const problem = `the name of a ${name} goes with the order ${name.toUpperCase()}`;
    throw refused(`orderBy.${name}`, problem, 'give both, or neither');
  }
  if (by === 'feature') return featureOrder(feature ?? '', descending, context.features);
  if (by === 'id' || by === 'created') return { by, descending };
  const { id: fieldId, sealed } = fieldOf(by === 'updated' ? UPDATED_FIELD : (trait ?? ''), context, 'orderBy.trait');
  if (sealed) {
    const hint = 'sealed values are equal or not and have no order: order by a trait that is searchable';
    throw refused('orderBy.trait', `the trait ${trait ?? ''} is sealed`, hint);
  }
  return { by: 'field', fieldId, descending };
}

/**
 * A field that can be asked for.
 * @throws WeftError BAD_REQUEST, FORBIDDEN, UNAVAILABLE
 */
function fieldOf(
  name: string,
  { fields, traits, seesPersonal }: Pick<FilterContext, 'fields' | 'traits' | 'seesPersonal'>,
  where: string,
): StandingField {
  const field = name.startsWith('$') && name !== UPDATED_FIELD ? undefined : fields.get(name);
  if (field === undefined) {
    const searchable = [...fields.keys()].filter((each) => each !== UPDATED_FIELD);
    if (name === UPDATED_FIELD) {
      throw refused(where, 'no time of change is kept', 'it is, while any trait is declared searchable: true');
    }
    const near = nearestName(name, searchable);
    const meant = near === undefined ? '' : `did you mean ${near}? else `;
    const hint = `${meant}declare it with searchable: true, or by weft traits set ${name} --searchable yes`;
    throw refused(where, `the trait ${name} is not searchable`, hint);
  }
  const defined = traits.find((trait) => trait.name === name);
  if (!seesPersonal && ((defined !== undefined && isPersonal(defined)) || field.sealed)) {
    throw new WeftError('FORBIDDEN', `the trait ${name} is personal data`, {
      where,
      hint: 'finding people by it takes the scope pii',
    });
  }
  if (field.isReady) return field;
  throw new WeftError('UNAVAILABLE', `not everybody is in the index of ${name} yet`, {
    where,
    hint: 'weft traits list tells how far that is; ask again later',
    retryAfterMs: 5_000,
  });
}

function traitFilter(input: TraitFilterInput, context: FilterContext, where: string): ProfileFilter[] {
  const { name, contains } = input;
  const { id: fieldId, sealed } = fieldOf(name, context, `${where}.name`);
  if (sealed) refuseOrdered(input, where);
  const { type } = ruleOf(context.traits.find((trait) => trait.name === name) ?? {});
  const seal = sealed ? (key: Buffer) => context.traitSealer.searchKey(name, key) : undefined;
  const parts = valueFilter(input, { fieldId, type, seal }, where);
  if (contains !== undefined) parts.push(containsFilter(contains, { fieldId, type }, `${where}.contains`));
  if (parts.length === 0) throw refused(where, 'nothing is asked of the trait', 'add eq, in, prefix, gte, exists …');
  return parts;
}

/** Of a sealed value nothing can be told but whether it is equal to another. @throws WeftError BAD_REQUEST */
function refuseOrdered(input: TraitFilterInput, where: string): void {
  const asked = (['prefix', 'contains', 'gt', 'gte', 'lt', 'lte'] as const).find(
    (field) => input[field] !== undefined && input[field] !== null,
  );
  if (asked === undefined) return;
  const hint = `ask with eq, in or exists; for more than that it would have to be searchable, in plain text: weft traits set ${input.name} --sealed no --searchable yes`;
  throw refused(`${where}.${asked}`, `the trait ${input.name} is sealed`, hint);
}

async function identifierFilter(
  { namespace, eq, in: among, prefix, exists }: IdentifierFilterInput,
  context: FilterContext,
  where: string,
): Promise<ProfileFilter[]> {
  const near = await context.nearNamespace(namespace);
  if (near !== null) {
    const problem = `nobody is known by the namespace ${namespace.slice(0, 100)}`;
    throw refused(`${where}.namespace`, problem, `did you mean ${near}?`);
  }
  const oneOf = (values: readonly string[], field: string): ProfileFilter => {
    checkValues(values, `${where}.${field}`);
    const ids = values.flatMap((value) => context.identifierIds(namespace, value));
    return termOf({ kind: 'identifiers', ids: [...new Set(ids)] });
  };
  const beginning = (text: string): ProfileFilter => termOf({ kind: 'identifier_prefix', namespace, prefix: text });
  const parts: ProfileFilter[] = [];
  if (typeof eq === 'string') parts.push(oneOf([eq], 'eq'));
  if (among) parts.push(oneOf(among, 'in'));
  if (typeof prefix === 'string') {
    if (!context.seesPersonal) {
      throw new WeftError('FORBIDDEN', 'identifiers are personal data', {
        where: `${where}.prefix`,
        hint: 'finding people by a part of one takes the scope pii; eq does not',
      });
    }
    if (prefix.length > MAX_PREFIX_LENGTH || /[\0\p{Surrogate}]/u.test(prefix)) {
      throw refused(`${where}.prefix`, 'no identifier begins with that', 'give the first characters of one');
    }
    parts.push(beginning(prefix));
  }
  if (typeof exists === 'boolean') parts.push(exists ? beginning('') : { kind: 'not', of: beginning('') });
  if (parts.length === 0) throw refused(where, 'nothing is asked of the identifier', 'add eq, in, prefix or exists');
  return parts;
}

async function segmentFilter(
  { in: among, notIn, entered }: SegmentFilterInput,
  { segmentId }: FilterContext,
  where: string,
): Promise<ProfileFilter[]> {
  const idsOf = async (keys: readonly string[], field: string): Promise<number[]> => {
    checkValues(keys, `${where}.${field}`);
    return Promise.all([...new Set(keys)].map(segmentId));
  };
  const parts: ProfileFilter[] = [];
  if (among) parts.push(termOf({ kind: 'segments', ids: await idsOf(among, 'in'), ...rangeOf(entered ?? {}) }));
  else if (entered) throw refused(`${where}.entered`, 'of no segment it can be told when it was entered', 'add in');
  if (notIn) {
    const ids = await idsOf(notIn, 'notIn');
    parts.push({ kind: 'not', of: termOf({ kind: 'segments', ids, ...rangeOf({}) }) });
  }
  if (parts.length === 0) throw refused(where, 'no segment is named', 'add in or notIn');
  return parts;
}

function updatedFilter(range: TimeRangeInput, context: FilterContext, where: string): ProfileFilter {
  const { id: fieldId } = fieldOf(UPDATED_FIELD, context, where);
  const { fromMs, toMs } = rangeOf(range);
  return termOf({ kind: 'range', fieldId, range: { from: instantKey(fromMs), to: instantKey(toMs) } });
}

function rangeOf({ from, to }: TimeRangeInput): { readonly fromMs: number; readonly toMs: number } {
  return { fromMs: from ?? 0, toMs: to ?? Number.MAX_SAFE_INTEGER };
}
