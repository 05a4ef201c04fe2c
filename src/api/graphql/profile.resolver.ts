import {
  Arg,
  Args,
  ArgsType,
  Authorized,
  Ctx,
  Field,
  FieldResolver,
  Float,
  ID,
  Query,
  Resolver,
  Root,
} from 'type-graphql';
import type { JsonObject } from '../../events/event.model.js';
import { readRequestValues } from '../../features/on-demand.model.js';
import { refusalOf } from '../../identity/nobody.model.js';
import { WeftError } from '../../platform/errors.js';
import type { ApiContext } from './api-context.js';
import { Evaluation } from './enums.js';
import type { FeatureView, MembershipView, ProfileView, ScoreView } from './profile-view.js';
import { Feature, IdentifierInput, OnlineFeatures, Profile, Score, SegmentMembership } from './profile.types.js';
import { imputationsAsked, withImputed } from './impute-online.js';
import { neededPurposes, readOnlineFeatures } from './read-online-features.js';
import { readEntityFeatures } from './read-entity-features.js';
import { Json } from './scalars.js';

const REQUEST =
  'What on-demand features read of the request, by name, as `{ amount: 59.9 }`; those that are left out have their default.';
const PURPOSES =
  'What the answer is for, by keys of purposes, as `personalisation`; at most 10. Default: nothing is asked for.';
const IMPUTED =
  'Give missing values what the service imputes, with `imputed` and the status that they have; needs a service. What is `WITHHELD` stays null.';

@ArgsType()
class OnlineReading {
  @Field(() => Float, {
    nullable: true,
    description:
      'Values whose newest event is older than this, ms, are `OUTSIDE_MAX_AGE`. Default: only those beyond the ttl of their view.',
  })
  maxAgeMs?: number | null;

  @Field(() => Json, { nullable: true, description: REQUEST })
  request?: unknown;

  @Field(() => String, {
    nullable: true,
    description: 'What the features are about, if not people, as `item`; with `keys`, instead of `entities`.',
  })
  entity?: string | null;

  @Field(() => [String], {
    nullable: true,
    description: 'Keys of that entity, as `sku-1`; at most 500. Left out: people are asked about.',
  })
  keys?: string[] | null;

  @Field(() => Boolean, {
    defaultValue: false,
    description: IMPUTED,
  })
  imputed!: boolean;
}

@Resolver(() => Profile)
export class ProfileResolver {
  @Authorized('read')
  @Query(() => Profile, {
    nullable: true,
    description:
      'The profile with an id or an identifier; null if there is none, or if the person does not allow all `purposes`. A namespace in which nobody is known, and that is like one that there is, is refused with what may be meant (`BAD_REQUEST`).',
  })
  async profile(
    @Ctx() { reads }: ApiContext,
    @Arg('id', () => ID, {
      nullable: true,
      description:
        'Its id, or one that was merged into it, as `01900000-0000-7000-8000-000000000000`; or else an identifier.',
    })
    id: string | null | undefined,
    @Arg('identifier', () => IdentifierInput, {
      nullable: true,
      description: 'One of the names it is known by; or else an id.',
    })
    identifier: IdentifierInput | null | undefined,
    @Arg('purposes', () => [String], { nullable: true, description: PURPOSES })
    purposes: string[] | null | undefined,
  ): Promise<ProfileView | null> {
    const needed = neededPurposes(reads, purposes);
    const allowed = (view: ProfileView | null): ProfileView | null => (view?.allows(needed) === true ? view : null);
    if (typeof id === 'string' && !identifier) return allowed(await reads.profile(id));
    if (typeof id !== 'string' && identifier) {
      const { namespace, value } = identifier;
      const view = await reads.profileOf({ ns: namespace, value });
      if (view === null) await demandNamespace(reads, namespace);
      return allowed(view);
    }
    throw new WeftError('BAD_REQUEST', 'a profile is asked for by id or by identifier', {
      where: 'profile',
      hint: 'give exactly one of the two',
    });
  }

  @Authorized('read')
  @Query(() => String, {
    nullable: true,
    description:
      'Why nobody is known by an identifier, whatever events name it, as `blocked, by the rule: blocked mailbox "noreply"`; null: somebody may be. `profile` is null for such identifiers, unless they were known before.',
  })
  identifierRefusal(
    @Ctx() { services, reads }: ApiContext,
    @Arg('identifier', () => IdentifierInput, { description: 'What events would name somebody by.' })
    { namespace, value }: IdentifierInput,
  ): string | null {
    reads.countSingleRead('identifierRefusal');
    return refusalOf({ ns: namespace, value }, services.policy);
  }

  @Authorized('read')
  @Query(() => [OnlineFeatures], {
    description:
      'Features of many entities at once, as models read them; in the order asked. At most 500 entities. Of those who do ' +
      'not allow all `purposes` every feature is `WITHHELD`.',
  })
  async onlineFeatures(
    @Ctx() { reads }: ApiContext,
    @Arg('entities', () => [IdentifierInput], {
      nullable: true,
      description: 'Whose features; left out where `entity` and `keys` say which.',
    })
    entities: IdentifierInput[] | null | undefined,
    @Arg('features', () => [String], {
      nullable: true,
      description: 'Names of features, as `carts_24h`; all of them if neither these nor a service are given.',
    })
    names: string[] | null | undefined,
    @Arg('service', () => String, { nullable: true, description: 'A feature service, instead of names.' })
    service: string | null | undefined,
    @Arg('purposes', () => [String], { nullable: true, description: PURPOSES })
    purposes: string[] | null | undefined,
    @Args(() => OnlineReading) reading: OnlineReading,
  ): Promise<OnlineFeatures[]> {
    const { maxAgeMs, request, entity, keys: itemKeys, imputed } = reading;
    const impute = imputationsAsked(reads.definitions, service, imputed);
    if (typeof entity === 'string' || Array.isArray(itemKeys)) {
      const found = await readEntityFeatures(reads, {
        ...{ entity, keys: itemKeys, maxAgeMs, request },
        ...{ entities, purposes, names, service },
      });
      return found.map((row) => ({ ...row, features: row.features.map((feature) => withImputed(feature, impute)) }));
    }
    if (!Array.isArray(entities)) {
      const hint = 'name entities, as [{ namespace: "email", value: "ada@example.com" }], or an entity and its keys';
      throw new WeftError('BAD_REQUEST', 'nothing says whose features are asked for', { where: 'entities', hint });
    }
    const keys = entities.map(({ namespace, value }) => ({ ns: namespace, value }));
    const rows = await readOnlineFeatures(reads, keys, { names, service, purposes, maxAgeMs, request });
    return entities.map(({ namespace, value }, i) => ({
      entity: { namespace, value, isAsked: true },
      profileId: rows[i]?.profileId ?? null,
      features: (rows[i]?.features ?? []).map((feature) => withImputed(feature, impute)),
    }));
  }

  @FieldResolver(() => Json, {
    description: 'Traits by name; all of them unless names are given. Unknown ones are left out.',
  })
  traits(
    @Root() view: ProfileView,
    @Arg('names', () => [String], {
      nullable: true,
      description: 'Only the traits of these names, as `first_name`; all of them if left out.',
    })
    names: string[] | null | undefined,
  ): JsonObject {
    return view.traits(names);
  }

  @FieldResolver(() => [Feature], {
    description: 'Features as of the instant of the request; all unless some are named.',
  })
  features(
    @Root() view: ProfileView,
    @Arg('names', () => [String], {
      nullable: true,
      description: 'Names of features, as `carts_24h`; all of them if neither these nor a service are given.',
    })
    names: string[] | null | undefined,
    @Arg('service', () => String, { nullable: true, description: 'A feature service, instead of names.' })
    service: string | null | undefined,
    @Arg('request', () => Json, { nullable: true, description: REQUEST }) request: unknown,
    @Arg('imputed', () => Boolean, { defaultValue: false, description: IMPUTED }) isImputed: boolean,
  ): FeatureView[] {
    const impute = imputationsAsked(view.reads.definitions, service, isImputed);
    const asked = view.reads.index.select(names, service);
    const values = readRequestValues(
      asked.map(({ definition }) => definition),
      request,
    );
    const features = view.features(asked, [], values);
    return impute === null ? features : features.map((feature) => withImputed(feature, impute));
  }

  @FieldResolver(() => [SegmentMembership], {
    description: 'The segments that the profile belongs to, as the pipeline maintains them, by key.',
  })
  segments(@Root() view: ProfileView): MembershipView[] {
    return view.memberships();
  }

  @FieldResolver(() => SegmentMembership, {
    nullable: true,
    description:
      'Whether the profile belongs to a segment: as maintained by the pipeline, or evaluated now. Null if that cannot be told.',
  })
  membership(
    @Root() view: ProfileView,
    @Arg('segment', () => String, { description: 'Key of the segment.' }) segment: string,
    @Arg('evaluate', () => Evaluation, { defaultValue: 'LIVE', description: 'How to find out.' }) evaluate: string,
  ): MembershipView | Promise<MembershipView> {
    return evaluate === 'NOW' ? view.evaluatedMembership(segment) : view.liveMembership(segment);
  }

  @FieldResolver(() => Score, {
    nullable: true,
    description: 'What the active version of a model says, asked now; null if no version is active.',
  })
  score(
    @Root() view: ProfileView,
    @Arg('model', () => String, { description: 'Key of the model.' }) model: string,
    @Arg('request', () => Json, { nullable: true, description: REQUEST }) request: unknown,
  ): Promise<ScoreView> {
    return view.score(model, request);
  }
}

/** Somebody who is not known is an answer; a mistyped namespace is not. */
async function demandNamespace({ services }: ProfileView['reads'], namespace: string): Promise<void> {
  const near = await services.namespaces.nearest(namespace);
  if (near === null) return;
  throw new WeftError('BAD_REQUEST', `nobody is known by the namespace ${namespace.slice(0, 100)}`, {
    where: 'identifier.namespace',
    hint: `did you mean ${near}?`,
  });
}
