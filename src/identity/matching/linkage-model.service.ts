import { STOP_WORKERS } from '../../events/partition-lease.model.js';
import type { Clock } from '../../platform/clock.js';
import { WeftError } from '../../platform/errors.js';
import { lockDefinitions, touchDefinitions } from '../../platform/installation.js';
import type { Database, Transaction } from '../../platform/postgres.js';
import type { IdentityRevisionStore } from '../identity-revision.store.js';
import { weightOfProbability, type LinkageModel, type LinkageRecord } from '../linkage/linkage-model.model.js';
import { readLinkageModel, withVersion, writeLinkageModel } from '../linkage/read-linkage-model.js';
import { RecordTable } from '../linkage/record-table.js';
import { countTerms, untrainedColumns, withKeyedTerms } from '../linkage/term-frequencies.js';
import { demandUnsealed, mapColumns, type KnownSources } from './column-mapping.js';
import { LinkageModelReader } from './linkage-model.reader.js';
import type { LinkageModelStore } from './linkage-model.store.js';
import type { AppliedModel, ColumnMapping, StoredLinkageModel } from './matching.model.js';
import type { TermHash } from './term-hash.js';

export interface LinkageModelDependencies {
  readonly db: Database;
  readonly clock: Clock;
  readonly store: LinkageModelStore;
  readonly revisions: Pick<IdentityRevisionStore, 'expectLinks'>;
  readonly known: () => Promise<KnownSources>;
  /** Names of the traits that no column may be filled from. */
  readonly sealedTraits: (tx: Transaction) => Promise<ReadonlySet<string>>;
  /** What stands for values of people in stored models; null: the installation has no secret, and they stand as they are. */
  readonly terms: TermHash | null;
  /** There is something for the worker to do. */
  readonly onChanged: () => void;
}

export interface NewModel {
  /** JSON: ours, or Splink's. */
  readonly text: string;
  /** How messages call the file. */
  readonly file: string;
  readonly name: string;
  /** Of what the frequencies are counted that the model lacks; default: of nothing. */
  readonly records?: readonly LinkageRecord[];
}

export interface ModelActivation {
  /** Where columns are filled from; of others that is inferred from their names, or as it was at the last activation. */
  readonly mapping: ColumnMapping;
  /** Match probabilities, 0 to 1; default: those of the model. */
  readonly linkThreshold?: number;
  readonly reviewThreshold?: number;
}

const MAX_NAME_LENGTH = 100;
/** Of the JSON. */
const MAX_CONTENT_LENGTH = 100_000_000;
const LEAST_PREFIX = 6;

/** Keeps models of record linkage by their content, and says which one is applied. */
export class LinkageModelService {
  readonly #deps: LinkageModelDependencies;

  constructor(deps: LinkageModelDependencies) {
    this.#deps = deps;
  }

  /**
   * Adds a model; one with the same content is the same model.
   * @throws WeftError MODEL_INVALID, BAD_REQUEST
   */
  async add({ text, file, name, records = [] }: NewModel, actor: string): Promise<StoredLinkageModel> {
    const { db, clock, store, terms } = this.#deps;
    if (name === '' || name.length > MAX_NAME_LENGTH) {
      throw new WeftError('BAD_REQUEST', `a name has 1 to ${String(MAX_NAME_LENGTH)} characters`, { where: 'name' });
    }
    const model = frozen(readLinkageModel(text, file), records, file);
    const content = writeLinkageModel(terms === null ? model : withKeyedTerms(model, terms.keysOf(model.version)));
    if (content.length > MAX_CONTENT_LENGTH) {
      throw new WeftError('MODEL_INVALID', `it is longer than ${String(MAX_CONTENT_LENGTH)} characters`, {
        where: file,
        hint: 'leave out the frequencies of columns whose values hardly ever occur twice',
      });
    }
    const { version, thresholds } = model;
    await db.transaction((tx) =>
      store.insert(tx, {
        ...{ version, name, content, hasPlainTerms: terms === null, addedBy: actor, addedAt: clock.now() },
        linkThreshold: thresholds.link,
        reviewThreshold: thresholds.review,
      }),
    );
    return this.find(version);
  }

  /** @param version or how it begins @throws WeftError NOT_FOUND, BAD_REQUEST */
  async find(version: string): Promise<StoredLinkageModel> {
    const prefix = version.toLowerCase();
    const isLongEnough = /^[0-9a-f]+$/.test(prefix) && prefix.length >= LEAST_PREFIX;
    const [model, another] = isLongEnough ? await new LinkageModelReader(this.#deps.db).byPrefix(prefix) : [];
    if (model !== undefined && another === undefined) return model;
    if (model === undefined) throw notThere();
    throw new WeftError('BAD_REQUEST', 'several versions begin like this', VERSION_HINT);
  }

  /**
   * Applies the model from now on, in place of the one that was; everybody is compared anew, also where it was active.
   * @throws WeftError NOT_FOUND, BAD_REQUEST
   */
  async activate(version: string, activation: ModelActivation, actor: string): Promise<StoredLinkageModel> {
    const { clock, store, revisions, sealedTraits, onChanged } = this.#deps;
    const stored = await this.find(version);
    const { mapping, linkThreshold, reviewThreshold } = await this.#planned(stored, activation);
    await this.#change(async (tx) => {
      // A trait may have been sealed since; it cannot be while a model that is active reads it.
      await lockDefinitions(tx);
      demandUnsealed(mapping, await sealedTraits(tx));
      await store.activate(tx, stored.version, { mapping, linkThreshold, reviewThreshold, actor, at: clock.now() });
      await revisions.expectLinks(tx);
    });
    onChanged();
    return this.find(stored.version);
  }

  /** As `activate` would have it applied. @throws WeftError NOT_FOUND, BAD_REQUEST */
  async asActivated(version: string, activation: ModelActivation): Promise<AppliedModel> {
    const { model, mapping, linkThreshold, reviewThreshold } = await this.#planned(
      await this.find(version),
      activation,
    );
    const link = weightOfProbability(linkThreshold);
    return { model, mapping, link, review: reviewThreshold <= 0 ? -Infinity : weightOfProbability(reviewThreshold) };
  }

  async #planned(stored: StoredLinkageModel, activation: ModelActivation) {
    const { db, known, terms } = this.#deps;
    const model = await new LinkageModelReader(db, terms).model(stored.version);
    if (model === null) throw notThere();
    const asked = { ...stored.mapping, ...activation.mapping };
    const mapping = mapColumns(model, asked, await known());
    const linkThreshold = activation.linkThreshold ?? model.thresholds.link;
    const reviewThreshold = activation.reviewThreshold ?? Math.min(model.thresholds.review, linkThreshold);
    if (reviewThreshold > linkThreshold) {
      throw new WeftError('BAD_REQUEST', 'pairs would be linked that are below the threshold of review', {
        where: 'threshold',
        hint: 'let that of review be at most that of links',
      });
    }
    return { model, mapping, linkThreshold, reviewThreshold };
  }

  /** No model is applied any more. @param isUnlinking whether the links that models made are taken back */
  async retire(isUnlinking: boolean): Promise<void> {
    await this.#change((tx) => this.#deps.store.retire(tx, isUnlinking));
    this.#deps.onChanged();
  }

  /** With every worker standing still: what batches lock comes in the order in which they do. */
  async #change(work: (tx: Transaction) => Promise<void>): Promise<void> {
    await this.#deps.db.transaction(async (tx) => {
      await tx.query(STOP_WORKERS);
      await work(tx);
      // Nobody's membership depends on it: no sweep.
      const version = await touchDefinitions(tx);
      await tx.query('UPDATE partitions SET swept_version = $1 WHERE swept_version = $1 - 1', [version]);
    });
  }
}

const VERSION_HINT = {
  where: 'version',
  hint: `weft identity models list shows them; ${String(LEAST_PREFIX)} of the first characters of one are enough`,
};

function notThere(): WeftError {
  return new WeftError('NOT_FOUND', 'there is no model of this version', VERSION_HINT);
}

/** With all frequencies that it needs, so that a pair weighs the same whoever else there is. */
function frozen(model: LinkageModel, records: readonly LinkageRecord[], file: string): LinkageModel {
  const missing = untrainedColumns(model);
  if (missing.length === 0) return model;
  if (records.length === 0) {
    throw new WeftError('MODEL_INVALID', `it has no frequencies of ${missing.join(', ')}`, {
      where: file,
      hint: 'give records to count them in by --frequencies people.csv, or train it by weft identity train --settings',
    });
  }
  const table = RecordTable.of(records, model, missing);
  const counted = missing.map((column) => [column, countTerms(table, column)] as const);
  return withVersion({ ...model, termFrequencies: new Map([...model.termFrequencies, ...counted]) });
}
