import type { EventSampleReader } from '../events/event-sample.reader.js';
import { isReservedTrait, type JsonValue, type LoggedEvent } from '../events/event.model.js';
import { SeenNameReader } from '../events/seen-name.reader.js';
import type { Clock } from '../platform/clock.js';
import type { Database } from '../platform/postgres.js';
import { ReadThroughCache } from '../platform/read-through-cache.js';
import { looksPersonal } from '../profiles/personal-name.model.js';
import { isPersonal, isSealed } from '../profiles/trait-definition.model.js';
import { TraitDefinitionReader } from '../profiles/trait-definition.reader.js';
import { VocabularyCount, type MayShow, type VocabularyEntry } from './vocabulary.model.js';

export interface VocabularyReaderParts {
  readonly db: Database;
  readonly clock: Clock;
  readonly samples: Pick<EventSampleReader, 'parts'>;
  /** A value as it is shown to those who may not see personal data: of another form where it is or names somebody. */
  readonly mask: (value: JsonValue, personal: ReadonlySet<string>, identifiers: ReadonlySet<string>) => JsonValue;
}

/** Of the whole log, spread evenly. */
const SAMPLE = { maxEvents: 20_000, maxPositions: 200_000 } as const;
/** How old an answer may be, ms. */
const MAX_AGE_MS = 60_000;
const SINCE_MS = 90 * 86_400_000;
/** Numbers of six digits and more may be identifiers. */
const MAY_NAME_SOMEBODY = /@|\d{6}/;

/**
 * Names that events have carried, with counts and frequent values out of a sample of the last 90 days. Nothing of it is
 * kept but in memory, for a minute. Shown is no value under a name that is or looks personal, none that is, or looks like,
 * an identifier, and none that fewer than three people had.
 */
export class VocabularyReader {
  readonly #parts: VocabularyReaderParts;
  readonly #cache: ReadThroughCache<readonly VocabularyEntry[]>;

  constructor(parts: VocabularyReaderParts) {
    this.#parts = parts;
    const { clock } = parts;
    this.#cache = new ReadThroughCache({ maxAgeMs: MAX_AGE_MS, maxEntries: 1, clock, load: () => this.#read() });
  }

  /** By kind and name. */
  async entries(): Promise<readonly VocabularyEntry[]> {
    return (await this.#cache.get('')) ?? [];
  }

  async #read(): Promise<readonly VocabularyEntry[]> {
    const { db, clock, samples } = this.#parts;
    const traits = await new TraitDefinitionReader(db).all();
    const personal = new Set(traits.filter((trait) => isPersonal(trait) || isSealed(trait)).map(({ name }) => name));
    const identifiers = new WeakMap<object, ReadonlySet<string>>();
    const mayShow: MayShow = (name, value, event) => {
      if (personal.has(name) || looksPersonal(name) || isReservedTrait(name) || MAY_NAME_SOMEBODY.test(value))
        return false;
      return this.#parts.mask(value, personal, identifiers.get(event) ?? NOBODY) === value;
    };
    const count = new VocabularyCount(await new SeenNameReader(db).all(), mayShow);
    const sinceMs = clock.now() - SINCE_MS;
    for await (const { events } of samples.parts({ ...SAMPLE, sourceId: null, sinceMs })) {
      for (const event of events) {
        const sampled = {
          name: event.name,
          person: personOf(event),
          properties: event.properties,
          traits: event.traits,
          context: event.context,
        };
        identifiers.set(sampled, new Set(event.identifiers.map(({ value }) => value)));
        count.add(sampled);
      }
    }
    return count.entries();
  }
}

const NOBODY: ReadonlySet<string> = new Set();

function personOf({ identifiers }: LoggedEvent): string {
  return identifiers[0]?.id ?? '';
}
