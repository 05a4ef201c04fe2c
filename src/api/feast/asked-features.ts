import { LRUCache } from 'lru-cache';
import { WeftError } from '../../platform/errors.js';
import { nameHint } from '../../platform/near-names.js';
import { consentTrait, isAllowed, UNDECLARED } from '../../profiles/consent.model.js';
import type { FeatureDefinition, Imputations } from '../../features/feature.model.js';
import type { ProfileGlance, TraitNames } from '../../segments/profile-snapshot.model.js';
import type { ApiDefinitions } from '../api-definitions.model.js';
import { DefinitionsIndex, type ReadableFeature } from '../graphql/definitions-index.js';
import { maskedFeatures } from '../graphql/personal.js';
import { neededPurposes } from '../graphql/read-online-features.js';
import type { SettledFeatures } from '../settled-features.js';
import { imputedJson, NOT_FOUND_CELL, packRow, type OnlineRow } from './online-cells.js';
import { shown, type FeatureRef, type OnlineFeaturesRequest } from './feast-request.model.js';

/** Different questions that are remembered of one load of the definitions. */
const MAX_REMEMBERED = 200;

/** The part of a question that many requests share: which features, what they are called, who may be told of them. */
export class AskedFeatures {
  static readonly #remembered = new WeakMap<ApiDefinitions, LRUCache<string, AskedFeatures>>();
  static #count = 0;

  /** Tells this question of these definitions from all others of the process. */
  readonly id = ++AskedFeatures.#count;
  /** JSON of the names, and of the versions if they are asked for; after the name of the join key. */
  readonly namesJson: string;
  readonly viewsJson: string | null;
  /** What stands for each where it has no value, as JSON; null: nothing does. */
  readonly imputed: readonly (string | null)[];
  /** Whether each is shown masked. */
  readonly isMasked: readonly boolean[];
  /** Whether what is told depends on what somebody allows. */
  readonly isGated: boolean;
  /** What is told of who is not known. */
  readonly unknown: OnlineRow;
  /** What is asked for, in the order asked. */
  readonly asked: readonly FeatureDefinition[];
  #isSettled = false;
  readonly #needed: readonly string[];
  readonly #purposes: readonly string[];
  readonly #purposeTraits: TraitNames;

  private constructor(
    readonly definitions: ApiDefinitions,
    readonly features: readonly ReadableFeature[],
    request: OnlineFeaturesRequest,
    hasPii: boolean,
  ) {
    const masked = maskedFeatures({ has: () => hasPii }, definitions);
    this.isMasked = features.map(({ definition }) => masked.has(definition.name));
    const impute = imputationsOf(definitions, request);
    this.imputed = features.map(({ definition }) => imputedJson(impute, definition));
    this.namesJson = features
      .map(({ definition: { name }, fullName }) => `,${JSON.stringify(request.isFullNamed ? fullName : name)}`)
      .join('');
    this.unknown = packRow(features.map(() => NOT_FOUND_CELL));
    this.asked = features.map(({ definition }) => definition);
    const versions = new Map(features.map(({ definition, version }) => [definition.view, version]));
    const views = [...versions].map(([name, version]) => ({ name, version }));
    this.viewsJson = request.withVersions ? JSON.stringify(views) : null;
    this.#needed = neededPurposes({ definitions }, request.purposes);
    this.#purposes = [...new Set([...this.#needed, ...features.flatMap(({ purposes }) => purposes)])];
    const names = this.#purposes.map(consentTrait);
    this.#purposeTraits = { names, utf8: names.map((name) => Buffer.from(name)) };
    this.isGated = this.#purposes.length > 0;
  }

  /**
   * @param hasPii whether who asks may see personal values
   * @throws WeftError NOT_FOUND for a view, feature or service that there is not; BAD_REQUEST
   */
  static of(definitions: ApiDefinitions, request: OnlineFeaturesRequest, hasPii: boolean): AskedFeatures {
    let remembered = AskedFeatures.#remembered.get(definitions);
    if (remembered === undefined) {
      AskedFeatures.#remembered.set(definitions, (remembered = new LRUCache({ max: MAX_REMEMBERED })));
    }
    const { service, refs, isFullNamed, withVersions, purposes, isImputed } = request;
    const key = JSON.stringify([service ?? refs, isFullNamed, withVersions, purposes, isImputed, hasPii]);
    let asked = remembered.get(key);
    if (asked === undefined) {
      asked = new AskedFeatures(definitions, select(definitions, request), request, hasPii);
      remembered.set(key, asked);
    }
    return asked;
  }

  /** Whether every profile has all of them in full. */
  isSettled(settled: Pick<SettledFeatures, 'has'>): boolean {
    return (this.#isSettled ||= this.features.every(({ definition }) => settled.has(definition)));
  }

  /** Whether each feature may be told of this person at `t`, ms. */
  allowed(profile: ProfileGlance, t: number): readonly boolean[] {
    const held = profile.consents(this.#purposeTraits);
    const granted = new Set(
      this.#purposes.filter((key, i) => isAllowed(this.definitions.purposes.get(key) ?? UNDECLARED, held[i], t)),
    );
    const isAnswered = this.#needed.every((key) => granted.has(key));
    return this.features.map(({ purposes }) => isAnswered && purposes.every((key) => granted.has(key)));
  }
}

/** What the service of a request imputes; null: nothing is asked to be. */
export function imputationsOf(
  { services }: Pick<ApiDefinitions, 'services'>,
  { isImputed, service }: Pick<OnlineFeaturesRequest, 'isImputed' | 'service'>,
): Imputations | null {
  return isImputed ? (services.get(service ?? '')?.impute ?? null) : null;
}

function select(definitions: ApiDefinitions, { refs, service }: OnlineFeaturesRequest): readonly ReadableFeature[] {
  const index = DefinitionsIndex.of(definitions);
  if (refs !== null) {
    for (const [i, ref] of refs.entries()) demandFeature(definitions, ref, `features.${String(i)}`);
    return index.select(
      refs.map(({ feature }) => feature),
      null,
    );
  }
  const name = service ?? '';
  if (definitions.services.has(name)) return index.select(null, name);
  throw new WeftError('NOT_FOUND', `there is no feature service ${shown(name)}`, {
    where: 'feature_service',
    hint: nameHint(name, definitions.services.keys(), 'featureServices of GraphQL lists those that there are'),
  });
}

/** @throws WeftError NOT_FOUND */
export function demandFeature({ views }: Pick<ApiDefinitions, 'views'>, ref: FeatureRef, where: string): void {
  const view = views.get(ref.view);
  if (view === undefined) {
    throw new WeftError('NOT_FOUND', `there is no feature view ${shown(ref.view)}`, {
      where,
      hint: nameHint(ref.view, views.keys(), 'weft features list shows those that there are'),
    });
  }
  const names = view.features.map(({ name }) => name);
  if (!names.includes(ref.feature)) {
    throw new WeftError('NOT_FOUND', `the view ${view.name} has no feature ${shown(ref.feature)}`, {
      where,
      hint: nameHint(ref.feature, names, 'weft features list shows those that there are'),
    });
  }
  if (ref.version === null || ref.version === view.version) return;
  throw new WeftError('NOT_FOUND', `version ${String(ref.version)} of the view ${view.name} is not served`, {
    where,
    hint: `ask for version ${String(view.version)}, or leave the version out`,
  });
}
