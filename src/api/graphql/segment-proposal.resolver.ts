import { Arg, Authorized, Ctx, Int, Mutation, Query, Resolver } from 'type-graphql';
import type { MergeProposal } from '../../segments/merge-proposal.model.js';
import type { ApiContext } from './api-context.js';
import {
  AFTER,
  DEFAULT_PAGE_SIZE,
  FIRST,
  pageByKey,
  pageSize,
  type Connection,
  type Edge,
} from './connection.types.js';
import { SEGMENT_PROPOSAL_CURSOR } from './cursors.js';
import { resultUnion } from './failure.types.js';
import { SegmentProposalConnection, SegmentProposalType } from './segment-proposal.types.js';

const Declined = resultUnion<MergeProposal>(
  'DeclineSegmentProposalResult',
  { type: SegmentProposalType, name: 'SegmentProposal' },
  ['NotFound'],
);

/** Which segments could be one. */
@Resolver()
export class SegmentProposalResolver {
  @Authorized('admin')
  @Query(() => SegmentProposalConnection, {
    description:
      'Which live segments could be one, by key of the proposal: near duplicates, and those that have had few members ' +
      'for a week. Nothing is done by itself.',
  })
  async segmentProposals(
    @Ctx() { services, reads }: ApiContext,
    @Arg('first', () => Int, { defaultValue: DEFAULT_PAGE_SIZE, description: FIRST }) first: number,
    @Arg('after', () => String, { nullable: true, description: AFTER }) after: string | null | undefined,
  ): Promise<Connection<Edge<MergeProposal>>> {
    pageSize(first);
    if (typeof after === 'string') SEGMENT_PROPOSAL_CURSOR.decode(after);
    reads.countSingleRead('segmentProposals');
    const all = [...(await services.mergeProposals.all())].sort((a, b) => (a.key < b.key ? -1 : 1));
    return pageByKey(all, ({ key }) => key, SEGMENT_PROPOSAL_CURSOR, { first, after });
  }

  @Authorized('admin')
  @Mutation(() => Declined.type, {
    description: 'Declines a proposal: it is not made again for as long as neither segment says anything else.',
  })
  declineSegmentProposal(
    @Ctx() { services }: ApiContext,
    @Arg('key', () => String, { description: 'Key of the proposal, as `p3f2a09c41b7d5e`.' }) key: string,
  ): Promise<unknown> {
    return Declined.attempt(() => services.mergeProposals.decline(key));
  }
}
