import {
  getNamedType,
  getNullableType,
  isEnumType,
  isInputObjectType,
  isInterfaceType,
  isIntrospectionType,
  isListType,
  isNonNullType,
  isObjectType,
  isSpecifiedScalarType,
  type GraphQLArgument,
  type GraphQLField,
  type GraphQLInputField,
  type GraphQLNamedType,
} from 'graphql';
import { describe, expect, it } from 'vitest';
import { buildApiSchema } from '../../src/api/graphql/build-schema.js';

/*
 * What whoever meets the schema for the first time has to be told, as rules. A rule that is broken names the place; what
 * is an exception says why in a list below.
 */

/** Something with a type and a description: a field, an argument, a field of an input. */
interface Place {
  readonly name: string;
  readonly owner: string;
  readonly kind: 'field' | 'argument' | 'input';
  readonly item: GraphQLField<unknown, unknown> | GraphQLArgument | GraphQLInputField;
}

const schema = buildApiSchema();
const types = Object.values(schema.getTypeMap()).filter(
  (type) => !isIntrospectionType(type) && !isSpecifiedScalarType(type),
);

const places: readonly Place[] = types.flatMap((type): Place[] => {
  if (isInputObjectType(type)) {
    return Object.values(type.getFields()).map((item) => ({ name: item.name, owner: type.name, kind: 'input', item }));
  }
  if (!isObjectType(type) && !isInterfaceType(type)) return [];
  return Object.values(type.getFields()).flatMap((item): Place[] => [
    { name: item.name, owner: type.name, kind: 'field', item },
    ...item.args.map((arg): Place => ({
      name: arg.name,
      owner: `${type.name}.${item.name}`,
      kind: 'argument',
      item: arg,
    })),
  ]);
});

/** Lists that are no connections, and what bounds them. */
const BOUNDED_LISTS: Readonly<Record<string, string>> = {
  'ChangeFilter.causes': 'there are as many causes as CauseKind has',
  'ChangeFilter.exceptCauses': 'there are as many causes as CauseKind has',
  'ChangeFilter.purposes': '10 are taken when it is written',
  'ChangeFilter.segments': '100 are taken when it is written',
  'WebhookEndpointContent.features': '100 are taken when it is written',
  'WebhookEndpointContent.identifiers': '100 are taken when it is written',
  'WebhookEndpointContent.traits': '100 are taken when it is written',
  'Segment.tags': '50 are taken when it is written',
  'ExplainedCondition.reads': 'as many as a condition names, which has 200 parts',
  'MembershipExplanation.conditions': 'a condition has 200 parts',
  'MembershipExplanation.exitConditions': 'a condition has 200 parts',
  'MembershipExplanation.models': 'as many as a condition names, which has 200 parts',
  'MembershipExplanation.purposes': 'as many as are declared',
  'ModelExplanation.contributions': '200 are told',
  'Segment.warnings': '20 are shown',
  'FilledSegmentTemplate.warnings': 'as many as a condition names, which has 200 parts',
  'Query.segmentTemplates': 'they come with the program',
  'SegmentTemplate.parameters': 'they come with the program',
  'SegmentTemplate.tags': 'they come with the program',
  'SegmentPreview.notes': 'one of each kind',
  'SegmentPreview.overlaps': '20 are told',
  'SegmentPreview.sample': '20 are told',
  'SegmentPreviewSpan.days': 'the days of a span, which are 368',
  'Profile.identifiers': 'what identity resolution joins; it comes with the profile as a whole',
  'Profile.features': 'features are 2,000 in all, values 25,000 a request',
  'Profile.segments': 'segments are 1,000 in all',
  'EdgeProfile.segments': 'segments are 1,000 in all',
  'EdgeProfile.scores': 'edge-safe models, one version of each',
  'ApiKey.scopes': 'there are four',
  'ApiKey.origins': '50 are taken when it is made',
  'OnlineFeatures.features': 'features are 2,000 in all, values 50,000 a request',
  'HistoricalFeatures.rows': 'as many as are asked about, which are 500',
  'HistoricalFeatureRow.features': 'features are 2,000 in all, values 50,000 a request',
  'StoredDocuments.documents': 'as many as were given, which are 200',
  'FeaturePlan.added': 'features are 2,000 in all',
  'FeaturePlan.changed': 'features are 2,000 in all',
  'FeaturePlan.removed': 'features are 2,000 in all',
  'FeaturePlan.warnings': '20 are shown',
  'TrackingPlanChange.changes': 'the names and properties of one plan, whose length is bounded',
};

const ROOTS = ['Query', 'Mutation', 'Subscription'];
const MIN_LENGTH = 12;

const pathOf = ({ owner, name }: Place): string => `${owner}.${name}`;
/** Without the scope, which is added to all. */
const textOf = (item: { description?: string | null | undefined }): string =>
  (item.description ?? '').replace(/ ?Scope: `.*$/, '').trim();
const broken = (rule: (place: Place) => boolean): string[] => places.filter((place) => !rule(place)).map(describePlace);
const describePlace = (place: Place): string => `${pathOf(place)}: ${textOf(place.item)}`;
const named =
  (...names: string[]) =>
  ({ name }: Place) =>
    names.includes(name);
const typeOf = ({ item }: Place): GraphQLNamedType => getNamedType(item.type);
const hasDefault = (item: object): boolean => 'defaultValue' in item && item.defaultValue !== undefined;
const isList = ({ item }: Place): boolean => isListType(getNullableType(item.type));

/** Words of a name or a text, without those that every text has. */
function wordsOf(text: string): Set<string> {
  const words =
    text
      .replace(/([a-z])([A-Z])/g, '$1 $2')
      .toLowerCase()
      .match(/[a-z]+/g) ?? [];
  const isEmpty = /^(the|its|a|an|of|is|in|it|to|what|s)$/;
  return new Set(words.filter((word) => !isEmpty.test(word)).map((word) => word.replace(/s$/, '')));
}

describe('the schema', () => {
  it('describes every type, field, argument and value, in more than its name', () => {
    const described = [
      ...types
        .filter(({ name }) => !ROOTS.includes(name))
        .map((type) => ({ name: type.name, path: type.name, item: type })),
      ...places.map((place) => ({ name: place.name, path: pathOf(place), item: place.item })),
      ...types.flatMap((type) =>
        isEnumType(type)
          ? type.getValues().map((item) => ({ name: item.name, path: `${type.name}.${item.name}`, item }))
          : [],
      ),
    ];
    const bad = described.filter(({ name, item }) => {
      const text = textOf(item as { description?: string | null });
      const ownWords = wordsOf(name);
      return text.length < MIN_LENGTH || [...wordsOf(text)].every((word) => ownWords.has(word));
    });
    expect(bad.map(({ path, item }) => `${path}: ${textOf(item as { description?: string | null })}`)).toEqual([]);
  });

  it('shows an example where a format is not obvious: ids, cursors, keys, expressions, durations', () => {
    const isFormat = named(
      'after',
      'cursor',
      'endCursor',
      'startCursor',
      'expression',
      'where',
      'window',
      'key',
      'source',
      'namespace',
      'digest',
      'prefix',
    );
    const isId = (place: Place): boolean => typeOf(place).name === 'ID';
    expect(
      broken(
        (place) =>
          !(isFormat(place) || isId(place)) ||
          typeOf(place).name === 'Source' ||
          /`[^`]+`/.test(textOf(place.item)) ||
          isObjectType(typeOf(place)) ||
          isInputObjectType(typeOf(place)),
      ),
    ).toEqual([]);
  });

  it('says what a number counts, and in which unit it measures', () => {
    const units =
      /\b(ms|second|byte|share|how many|number|version|count|\d|position|profiles|events|probability|cluster)/i;
    const isNumber = (place: Place): boolean => ['Int', 'Float'].includes(typeOf(place).name);
    expect(
      broken((place) => !isNumber(place) || units.test(textOf(place.item)) || /(Ms|Bytes|PerSecond)$/.test(place.name)),
    ).toEqual([]);
  });

  it('says of what may be null when it is', () => {
    expect(
      broken(
        (place) =>
          place.kind !== 'field' ||
          isNonNullType(place.item.type) ||
          /null|\bif\b|\bwhere\b|unless|\bfor\b|of stage/i.test(textOf(place.item)),
      ),
    ).toEqual([]);
  });

  it('says of what may be left out what that means', () => {
    expect(
      broken(
        ({ kind, item, name }) =>
          kind === 'field' ||
          isNonNullType(item.type) ||
          hasDefault(item) ||
          name === 'after' ||
          /default|left out|all |\bif\b|null|instead|only|or |nothing|for `|\bunless\b|optional/i.test(textOf(item)),
      ),
    ).toEqual([]);
  });

  it('bounds every page, and says how', () => {
    expect(broken(({ name, item }) => name !== 'first' || /(1 to|at most) \d+/i.test(textOf(item)))).toEqual([]);
    const connections = places.filter((place) => typeOf(place).name.endsWith('Connection'));
    expect(connections.length).toBeGreaterThan(5);
    for (const { item } of connections) {
      const args = 'args' in item ? item.args.map(({ name }) => name) : [];
      expect(args).toEqual(expect.arrayContaining(['first', 'after']));
    }
  });

  it('has no list without a bound: it is a connection, or says what bounds it', () => {
    const lists = places.filter((place) => place.kind === 'field' && isList(place) && place.name !== 'edges');
    const unbounded = lists.filter(
      (place) => !(pathOf(place) in BOUNDED_LISTS) && !/at most|each|one |\d/i.test(textOf(place.item)),
    );
    expect(unbounded.map(describePlace)).toEqual([]);
    const known = new Set(lists.map(pathOf));
    expect(Object.keys(BOUNDED_LISTS).filter((path) => !known.has(path))).toEqual([]);
  });

  it('tells instants as DateTime', () => {
    const isInstant = ({ name, item }: Place): boolean =>
      /(At|^since|^until|^at|Until|Ts|^asOf|^timestamp)$/.test(name) && getNamedType(item.type).name !== 'Float';
    expect(broken((place) => !isInstant(place) || typeOf(place).name === 'DateTime')).toEqual([]);
  });

  it('says what to use instead of what is deprecated', () => {
    const reasons = places.flatMap(({ item }) => item.deprecationReason ?? []);
    for (const reason of reasons) expect(reason).toMatch(/`\w+`/);
  });
});
