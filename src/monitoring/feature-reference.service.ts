import { hash } from 'node:crypto';
import type { Clock } from '../platform/clock.js';
import { WeftError } from '../platform/errors.js';
import { isKey, KEY_HINT } from '../platform/key.js';
import { nameHint } from '../platform/near-names.js';
import type { Database } from '../platform/postgres.js';
import { readManifestStatistics, type FeatureReference } from './feature-reference.model.js';
import { FeatureReferenceReader } from './feature-reference.reader.js';
import { FeatureReferenceStore } from './feature-reference.store.js';

export interface RegisteredReference extends FeatureReference {
  /** Features of the set whose spread is kept. */
  readonly features: number;
}

/** Use cases of those who register training sets that what is served is compared with. */
export class FeatureReferenceService {
  readonly #reader: FeatureReferenceReader;
  readonly #store: FeatureReferenceStore;
  readonly #clock: Clock;

  constructor({ db, clock }: { readonly db: Database; readonly clock: Clock }) {
    this.#reader = new FeatureReferenceReader(db);
    this.#store = new FeatureReferenceStore(db);
    this.#clock = clock;
  }

  /**
   * Registers the training set of a manifest, in place of the one that had the name.
   * @param text the manifest, as its file holds it
   * @param where how errors call the manifest and the name
   * @param given what to call it; null: as the feature service of the set
   * @throws WeftError BAD_REQUEST (no manifest, no name), CONFLICT where there are as many as may be
   */
  async set(
    text: string,
    given: string | null,
    where: { readonly manifest: string; readonly name: string },
  ): Promise<RegisteredReference> {
    const found = readManifestStatistics(text, where.manifest);
    const name = given ?? found.service;
    if (name === null) {
      throw new WeftError('BAD_REQUEST', 'the set is of no feature service that it could be called by', {
        where: where.manifest,
        hint: `give ${where.name}, such as intent_2026_11`,
      });
    }
    if (!isKey(name)) throw new WeftError('BAD_REQUEST', 'this is no name', { where: where.name, hint: KEY_HINT });
    const { madeAt, rows, features } = found;
    const reference = { name, setAt: this.#clock.now(), manifestSha256: hash('sha256', text, 'hex') };
    await this.#store.set(reference, found);
    return { ...reference, madeAt, rows, features: features.length };
  }

  /** @throws WeftError NOT_FOUND, with the name that may be meant */
  async remove(name: string): Promise<void> {
    if (await this.#store.remove(name)) return;
    const known = (await this.#reader.all()).map((each) => each.name);
    throw new WeftError('NOT_FOUND', `no training set is registered as ${name.slice(0, 100)}`, {
      where: 'name',
      hint: nameHint(name, known, 'weft features reference list, or featureReferences, shows those that there are'),
    });
  }
}
