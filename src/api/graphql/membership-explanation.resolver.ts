import { Arg, Authorized, FieldResolver, Resolver, Root } from 'type-graphql';
import type { ExplainedCondition } from '../../segments/explain-condition.js';
import { MembershipExplanationType } from './membership-explanation.types.js';
import type { ProfileView } from './profile-view.js';
import { Profile } from './profile.types.js';

/** Why a profile is where it is. */
@Resolver(() => Profile)
export class MembershipExplanationResolver {
  @Authorized('admin')
  @FieldResolver(() => MembershipExplanationType, {
    description:
      'Why the profile is, or is not, in a segment now: each part of its conditions, with what it reads and how far it is from changing.',
  })
  async membershipExplanation(
    @Root() view: ProfileView,
    @Arg('segment', () => String, { description: 'Key of an active segment, as `cart_abandoned`.' }) segment: string,
  ): Promise<MembershipExplanationType> {
    view.reads.countSingleRead('membershipExplanation');
    const { conditions, exitConditions, models, holdsUntil, ...explained } = await view.explainMembership(segment);
    return {
      ...explained,
      holdsUntil: instantOf(holdsUntil),
      conditions: conditions.map(conditionView),
      exitConditions: exitConditions.map(conditionView),
      models: models.map((model) => ({ ...model, method: 'ablation' })),
    };
  }
}

function conditionView({
  holdsUntil,
  ...condition
}: ExplainedCondition): MembershipExplanationType['conditions'][number] {
  return { ...condition, holdsUntil: instantOf(holdsUntil) };
}

function instantOf(ms: number): number | null {
  return ms === Infinity ? null : ms;
}
