import { Arg, Ctx, FieldResolver, Int, Resolver, Root } from 'type-graphql';
import type { ExplainedEvidence, Explanation } from '../../identity/identity-explanation.reader.js';
import { ContestedComponentReader } from '../../identity/contested-component.reader.js';
import { formsOf } from '../../identity/identifier-forms.model.js';
import { MergeHistoryReader, type MergeHistoryEntry } from '../../identity/merge-history.reader.js';
import { WeftError } from '../../platform/errors.js';
import type { Uuid } from '../../platform/ids.js';
import type { ApiContext } from './api-context.js';
import {
  AFTER,
  connection,
  DEFAULT_PAGE_SIZE,
  FIRST,
  pageSize,
  type Connection,
  type Edge,
} from './connection.types.js';
import { cursorId, MERGE_CURSOR } from './cursors.js';
import {
  identifierView,
  IdentityExplanationType,
  linkView,
  MergeHistoryConnection,
  type IdentityEvidenceType,
  type MergeHistoryEntryType,
} from './identity.types.js';
import type { ProfileView } from './profile-view.js';
import { IdentifierInput, Profile } from './profile.types.js';

const DAY_MS = 24 * 60 * 60 * 1_000;

type SourceKeys = ReadonlyMap<number, string>;

/** Why a profile is who it is. */
@Resolver(() => Profile)
export class IdentityExplanationResolver {
  @FieldResolver(() => IdentityExplanationType, {
    description:
      'Why an identifier of the profile and another one stand for one profile, step by step, or why they do not.',
  })
  async identityExplanation(
    @Root() view: ProfileView,
    @Ctx() { services }: ApiContext,
    @Arg('from', () => IdentifierInput, { description: 'An identifier of the profile.' }) from: IdentifierInput,
    @Arg('to', () => IdentifierInput, { description: 'Another one, of this profile or of any.' }) to: IdentifierInput,
  ): Promise<IdentityExplanationType> {
    view.reads.countSingleRead('identityExplanation');
    const start = idsOf(services, from).find((id) => view.identifierIds.includes(id));
    if (start === undefined) {
      throw new WeftError('BAD_REQUEST', 'the identifier to begin at is not of this profile', {
        where: 'from',
        hint: 'identifiers of the profile are in its field identifiers',
      });
    }
    const explanation = await services.identity.explanations.explain([start], idsOf(services, to));
    return explanationView(explanation, view.reads.definitions.sourceKeys);
  }

  @FieldResolver(() => Boolean, {
    description:
      'Whether so much leads to the profile that it is not worked out at once who belongs to it: who is new to it stands alone until workers have done so, by the way.',
  })
  isContested(@Root() view: ProfileView, @Ctx() { services }: ApiContext): Promise<boolean> {
    view.reads.countSingleRead('isContested');
    return new ContestedComponentReader(services.db).isContested(view.id);
  }

  @FieldResolver(() => MergeHistoryConnection, {
    description:
      'What the profile took in from others and gave away, under every id that it has had; the newest first.',
  })
  async mergeHistory(
    @Root() view: ProfileView,
    @Ctx() { services }: ApiContext,
    @Arg('first', () => Int, { defaultValue: DEFAULT_PAGE_SIZE, description: FIRST }) first: number,
    @Arg('after', () => String, { nullable: true, description: AFTER }) after: string | null | undefined,
  ): Promise<Connection<Edge<MergeHistoryEntryType>>> {
    const limit = pageSize(first);
    view.reads.countSingleRead('mergeHistory');
    const place = typeof after === 'string' ? MERGE_CURSOR.decode(after) : null;
    const before = place === null ? null : { at: place.at, id: cursorId(place.id) };
    const ids = await services.profiles.allIdsOf(services.db, view.id);
    const entries = await new MergeHistoryReader(services.sealer).page(services.db, ids, before, limit + 1);
    const { sourceKeys } = view.reads.definitions;
    const edges = entries.map((entry) => ({
      cursor: MERGE_CURSOR.encode({ at: entry.at, id: entry.id }),
      node: mergeView(entry, sourceKeys),
    }));
    return connection(edges, limit, after);
  }
}

/** Of the forms that it may be known by. */
function idsOf({ policy }: ApiContext['services'], { namespace, value }: IdentifierInput): readonly Uuid[] {
  return formsOf(policy, { ns: namespace, value }).ids;
}

function explanationView(
  { isOne, steps, obstacles, isComplete }: Explanation,
  sourceKeys: SourceKeys,
): IdentityExplanationType {
  return {
    isOne,
    steps: steps.map(({ from, to, evidence, link, joins }) => ({
      from: identifierView(from),
      to: identifierView(to),
      evidence: evidence === null ? null : evidenceView(evidence, sourceKeys),
      link: link === null ? null : linkView(link),
      joins,
    })),
    obstacles: obstacles.map(({ windowMs, link, ...obstacle }) => ({
      ...obstacle,
      windowDays: windowMs === null ? null : Math.ceil(windowMs / DAY_MS),
      link: link === null ? null : linkView(link),
    })),
    isComplete,
  };
}

export function mergeView(
  { identifiers, event, ...entry }: MergeHistoryEntry,
  sourceKeys: SourceKeys,
): MergeHistoryEntryType {
  return {
    ...entry,
    identifiers: identifiers.map(identifierView),
    event: event === null ? null : evidenceView(event, sourceKeys),
  };
}

function evidenceView(
  { sourceId, messageId, occurredAt, identifiers }: ExplainedEvidence,
  sourceKeys: SourceKeys,
): IdentityEvidenceType {
  return {
    source: sourceKeys.get(sourceId) ?? '',
    messageId,
    occurredAt,
    identifiers: identifiers.map(identifierView),
  };
}
