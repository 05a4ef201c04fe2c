import type { FeatureDefinition } from '../../features/feature.model.js';
import { WeftError } from '../../platform/errors.js';
import { nameHint } from '../../platform/near-names.js';
import type { CompiledSegment } from '../../segments/compile-segment.js';
import type { StoredSegment } from '../../segments/segment.reader.js';
import type { ApiDefinitions } from '../api-definitions.model.js';

/** A feature as a query can ask for it. */
export interface ReadableFeature {
  readonly index: number;
  readonly definition: FeatureDefinition;
  /** With that of its view, as Feast's clients may ask for it: `view__feature`. */
  readonly fullName: string;
  /** Of its view. */
  readonly version: number;
  readonly isReady: boolean;
  /** What somebody has to allow for its value to be told. */
  readonly purposes: readonly string[];
}

/** What is looked up in the definitions over and over, computed once for each load of them. */
export class DefinitionsIndex {
  static readonly #built = new WeakMap<ApiDefinitions, DefinitionsIndex>();
  /** Drafts and active segments. */
  readonly segmentsById: ReadonlyMap<number, StoredSegment>;
  /** Segments that may be evaluated: those that wait for history are not among them. */
  readonly evaluated: ReadonlySet<CompiledSegment>;
  readonly #definitions: ApiDefinitions;
  readonly #features = new Map<string, ReadableFeature>();
  readonly #services = new Map<string, readonly ReadableFeature[]>();

  private constructor(definitions: ApiDefinitions) {
    this.#definitions = definitions;
    this.segmentsById = new Map([...definitions.stored.values()].map((segment) => [segment.id, segment]));
    this.evaluated = new Set(definitions.segments.ordered);
    for (const view of definitions.views.values()) {
      for (const definition of view.features) {
        const index = definitions.features.indexOf(definition.name);
        if (index === undefined) continue;
        const isReady = definitions.isReady(index);
        const { version, purposes = [] } = view;
        const fullName = `${view.name}__${definition.name}`;
        this.#features.set(definition.name, { index, definition, fullName, version, isReady, purposes });
      }
    }
    for (const service of definitions.services.values()) {
      const features = service.features.map((name) => this.#features.get(name));
      this.#services.set(
        service.name,
        features.filter((feature) => feature !== undefined),
      );
    }
  }

  static of(definitions: ApiDefinitions): DefinitionsIndex {
    let index = DefinitionsIndex.#built.get(definitions);
    if (index === undefined) DefinitionsIndex.#built.set(definitions, (index = new DefinitionsIndex(definitions)));
    return index;
  }

  /**
   * The features that a query names, each once, in its order; all of them if it names none.
   * @throws WeftError BAD_REQUEST for names that do not exist, or a list of names beside a service
   */
  select(names: readonly string[] | null | undefined, service: string | null | undefined): readonly ReadableFeature[] {
    const hasNames = names !== null && names !== undefined;
    if (service === null || service === undefined) {
      return hasNames ? [...new Set(names)].map((name) => this.#feature(name)) : [...this.#features.values()];
    }
    if (hasNames) {
      throw new WeftError('BAD_REQUEST', 'both features and a service are named', {
        where: 'service',
        hint: 'name the one or the other',
      });
    }
    const listed = this.#services.get(service);
    if (listed !== undefined) return listed;
    throw unknown('feature service', service, 'service', this.#services.keys());
  }

  /** For a key that no segment has. */
  unknownSegment(key: string): WeftError {
    return new WeftError('NOT_FOUND', `there is no segment ${key.slice(0, 100)}`, {
      where: 'segment',
      hint: nameHint(key, this.#definitions.stored.keys(), 'segments lists those that there are'),
    });
  }

  #feature(name: string): ReadableFeature {
    const feature = this.#features.get(name);
    if (feature !== undefined) return feature;
    throw unknown('feature', name, 'names', this.#features.keys());
  }
}

function unknown(what: string, name: string, where: string, known: Iterable<string>): WeftError {
  return new WeftError('BAD_REQUEST', `there is no ${what} ${name.slice(0, 100)}`, {
    where,
    hint: nameHint(name, known, 'featureViews lists those that there are'),
  });
}
