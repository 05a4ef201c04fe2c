import type { JsonObject } from '../../events/event.model.js';
import type { ProfileGlance, TraitNames } from '../../segments/profile-snapshot.model.js';
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

  private constructor({ stored, traits, edgeModels }: ApiDefinitions) {
    const marked = [...stored.values()].filter(({ edge }) => edge);
    this.segmentKeys = new Map(marked.map(({ id, key }) => [id, key]));
    const names = traits.filter(({ edge }) => edge).map(({ name }) => name);
    this.#traits = { names, utf8: names.map((name) => Buffer.from(name)) };
    this.models = edgeModels;
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

/** A property of this name alone is not made by assigning to it. */
function put(traits: JsonObject, name: string, value: JsonObject[string]): void {
  if (name !== '__proto__') traits[name] = value;
  else Object.defineProperty(traits, name, { value, enumerable: true, configurable: true, writable: true });
}
