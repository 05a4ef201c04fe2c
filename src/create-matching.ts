import type { EventLog } from './events/event-log.model.js';
import type { PartitionLeases } from './events/partition-lease.store.js';
import { SeenNameReader } from './events/seen-name.reader.js';
import type { IdentityParts } from './create-identity.js';
import { IdentityRulesReader } from './identity/identity-rules.reader.js';
import { GroupReader } from './identity/matching/group-reader.js';
import { IdentityReviewReader } from './identity/matching/identity-review.reader.js';
import { IdentityReviewService } from './identity/matching/identity-review.service.js';
import { IdentityReviewStore } from './identity/matching/identity-review.store.js';
import type { KnownSources } from './identity/matching/column-mapping.js';
import { LinkageModelService } from './identity/matching/linkage-model.service.js';
import { LinkageModelStore } from './identity/matching/linkage-model.store.js';
import { MatchingStore } from './identity/matching/matching.store.js';
import { ModelLinks } from './identity/matching/model-links.js';
import { TermHash } from './identity/matching/term-hash.js';
import { UnmatchedComponents } from './identity/matching/unmatched-components.js';
import { MatchedRecords } from './matched-records.js';
import { MatchingChore } from './matching-chore.js';
import { MatchingMarks } from './matching-marks.js';
import type { Pipeline } from './pipeline.js';
import type { Clock } from './platform/clock.js';
import { newId } from './platform/ids.js';
import type { InstallationSecret } from './platform/installation-secret.js';
import type { Database, Queryable } from './platform/postgres.js';
import { ErasureStore } from './privacy/erasure.store.js';
import { AnchorTraitsReader } from './profiles/anchor-traits.reader.js';
import { TraitDefinitionReader } from './profiles/trait-definition.reader.js';

/** What is asked of models of record linkage. */
export interface MatchingServices {
  readonly models: LinkageModelService;
  readonly reviews: IdentityReviewService;
  /** People as a model compares them. */
  readonly records: MatchedRecords;
}

interface MatchingDependencies {
  readonly db: Database;
  readonly clock: Clock;
  readonly identity: IdentityParts;
  readonly secret: InstallationSecret;
  /** Records of one block beyond which its pairs are not compared; default: see `matching.model.ts`. */
  readonly maxBlockRecords?: number;
  readonly wakeWorker: () => void;
}

interface ChoreDependencies {
  readonly log: EventLog;
  readonly leases: PartitionLeases;
  readonly pipeline: Pipeline;
}

export interface Matching {
  readonly store: MatchingStore;
  readonly marks: MatchingMarks;
  readonly services: MatchingServices;
  /** To be called once. */
  createChore(deps: ChoreDependencies): MatchingChore;
}

/** Wires what compares people by models of record linkage. */
export function createMatching(deps: MatchingDependencies): Matching {
  const { db, clock, identity, secret, maxBlockRecords, wakeWorker } = deps;
  const terms = TermHash.of(secret);
  const store = new MatchingStore(maxBlockRecords);
  const models = new LinkageModelStore();
  const { resolving, revisions, revision } = identity;
  const records = new MatchedRecords(new GroupReader(resolving), new AnchorTraitsReader());
  const reviews = new IdentityReviewStore();
  let chore: MatchingChore | null = null;
  const onChanged = (): void => {
    chore?.wake();
    wakeWorker();
  };
  const known = (): Promise<KnownSources> => knownSources(db);
  return {
    store,
    marks: new MatchingMarks(store, () => {
      chore?.wake();
    }),
    services: {
      models: new LinkageModelService({ db, clock, store: models, revisions, known, sealedTraits, terms, onChanged }),
      reviews: new IdentityReviewService({
        ...{ db, clock, terms },
        reader: new IdentityReviewReader(),
        store: reviews,
        records: store,
        revisions: identity.services.revisions,
      }),
      records,
    },
    createChore: (choreDeps) => {
      const links = new ModelLinks(store, newId);
      chore = new MatchingChore({
        ...{ ...choreDeps, terms, db, clock, store, models, links, reviews, revisions, revision, records },
        unmatched: new UnmatchedComponents(store),
        erasures: new ErasureStore(),
      });
      return chore;
    },
  };
}

const TRAIT_FIELD = 'traits.';
/** Namespaces beyond those that the rules name. */
const MAX_NAMESPACES = 1_000;

function sealedTraits(db: Queryable): Promise<Set<string>> {
  return new TraitDefinitionReader(db).sealedNames();
}

async function knownSources(db: Database): Promise<KnownSources> {
  const { rules } = await new IdentityRulesReader(db).current();
  const seen = await new SeenNameReader(db).all();
  const fields = [...seen.events.values()].flatMap((each) => [...each]);
  const sent = fields.flatMap((field) => (field.startsWith(TRAIT_FIELD) ? [field.slice(TRAIT_FIELD.length)] : []));
  const defined = await new TraitDefinitionReader(db).all();
  const namespaces = await db.query<{ ns: string }>(
    'SELECT DISTINCT ns FROM (SELECT ns FROM identifiers LIMIT 100000) s LIMIT $1',
    [MAX_NAMESPACES],
  );
  return {
    traits: new Set([...sent, ...defined.map(({ name }) => name)]),
    areTraitsComplete: seen.isComplete,
    sealedTraits: await sealedTraits(db),
    namespaces: new Set([...rules.namespaces.keys(), ...namespaces.map(({ ns }) => ns)]),
  };
}
