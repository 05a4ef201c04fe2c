import {
  Arg,
  Args,
  ArgsType,
  Authorized,
  Ctx,
  Field,
  FieldResolver,
  ID,
  Int,
  Mutation,
  Query,
  Resolver,
  Root,
} from 'type-graphql';
import type { ConsentStatus } from '../../events/consent-context.model.js';
import type { EventSource } from '../../events/accept.model.js';
import { WeftError } from '../../platform/errors.js';
import { nameHint } from '../../platform/near-names.js';
import { wordGiven } from '../../profiles/consent.model.js';
import { ConsentService, type ConsentTarget } from '../../profiles/consent.service.js';
import type { PurposeDefinition } from '../../profiles/purpose.model.js';
import { PurposeReader } from '../../profiles/purpose.reader.js';
import type { ApiContext } from './api-context.js';
import { consentTargets } from './consent-targets.js';
import { AFTER, DEFAULT_PAGE_SIZE, FIRST, pageByKey, type Connection, type Edge } from './connection.types.js';
import {
  Consent,
  ConsentSet,
  ConsentStatusType,
  ConsentWordConnection,
  PurposeConnection,
  type ConsentWordView,
} from './consent.types.js';
import { PURPOSE_CURSOR } from './cursors.js';
import { pageOfHistory } from './event-history.js';
import { sourceOf } from './ingest.resolver.js';
import type { ConsentView, ProfileView } from './profile-view.js';
import { IdentifierInput, Profile } from './profile.types.js';
import { DateTime } from './scalars.js';

@ArgsType()
class SetConsentArgs {
  @Field(() => String, { description: 'Key of the purpose, as `personalisation`.' })
  purpose!: string;

  @Field(() => ConsentStatusType, { description: 'What is said.' })
  status!: ConsentStatus;

  @Field(() => String, {
    description: 'Key of the source that it comes from, as `web`; a key that is not admin has only its own.',
  })
  source!: string;

  @Field(() => IdentifierInput, {
    nullable: true,
    description: 'A name of the person, known already or not; or else the id of a profile.',
  })
  identifier?: IdentifierInput | null;

  @Field(() => ID, {
    nullable: true,
    description:
      'Id of the profile, as `01900000-0000-7000-8000-000000000000`, for keys that may read; or else an identifier.',
  })
  id?: string | null;

  @Field(() => DateTime, {
    nullable: true,
    description: 'From when on it counts no more; left out: as the purpose says.',
  })
  expiresAt?: number | null;
}

@Resolver(() => Profile)
export class ConsentResolver {
  @Authorized('read')
  @Query(() => PurposeConnection, {
    description: 'The purposes that data of people may be used for, by key. Files that `weft apply` takes define them.',
  })
  purposes(
    @Ctx() { reads }: ApiContext,
    @Arg('first', () => Int, { defaultValue: DEFAULT_PAGE_SIZE, description: FIRST }) first: number,
    @Arg('after', () => String, { nullable: true, description: AFTER }) after: string | null | undefined,
  ): Connection<Edge<PurposeDefinition>> {
    return pageByKey([...reads.definitions.purposes.values()], ({ key }) => key, PURPOSE_CURSOR, { first, after });
  }

  @FieldResolver(() => [Consent], {
    description: 'What the person allows: every purpose that is declared, by key; at most 50.',
  })
  consents(@Root() view: ProfileView): ConsentView[] {
    return view.consents();
  }

  @Authorized('ingest')
  @Mutation(() => ConsentSet.type, {
    description:
      'Takes down what somebody says of a purpose, as of now. When it answers, that is durable. A denial counts for all ' +
      'names that the person has, whatever is taken apart later; a grant hangs on the identifier that it is given for.',
  })
  setConsent(
    @Ctx() context: ApiContext,
    @Args(() => SetConsentArgs) { purpose, status, source: sourceKey, identifier, id, expiresAt }: SetConsentArgs,
  ): Promise<unknown> {
    const { services, principal } = context;
    return ConsentSet.attempt(async () => {
      const source = await sourceOf(context, sourceKey);
      await demandPurpose(context, purpose);
      if (typeof expiresAt === 'number' && expiresAt <= services.clock.now()) {
        throw new WeftError('BAD_REQUEST', 'the consent would have run out already', {
          where: 'expiresAt',
          hint: 'give a time to come, or deny the purpose',
        });
      }
      const word = { purpose, status, expiresAt: expiresAt ?? null };
      const given = {
        ...word,
        identifiers: await targetsOf(context, status === 'denied' ? null : source, id, identifier),
      };
      services.limits.admitEvents(principal, source, ConsentService.eventCount(given));
      return { ...word, events: await services.consents.give(source, given) };
    });
  }
}

@Resolver(() => Consent)
export class ConsentHistoryResolver {
  @FieldResolver(() => ConsentWordConnection, {
    description:
      'What was said of the purpose, newest first, as far as the log goes. A page looks at no more than 2,500 events of ' +
      'the profile, so it may have fewer items than asked for, even none, and a next page all the same.',
  })
  history(
    @Root() { purpose, profile }: ConsentView,
    // Fewer than in other lists: histories stand within lists of profiles.
    @Arg('first', () => Int, { defaultValue: 10, description: FIRST }) first: number,
    @Arg('after', () => String, { nullable: true, description: AFTER }) after: string | null | undefined,
  ): Promise<Connection<Edge<ConsentWordView>>> {
    const { traitRules, sourceKeys } = profile.reads.definitions;
    return pageOfHistory(profile, { first, after }, (event) => {
      const word = wordGiven(event, purpose, traitRules.consents);
      if (word === null) return [];
      const { messageId, occurredAt, acceptedAt, sourceId } = event;
      return [{ ...word, source: sourceKeys.get(sourceId) ?? '', messageId, occurredAt, acceptedAt }];
    });
  }
}

/** @throws WeftError NOT_FOUND */
async function demandPurpose({ services }: ApiContext, purpose: string): Promise<void> {
  const known = await new PurposeReader(services.db).keys();
  if (known.has(purpose)) return;
  throw new WeftError('NOT_FOUND', `there is no purpose ${purpose.slice(0, 100)}`, {
    where: 'purpose',
    hint: nameHint(purpose, known, 'declare it first, under purposes in a file that weft apply takes'),
  });
}

/** All names of the person, the one that was given first; where it is by id, the one that events would hang on. */
async function targetsOf(
  context: ApiContext,
  origin: EventSource | null,
  id: string | null | undefined,
  identifier: IdentifierInput | null | undefined,
): Promise<ConsentTarget[]> {
  if ((typeof id === 'string') === (identifier != null)) {
    throw new WeftError('BAD_REQUEST', 'a profile is named by its id or by an identifier', {
      where: 'id',
      hint: 'give exactly one of the two',
    });
  }
  const { reads, services } = context;
  if (identifier == null) context.demand(['read']);
  const named = identifier == null ? null : { ns: identifier.namespace, value: identifier.value };
  const profile = named === null ? await reads.profile(id ?? '') : await reads.profileOf(named);
  if (profile !== null) return consentTargets(services.policy, profile, named, origin);
  if (named !== null) return [{ ...named, isStanding: false }];
  throw new WeftError('NOT_FOUND', 'there is no such profile', { where: 'id' });
}
