import { defaultFieldResolver, isObjectType, type GraphQLField, type GraphQLSchema } from 'graphql';
import type { JsonObject, JsonValue } from '../../events/event.model.js';
import { maskPayload, maskText, maskValue } from '../../privacy/mask.model.js';
import { pathsOf } from '../../features/feature-questions.model.js';
import type { KnownGroup } from '../../profiles/groups.model.js';
import {
  isPersonal as isPersonalTrait,
  isSealed,
  type TraitDefinition,
} from '../../profiles/trait-definition.model.js';
import { maskAsSealed, type TraitSealer } from '../../profiles/trait-seal.model.js';
import type { ApiDefinitions } from '../api-definitions.model.js';
import type { ApiContext } from './api-context.js';
import type { IdentifierType } from './profile.types.js';

/*
 * What of the API is personal data, and what those see of it who lack the scope `pii`. This is the one place: masks are
 * put around the resolvers of the fields, so that it does not matter through which list, type or transport they are
 * reached. A test holds every field whose value may be anything against this list.
 */

type Field = GraphQLField<unknown, ApiContext>;

/**
 * What is shown instead of a value.
 * @param parent the object that the field is of
 * @param personal names of traits that are personal
 */
type Mask = (value: unknown, parent: unknown, personal: ReadonlySet<string>, definitions: ApiDefinitions) => unknown;

const identifier: Mask = (value, parent) =>
  (parent as IdentifierType).isAsked === true ? value : maskText(value as string);
/** What is known of somebody, or was sent: the parent has the identifiers of the person. */
const payload: Mask = (value, parent, personal) => maskPayload(value as JsonValue, personal, valuesOf(parent));
const ofTrait: Mask = (value, parent, _personal, definitions) => {
  const { name, profile } = parent as { readonly name: string; readonly profile?: unknown };
  return maskTrait(name, (value ?? null) as JsonValue, valuesOf(profile ?? parent), definitions);
};

/** What those are told of a trait who lack the scope `pii`, whatever tells it. @param identifiers values of the person's */
export function maskTrait(
  name: string,
  value: JsonValue,
  identifiers: ReadonlySet<string>,
  { traits }: Pick<ApiDefinitions, 'traits'>,
): JsonValue {
  const personal = personalTraits(traits);
  if (sealedTraits(traits).has(name)) return maskAsSealed(value);
  return personal.has(name) ? maskValue(value) : maskPayload(value, personal, identifiers);
}

function valuesOf(named: unknown): ReadonlySet<string> {
  const { identifiers = [] } = named as { readonly identifiers?: readonly { readonly value: string }[] };
  return new Set(identifiers.map(({ value }) => value));
}

/** What a profile knows of groups may have the person in it. */
const groups: Mask = (value, parent, personal) => {
  const known = valuesOf(parent);
  return (value as readonly KnownGroup[]).map(({ id, traits }) => ({
    id: maskPayload(id, personal, known),
    traits: maskPayload(traits, personal, known),
  }));
};

/** Of features that keep a value of a personal trait, or what stands under such a name. */
const ofFeature: Mask = (value, parent, _personal, definitions) =>
  maskFeatureValue((parent as { readonly name: string }).name, (value ?? null) as JsonValue, definitions);

/** What those are told of a feature who lack the scope `pii`, whatever tells it. */
export function maskFeatureValue(name: string, value: JsonValue, definitions: ApiDefinitions): JsonValue {
  const isHidden = personalFeatures(definitions, personalTraits(definitions.traits)).has(name);
  return isHidden ? maskFeature(value) : value;
}

/** The keys of a map are values that events had, too. */
function maskFeature(value: JsonValue): JsonValue {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return maskValue(value);
  return Object.fromEntries(Object.keys(value).map((key) => [maskText(key), null]));
}

/** Not personal by itself, unless somebody put a person into it. */
const ofGroup: Mask = (value, _parent, personal) => maskPayload(value as JsonValue, personal, NOBODY);
const NOBODY: ReadonlySet<string> = new Set();

/** What people write of others is told in no form. Empty where they wrote nothing. */
const words: Mask = (value) => (value === '' ? '' : '***');

const ofReview: Mask = (value) => maskText(value as string);

/** By `Type.field`. */
const MASKS: Readonly<Record<string, Mask>> = {
  'Feature.value': ofFeature,
  'Group.traits': ofGroup,
  'Identifier.value': identifier,
  'IdentityGenericValue.reason': words,
  'IdentityLink.reason': words,
  'IdentityReview.reason': words,
  'IdentityReviewColumn.left': ofReview,
  'IdentityReviewColumn.right': ofReview,
  'IdentityRevision.reason': words,
  'MergeHistoryEntry.reason': words,
  'PreviewedTrait.valueNow': ofTrait,
  'PreviewedTrait.valueThen': ofTrait,
  'Profile.groups': groups,
  'Profile.traits': payload,
  'ProfileGroup.id': ofGroup,
  'ProfileGroup.traits': ofGroup,
  'ProfileTrait.value': ofTrait,
  'TimelineEvent.properties': payload,
  'TraitValue.value': ofTrait,
};

/** How values of sealed traits are opened for those who may see them, by `Type.field`; nowhere else are they. */
const OPENERS: Readonly<Record<string, (value: unknown, parent: unknown, sealer: TraitSealer) => unknown>> = {
  'PreviewedTrait.valueNow': openOfTrait,
  'PreviewedTrait.valueThen': openOfTrait,
  'Profile.traits': (value, _parent, sealer) =>
    Object.fromEntries(Object.entries(value as JsonObject).map(([name, each]) => [name, sealer.open(name, each)])),
  'ProfileTrait.value': openOfTrait,
};

function openOfTrait(value: unknown, parent: unknown, sealer: TraitSealer): JsonValue {
  return sealer.open((parent as { readonly name: string }).name, value as JsonValue);
}

/** Personal data that only admins are shown, who see all of it: input as it was sent. */
export const UNMASKED_FOR_ADMINS: readonly string[] = [
  'ConditionRead.value',
  'DeadLetter.fix',
  'DeadLetter.payload',
  'ModelContribution.reference',
  'ModelContribution.value',
  'PromotionImpactGroup.value',
  'ReplayOutcome.event',
];

/** Whether a field, by `Type.field`, tells personal data. */
export function isPersonal(name: string): boolean {
  return Object.hasOwn(MASKS, name) || UNMASKED_FOR_ADMINS.includes(name);
}

/**
 * Puts the masks around the fields and into their descriptions.
 * @throws Error for a mask of a field that there is not
 */
export function maskPersonalData(schema: GraphQLSchema): void {
  for (const [name, mask] of Object.entries(MASKS)) {
    const [typeName = '', fieldName = ''] = name.split('.');
    const type = schema.getType(typeName);
    const field = isObjectType(type) ? type.getFields()[fieldName] : undefined;
    if (field === undefined) throw new Error(`${name} is to be masked, but there is no such field`);
    putAround(field as Field, mask, OPENERS[name] ?? null);
  }
}

function putAround(field: Field, mask: Mask, open: (typeof OPENERS)[string] | null): void {
  const resolve = field.resolve ?? defaultFieldResolver;
  const show = (value: unknown, parent: unknown, context: ApiContext): unknown => {
    if (value === undefined || value === null) return value;
    const definitions = context.watch.current;
    const { traits: defined, traitSealer } = definitions;
    if (!context.has('pii')) return mask(value, parent, personalTraits(defined), definitions);
    return open === null ? value : open(value, parent, traitSealer);
  };
  field.description = `${field.description ?? ''} Masked without the scope \`pii\`.`.trim();
  field.resolve = (parent, args, context, info): unknown => {
    const value = resolve(parent, args, context, info);
    if (context.has('pii') && (open === null || !context.watch.current.hasSealedTraits)) return value;
    return value instanceof Promise
      ? value.then((late: unknown) => show(late, parent, context))
      : show(value, parent, context);
  };
}

/** Names of the features whose values whoever asks is shown masked. */
export function maskedFeatures(context: Pick<ApiContext, 'has'>, definitions: ApiDefinitions): ReadonlySet<string> {
  return context.has('pii') ? NOBODY : personalFeatures(definitions, personalTraits(definitions.traits));
}

const featuresOf = new WeakMap<ApiDefinitions['views'], ReadonlySet<string>>();

/** The names of the features whose value is one that stood under the name of a personal trait, or comes of such ones. */
function personalFeatures({ views, entities }: ApiDefinitions, personal: ReadonlySet<string>): ReadonlySet<string> {
  if (personal.size === 0) return NOBODY;
  let names = featuresOf.get(views);
  if (names === undefined) {
    const ofEntities = [...entities.values()].flatMap(({ features }) => [...features.values()]);
    const features = [
      ...[...views.values()].flatMap((view) => view.features),
      ...ofEntities.map(({ definition }) => definition),
    ];
    const isPersonalValue = (path: string): boolean =>
      path
        .split('.')
        .slice(1)
        .some((key) => personal.has(key));
    const kept = features.filter((feature) => pathsOf(feature).some(isPersonalValue));
    names = new Set(kept.map(({ name }) => name));
    featuresOf.set(views, names);
  }
  return names;
}

/** The names of the traits that are personal data. */
const personalTraits = namesOf(isPersonalTrait);
/** The names of those of which no more than the type is told. */
const sealedTraits = namesOf(isSealed);

/** The names of the traits that are so, found once for each list of definitions. */
function namesOf(isSo: (trait: TraitDefinition) => boolean) {
  const found = new WeakMap<readonly TraitDefinition[], ReadonlySet<string>>();
  return (definitions: readonly TraitDefinition[]): ReadonlySet<string> => {
    let names = found.get(definitions);
    if (names === undefined) {
      names = new Set(definitions.filter(isSo).map(({ name }) => name));
      found.set(definitions, names);
    }
    return names;
  };
}
