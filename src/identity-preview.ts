import { readAppliedAt } from './events/applied-log.reader.js';
import { isReservedTrait } from './events/event.model.js';
import type { AnchorStateStore } from './features/anchor-state.store.js';
import type { RevisionInputOf } from './identity/identity-revision.model.js';
import type { IdentityRevisionService } from './identity/identity-revision.service.js';
import type { IdentityRevisionStep } from './identity/identity-revision.step.js';
import { profilesOf, type IdentityRevision } from './identity/revised-identity.model.js';
import { ruleOf, type IdentityRules } from './identity/identity-rules.model.js';
import type { RevisionDecider } from './identity/revision-decider.js';
import type { Clock } from './platform/clock.js';
import type { Database, Transaction } from './platform/postgres.js';
import { ProfileSearchStore } from './profiles/profile-search.store.js';
import type { ProfileReader } from './profiles/profile.reader.js';
import type { Trait } from './profiles/trait.model.js';
import type { Definitions } from './segments/definitions.model.js';
import { foldRevision } from './segments/fold-revision.js';
import type { MembershipStore } from './segments/membership.store.js';
import { isShadow } from './segments/shadow.model.js';
import type {
  BrokenLimit,
  IdentityPreview,
  IdentityPreviewer,
  PreviewedDecision,
  PreviewedProfile,
  PreviewedTrait,
} from './segments/identity-preview.model.js';
import type { TimerStore } from './segments/timer.store.js';
import { WorkingSet } from './working-set.js';

export interface IdentityPreviewParts {
  readonly db: Database;
  readonly clock: Clock;
  readonly decider: RevisionDecider;
  readonly identity: IdentityRevisionStep;
  readonly revisions: Pick<IdentityRevisionService, 'checked'>;
  readonly profiles: ProfileReader;
  readonly anchors: AnchorStateStore;
  readonly memberships: MembershipStore;
  readonly timers: TimerStore;
}

/** Says what a decision would do: by what does it (`Pipeline.revise`), from one snapshot, and without writing anything. */
export class IdentityPreviews implements IdentityPreviewer {
  constructor(private readonly parts: IdentityPreviewParts) {}

  /** @throws WeftError NOT_FOUND, CONFLICT, BAD_REQUEST, PAYLOAD_TOO_LARGE */
  preview(definitions: Definitions, asked: PreviewedDecision): Promise<IdentityPreview> {
    const preview = async (tx: Transaction): Promise<IdentityPreview> =>
      this.#preview(tx, definitions, await this.parts.revisions.checked(tx, asked));
    return this.parts.db.transaction(preview, { isolation: 'REPEATABLE READ', readOnly: true });
  }

  async #preview(tx: Transaction, definitions: Definitions, revision: RevisionInputOf): Promise<IdentityPreview> {
    const { clock, decider, identity } = this.parts;
    const at = Math.max(clock.now(), ...(await readAppliedAt(tx)).values());
    const { resultOf, ...plan } = await decider.decide(tx, revision, at);
    const who = await identity.resolve(tx, { ...plan, rules: definitions.identityRules, pos: 0, at, revisionId: null });
    const workingSet = this.#workingSet();
    const involved = profilesOf(who);
    await workingSet.loadWith(tx, definitions, involved, who.profiles);
    const before = new Map([...workingSet.touched].map(({ id, traits }) => [id, new Map(traits)]));
    const known = new Set((await this.parts.profiles.byIds(tx, [...involved])).map(({ id }) => id));
    const changes = await foldRevision(definitions, workingSet.profile, {
      acceptedAt: at,
      involved: [...involved],
      anchors: [],
      cause: 'identity',
      moves: who.moves,
      merged: who.merged,
    });
    const profiles = [...workingSet.touched].map(({ id, identifiers, traits, mergedInto }): PreviewedProfile => ({
      id,
      isNew: !known.has(id),
      mergedInto,
      identifiers: [...identifiers.values()],
      traits: mergedInto === null ? changedTraits(before.get(id) ?? new Map(), traits) : [],
    }));
    return {
      result: resultOf(who),
      profiles: profiles.sort((a, b) => (a.id < b.id ? -1 : 1)),
      changes: changes
        .filter(({ cause, segmentId }) => (cause.kind === 'merge' || cause.kind === 'unmerge') && !isShadow(segmentId))
        .map(({ profileId, segmentId, kind }) => ({ profileId, segmentId, kind })),
      brokenLimits: brokenLimits(definitions.identityRules, who, profiles),
    };
  }

  /** Reads only: nothing is locked. */
  #workingSet(): WorkingSet {
    const { profiles, anchors, memberships, timers } = this.parts;
    return new WorkingSet({
      profiles: { lock: (tx, ids) => profiles.byIds(tx, ids) },
      anchors,
      memberships,
      timers,
      search: new ProfileSearchStore(),
    });
  }
}

/** Those that must-links override: of the values that these join, more than a profile may hold by itself. */
function brokenLimits(
  rules: IdentityRules,
  { links }: IdentityRevision,
  profiles: readonly PreviewedProfile[],
): BrokenLimit[] {
  const linked = new Set(links.added.filter(({ kind }) => kind === 'must').flatMap(({ a, b }) => [a.id, b.id]));
  const broken = new Map<string, BrokenLimit>();
  for (const { identifiers } of profiles) {
    const namespaces = new Set(identifiers.filter(({ id }) => linked.has(id)).map(({ ns }) => ns));
    for (const namespace of namespaces) {
      const count = identifiers.filter(({ ns }) => ns === namespace).length;
      const rule = ruleOf(rules, namespace);
      if (rule === undefined || count <= rule.limit) continue;
      broken.set(namespace, { namespace, limit: rule.limit, windowMs: rule.windowMs, count });
    }
  }
  return [...broken.values()];
}

function changedTraits(before: ReadonlyMap<string, Trait>, after: ReadonlyMap<string, Trait>): PreviewedTrait[] {
  const names = [...new Set([...before.keys(), ...after.keys()])].filter((name) => !isReservedTrait(name)).sort();
  return names.flatMap((name) => {
    const [was, is] = [before.get(name), after.get(name)];
    if (JSON.stringify(was?.value) === JSON.stringify(is?.value)) return [];
    return [
      {
        name,
        before: was?.value,
        after: is?.value,
        sourceId: is?.sourceId ?? null,
        occurredAt: is?.occurredAt ?? null,
      },
    ];
  });
}
