import type { DefinitionsLoader } from './definitions.js';
import { componentsAfter, estimateComponents } from './identity/component-page.reader.js';
import { clusterRecords } from './identity/linkage/cluster-records.js';
import type { LinkPreview, LinkProgress, ProfileLinking } from './identity/linkage/link.command.js';
import { estimatePairs, linkRecords } from './identity/linkage/link-records.js';
import { probabilityOfWeight, type LinkageRecord } from './identity/linkage/linkage-model.model.js';
import { LinkageModelReader } from './identity/matching/linkage-model.reader.js';
import type { LinkageModelService, ModelActivation } from './identity/matching/linkage-model.service.js';
import { MAX_BLOCK_RECORDS } from './identity/matching/matching.model.js';
import type { MatchedRecords } from './matched-records.js';
import { WeftError } from './platform/errors.js';
import type { Uuid } from './platform/ids.js';
import type { Database } from './platform/postgres.js';

export interface ProfileLinkerParts {
  readonly db: Database;
  readonly definitions: Pick<DefinitionsLoader, 'current'>;
  readonly models: LinkageModelService;
  readonly records: MatchedRecords;
  readonly actor: string;
  readonly sleep: (ms: number) => Promise<void>;
  /** Awaited from time to time; what it throws ends the work. */
  readonly breathe: () => Promise<void>;
}

const COMPONENTS_PER_PAGE = 500;
const POLL_MS = 250;
/** All of it is in memory. */
const MAX_PREVIEWED_RECORDS = 2_000_000;

/** Links all profiles by a model, or says what that would come to. */
export class ProfileLinker implements ProfileLinking {
  readonly #parts: ProfileLinkerParts;

  constructor(parts: ProfileLinkerParts) {
    this.#parts = parts;
  }

  /** Reads everybody into memory and links them there; nothing is changed. */
  async preview(asked: LinkAsked, onProgress: (text: string) => void): Promise<LinkPreview> {
    const { models, breathe } = this.#parts;
    const applied = await models.asActivated(await this.#versionOf(asked), activationOf(asked));
    const records = await this.#allRecords(applied, onProgress);
    const { model, link } = applied;
    const estimates = estimatePairs(model.blockingRules, model, records);
    onProgress(`${String(records.length)} records read`);
    const { table, links, pairsByRule } = await linkRecords(model, records, {
      leastProbability: probabilityOfWeight(applied.review),
      onProgress: (scored, rule) => {
        onProgress(`${String(scored)} pairs scored, at ${rule}`);
      },
      breathe,
    });
    const weights = Array.from(links.weight);
    const kept = weights.flatMap((weight, i) => (weight >= link ? [i] : []));
    const { clusterOf } = clusterRecords(table.size, {
      left: kept.map((i) => links.left[i] ?? 0),
      right: kept.map((i) => links.right[i] ?? 0),
      weight: kept.map((i) => weights[i] ?? 0),
    });
    return {
      model: model.version,
      records: table.size,
      rules: estimates.map(({ rule, pairs, largestBlock }, i) => ({
        ...{ rule, pairs, largestBlock },
        newPairs: pairsByRule[i] ?? 0,
        hasLargeBlocks: largestBlock > MAX_BLOCK_RECORDS,
      })),
      links: kept.length,
      reviews: weights.length - kept.length,
      people: new Set(clusterOf).size,
    };
  }

  /** Applies the model, unless it is being applied already, and resolves once everybody was compared and linked. */
  async link(asked: LinkAsked, onProgress: (progress: LinkProgress) => void): Promise<LinkProgress> {
    const { db, models, actor, sleep, breathe } = this.#parts;
    const reader = new LinkageModelReader(db);
    const [version, active, state] = [await this.#versionOf(asked), await reader.active(), await reader.state()];
    const isUnderWay = state.phase === 'keying' || state.phase === 'scoring';
    const isAsAsked = asked.threshold === undefined || asked.threshold === active?.linkThreshold;
    if (active?.version !== version || !isUnderWay || !isAsAsked) {
      await models.activate(version, activationOf(asked), actor);
    }
    for (;;) {
      await breathe();
      const { phase, componentsDone, componentsTotal } = await reader.state();
      const { records, waiting, links, reviews } = await reader.counts();
      const progress = { model: version, phase, componentsDone, componentsTotal, records, waiting, links, reviews };
      onProgress(progress);
      if (phase === 'idle') {
        throw new WeftError('CONFLICT', 'somebody retired the model meanwhile', { where: 'model' });
      }
      if (phase === 'live' && waiting === 0) return progress;
      await sleep(POLL_MS);
    }
  }

  async #versionOf({ model }: LinkAsked): Promise<string> {
    if (model !== undefined) return (await this.#parts.models.find(model)).version;
    const active = await new LinkageModelReader(this.#parts.db).active();
    if (active !== null) return active.version;
    throw new WeftError('BAD_REQUEST', 'no model is active', {
      where: '--model',
      hint: 'name one of those that weft identity models list shows, or link files by --input and --output',
    });
  }

  async #allRecords(
    applied: Awaited<ReturnType<LinkageModelService['asActivated']>>,
    onProgress: (text: string) => void,
  ): Promise<LinkageRecord[]> {
    const { db, definitions, records, breathe } = this.#parts;
    const { identityRules: rules } = await definitions.current();
    const all: LinkageRecord[] = [];
    const total = await estimateComponents(db);
    let done = 0;
    for (let place: Uuid | null = null; ;) {
      const ids: Uuid[] = await componentsAfter(db, place, COMPONENTS_PER_PAGE);
      const { found } = await db.transaction((tx) => records.around(tx, ids, { ...applied, rules }), {
        readOnly: true,
      });
      for (const { record } of found.values()) all.push(record);
      if (all.length > MAX_PREVIEWED_RECORDS) {
        throw new WeftError('PAYLOAD_TOO_LARGE', `there are more than ${String(MAX_PREVIEWED_RECORDS)} records`, {
          hint: 'try the model on a part of them by --input, or apply it: the worker needs no more memory for more',
        });
      }
      done += ids.length;
      onProgress(`${String(done)}${total === null ? '' : ` of about ${String(total)}`} groups of identifiers read`);
      await breathe();
      if (ids.length < COMPONENTS_PER_PAGE) return all;
      place = ids.at(-1) ?? place;
    }
  }
}

interface LinkAsked {
  readonly model?: string;
  readonly threshold?: number;
}

function activationOf({ threshold }: LinkAsked): ModelActivation {
  return { mapping: {}, ...(threshold === undefined ? {} : { linkThreshold: threshold }) };
}
