import type { RawIdentifier } from './events/event.model.js';
import type { Engine } from './engine.js';
import type { DecisionServices } from './identity-decisions.command.js';
import { IdentityDecisionReader } from './identity/identity-decision.reader.js';
import { formsOf } from './identity/identifier-forms.model.js';
import { standsForNobody } from './identity/nobody.model.js';
import type { Uuid } from './platform/ids.js';
import type { Database } from './platform/postgres.js';
import { SegmentReader } from './segments/segment.reader.js';

/** How long a command waits for a worker. */
const WAIT_MS = 60_000;

interface DecisionServiceParts {
  readonly db: Database;
  readonly engine: Engine;
  readonly sourceKeys: DecisionServices['sourceKeys'];
  readonly actor: string;
  readonly signal: AbortSignal;
}

/** What the commands on decisions about who is who work with. */
export function createDecisionServices(parts: DecisionServiceParts): DecisionServices {
  const { db, engine, sourceKeys, actor, signal } = parts;
  const { revisions, previews, explanations, generics } = engine.identity;
  return {
    preview: async (asked) => previews.preview(await engine.definitions.current(), asked),
    decide: async (revision, reason) => {
      const { id } = await revisions.request(revision, { actor, reason });
      return revisions.settled(id, { timeoutMs: WAIT_MS, signal });
    },
    reresolve: async ({ reason, since }, onProgress) => {
      const input = since === undefined ? {} : { since };
      const { id } = await revisions.request({ kind: 'rules', input }, { actor, reason });
      return revisions.watched(id, onProgress, signal);
    },
    genericValues: (limit) => generics.page(null, limit),
    decideGeneric: async (value, isKept, reason) => {
      const asker = { actor, reason };
      const { id } = await (isKept ? generics.keep(value, asker) : generics.clear(value, asker));
      return revisions.settled(id, { timeoutMs: WAIT_MS, signal });
    },
    explain: (from, to) => explanations.explain(idsOf(engine, from), idsOf(engine, to)),
    othersBarring: (link) => new IdentityDecisionReader().othersBarring(db, link),
    links: ({ limit, withRemoved }) => new IdentityDecisionReader().links(db, { before: null, limit, withRemoved }),
    revisions: (limit) => revisions.page(null, limit),
    sourceKeys,
    segmentKeys: async (ids) =>
      new Map((await new SegmentReader(db).byIds([...ids])).map((segment) => [segment.id, segment.key])),
  };
}

/** @throws WeftError BAD_REQUEST */
function idsOf({ policy }: Engine, raw: RawIdentifier): readonly Uuid[] {
  const { now, ids } = formsOf(policy, raw);
  if (now !== undefined || ids.length > 1) return ids;
  throw standsForNobody(raw, policy, raw.ns);
}
