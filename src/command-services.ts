import { userInfo } from 'node:os';
import { StoredDocumentService } from './api/documents/stored-document.service.js';
import { buildApiSchema } from './api/graphql/build-schema.js';
import { problemOfDocument } from './api/graphql/read-document.js';
import type { CreatedKey } from './api/auth/api-key.service.js';
import type { KeysCommandServices } from './api/auth/keys.command.js';
import type { App } from './app.js';
import type { EventAcceptor } from './events/accept.model.js';
import { snapshotsIn } from './create-profile-exports.js';
import { RetentionReader } from './events/retention.reader.js';
import { EventHistoryReader } from './events/event-history.reader.js';
import { EventScanReader } from './events/event-scan.reader.js';
import { LabelService } from './features/label.service.js';
import { TableService } from './features/table.service.js';
import { TrainingSetService } from './features/training-set.service.js';
import { IdentityHistoryReader } from './identity/identity-history.reader.js';
import { NamespaceReader } from './identity/namespace.reader.js';
import { PeopleFinder } from './people-finder.js';
import type { Uuid } from './platform/ids.js';
import { MemoryOnlineStore } from './profiles/online-store.memory.js';
import { ProfileReader } from './profiles/profile.reader.js';
import { SourceActivityReader } from './sources/source-activity.reader.js';
import type { SourcesCommandServices } from './sources/sources.command.js';
import type { WebhooksCommandServices } from './sources/webhooks/webhooks.command.js';
import { FEATURE_EXPRESSIONS } from './segments/feature-expression.js';
import { MembershipExplainer } from './segment-explainer.js';
import { segmentRule } from './segments/segment-label.model.js';

/** Of what one command looks at. */
const MAX_STORE_BYTES = 64 * 1024 * 1024;

export function webhooksFor({ webhooks, engine }: App, signal: AbortSignal): WebhooksCommandServices {
  const { accept, retractions } = engine;
  const checker: EventAcceptor = {
    accept: (source, items, options) => Promise.resolve(accept.check(source, items, options)),
  };
  return {
    webhooks: webhooks.service,
    doors: {
      acceptor: accept,
      checker,
      takeBack: async (source, messageIds, guard) => {
        const { id } = await retractions.takeBackMessages(source, messageIds, guard);
        await retractions.done(id, { signal });
      },
      settled: (source) => retractions.settled(source, { signal }),
    },
  };
}

/** @param onMade told the id of each key that is made */
export function keysFor(app: App, onMade: (id: string) => void): KeysCommandServices {
  const { keys, sources } = app;
  const noted = async (made: Promise<CreatedKey>): Promise<CreatedKey> => {
    onMade((await made).key.id);
    return made;
  };
  return {
    keys: {
      create: (input) => noted(keys.create(input)),
      rotate: (id, overlapMs) => noted(keys.rotate(id, overlapMs)),
      changeOrigins: (id, change) => keys.changeOrigins(id, change),
      list: () => keys.list(),
      revoke: (id) => keys.revoke(id),
      signingSecret: (id) => keys.signingSecret(id),
    },
    sourceKeys: () => sourceKeys(app),
    ensureSource: async (key) => ((await sources.findByKey(key)) ?? (await sources.ensure({ key, kind: 'http' }))).id,
  };
}

export function sourcesFor({ db, sources, keys }: App): SourcesCommandServices {
  return {
    sources,
    activity: new SourceActivityReader(db),
    retention: new RetentionReader(db),
    keysOf: (id) => keys.ofSource(id),
  };
}

/** @param onShown told of everybody of whom something is shown */
export function peopleFinder({ db, clock, engine }: App, onShown: (profileId: Uuid) => void): PeopleFinder {
  const { definitions, policy, sealer, erasures } = engine;
  const profiles = new ProfileReader();
  const store = new MemoryOnlineStore({ maxBytes: MAX_STORE_BYTES, clock });
  return new PeopleFinder({
    db,
    clock,
    definitions: () => definitions.current(),
    snapshots: snapshotsIn(store, { db, profiles, definitions }),
    profiles,
    policy,
    namespaces: new NamespaceReader({ db, clock, declared: () => policy.rules.namespaces.keys() }),
    sealer,
    profileOf: (target) => erasures.profileOf(target),
    schema: buildApiSchema,
    onShown,
  });
}

/** @param onShown told of everybody of whom something is shown */
export function membershipExplainer(
  { db, clock, engine }: App,
  onShown: (profileId: Uuid) => void,
): MembershipExplainer {
  const { definitions, erasures } = engine;
  const store = new MemoryOnlineStore({ maxBytes: MAX_STORE_BYTES, clock });
  return new MembershipExplainer({
    ...{ db, clock, definitions, onShown },
    snapshots: snapshotsIn(store, { db, profiles: new ProfileReader(), definitions }),
    profileOf: (target) => erasures.profileOf(target),
  });
}

/** Of whoever runs the command; in a container they may have none. */
export function userName(): string {
  try {
    return userInfo().username;
  } catch {
    return 'command line';
  }
}

export function documentService({ db, clock }: App): StoredDocumentService {
  const schema = buildApiSchema();
  return new StoredDocumentService({ db, clock, problemOf: (text) => problemOfDocument(schema, text) });
}

export async function sourceKeys(app: App): Promise<ReadonlyMap<number, string>> {
  return new Map((await app.sources.list()).map(({ id, key }) => [id, key]));
}

export function trainingSets({ db, clock, engine }: App): TrainingSetService {
  return new TrainingSetService({
    db,
    clock,
    policy: engine.policy,
    language: FEATURE_EXPRESSIONS,
    ...historyReaders(engine),
  });
}

export function labelsOf({ db, clock, engine }: App): LabelService {
  const segmentRuleOf = async (key: string) => segmentRule(await engine.definitions.current(), key);
  return new LabelService({ db, clock, ...historyReaders(engine), segmentRule: segmentRuleOf });
}

export function tablesOf({ db, engine }: App): TableService {
  const events = new EventScanReader(db, engine.sealer);
  return new TableService({ db, events, identity: historyReaders(engine).identity });
}

function historyReaders({ policy, sealer }: App['engine']) {
  const events = new EventHistoryReader(sealer);
  return { events, identity: new IdentityHistoryReader({ rules: policy.rules, events }) };
}
