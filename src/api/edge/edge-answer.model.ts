import type { JsonObject } from '../../events/event.model.js';
import type { ProfileGlance, TraitNames } from '../../segments/profile-snapshot.model.js';
import { consentTrait, isAllowed, UNDECLARED, type ConsentTerms } from '../../profiles/consent.model.js';
import type { ApiDefinitions } from '../api-definitions.model.js';

export interface EdgeScoreView {
  readonly model: string;
  readonly value: number | null;
  readonly label: string | null;
}

/** What a page is told of its visitor. */
export interface EdgeAnswer {
  readonly known: boolean;
  readonly degraded: boolean;
  /** ms; null where nothing is known, or the caller's default is shown. */
  readonly asOf: number | null;
  readonly segments: readonly string[];
  readonly traits: JsonObject;
  readonly scores: readonly EdgeScoreView[];
}

/** What a page shows when nothing can be told in time. */
export interface EdgeDefault {
  readonly segments: readonly string[];
  readonly traits: JsonObject;
}

/** Nobody is known by that identifier: an answer, not an error. */
export const UNKNOWN_VISITOR: EdgeAnswer = {
  known: false,
  degraded: false,
  asOf: null,
  segments: [],
  traits: {},
  scores: [],
};

export function defaultAnswer({ segments, traits }: EdgeDefault): EdgeAnswer {
  return { known: false, degraded: true, asOf: null, segments, traits, scores: [] };
}

/** Of the definitions in force what is marked edge-safe: all that may leave by an edge key. */
export class EdgeMarks {
  static readonly #built = new WeakMap<ApiDefinitions, EdgeMarks>();
  /** Keys of segments by id; drafts have no members. */
  readonly segmentKeys: ReadonlyMap<number, string>;
  readonly #traits: TraitNames;
  readonly models: readonly string[];
  /** What visitors have to allow to be known to edge keys; null: nothing. */
  readonly #needed: NeededPurposes | null;
  /** What they have to allow for models to be asked; null: no model needs anything. */
  readonly #modelNeeds: NeededPurposes | null;
  readonly #modelPurposes: ApiDefinitions['modelPurposes'];
  /** Keys of segments whose members have to allow something. */
  readonly #gatedSegments: ReadonlySet<string>;

  private constructor({ stored, segments, traits, edgeModels, purposes, modelPurposes }: ApiDefinitions) {
    const marked = [...stored.values()].filter(({ edge }) => edge);
    this.segmentKeys = new Map(marked.map(({ id, key }) => [id, key]));
    const names = traits.filter(({ edge }) => edge).map(({ name }) => name);
    this.#traits = { names, utf8: names.map((name) => Buffer.from(name)) };
    this.models = edgeModels;
    this.#modelPurposes = modelPurposes;
    const needed = [...purposes.values()].filter(({ edge }) => edge).map(({ key }) => key);
    this.#needed = neededOf(needed, purposes);
    const isGated = (key: string): boolean => (segments.byKey.get(key)?.purposes.length ?? 0) > 0;
    this.#gatedSegments = new Set(marked.map(({ key }) => key).filter(isGated));
    this.#modelNeeds = neededOf([...new Set(edgeModels.flatMap((key) => modelPurposes.get(key) ?? []))], purposes);
  }

  /** Whether visitors have to allow something to be known to edge keys. */
  get needsConsent(): boolean {
    return this.#needed !== null;
  }

  /** Whether the visitor may be known to edge keys at `t`, ms. */
  allows(profile: ProfileGlance, t: number): boolean {
    const needed = this.#needed;
    return needed === null || allowedOf(needed, profile, t).size === needed.keys.length;
  }

  /** Of `models` those that may be asked about the profile at `t`, ms; the very same list where that is all of them. */
  modelsFor(profile: ProfileGlance, t: number): readonly string[] {
    if (this.#modelNeeds === null) return this.models;
    const allowed = allowedOf(this.#modelNeeds, profile, t);
    if (allowed.size === this.#modelNeeds.keys.length) return this.models;
    return this.models.filter((key) => this.#modelPurposes.get(key)?.every((purpose) => allowed.has(purpose)) ?? true);
  }

  /** Of an answer that may be older than the visitor's word, what no word takes back. */
  ungated(answer: EdgeAnswer): EdgeAnswer {
    if (this.#gatedSegments.size === 0 && this.#modelNeeds === null) return answer;
    return {
      ...answer,
      segments: answer.segments.filter((key) => !this.#gatedSegments.has(key)),
      scores: answer.scores.filter(({ model }) => !this.#modelPurposes.has(model)),
    };
  }

  static of(definitions: ApiDefinitions): EdgeMarks {
    let marks = EdgeMarks.#built.get(definitions);
    if (marks === undefined) EdgeMarks.#built.set(definitions, (marks = new EdgeMarks(definitions)));
    return marks;
  }

  /** The live memberships, by key. */
  segmentsOf(profile: ProfileGlance): string[] {
    const keys: string[] = [];
    for (const segmentId of profile.segmentIds()) {
      const key = this.segmentKeys.get(segmentId);
      if (key !== undefined) keys.push(key);
    }
    return keys.length < 2 ? keys : keys.sort();
  }

  traitsOf(profile: ProfileGlance): JsonObject {
    const { names } = this.#traits;
    const values = profile.traitValues(this.#traits);
    const traits: JsonObject = {};
    for (let i = 0; i < names.length; i++) {
      const value = values[i];
      if (value !== undefined) put(traits, names[i] as string, value);
    }
    return traits;
  }
}

interface NeededPurposes {
  readonly keys: readonly string[];
  readonly terms: readonly ConsentTerms[];
  readonly traits: TraitNames;
}

function neededOf(keys: readonly string[], purposes: ReadonlyMap<string, ConsentTerms>): NeededPurposes | null {
  if (keys.length === 0) return null;
  const names = keys.map(consentTrait);
  return {
    keys,
    terms: keys.map((key) => purposes.get(key) ?? UNDECLARED),
    traits: { names, utf8: names.map((name) => Buffer.from(name)) },
  };
}

function allowedOf({ keys, terms, traits }: NeededPurposes, profile: ProfileGlance, t: number): Set<string> {
  const held = profile.consents(traits);
  return new Set(keys.filter((_, i) => isAllowed(terms[i] ?? UNDECLARED, held[i], t)));
}

/** A property of this name alone is not made by assigning to it. */
function put(traits: JsonObject, name: string, value: JsonObject[string]): void {
  if (name !== '__proto__') traits[name] = value;
  else Object.defineProperty(traits, name, { value, enumerable: true, configurable: true, writable: true });
}
