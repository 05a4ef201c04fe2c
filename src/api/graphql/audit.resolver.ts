import { Arg, Authorized, Ctx, Field, Float, ID, InputType, Int, ObjectType, Query, Resolver } from 'type-graphql';
import { ACTOR_KINDS, AUDIT_KINDS, type ActorKind, type AuditKind } from '../../audit/audit-entry.model.js';
import type { ApiContext } from './api-context.js';
import {
  AFTER,
  connection,
  connectionTypes,
  DEFAULT_PAGE_SIZE,
  FIRST,
  pageSize,
  type Connection,
  type Edge,
} from './connection.types.js';
import { AUDIT_CURSOR } from './cursors.js';
import { enumOf } from './enums.js';
import { DateTime } from './scalars.js';

const AuditKindType = enumOf('AuditKind', 'What an entry of the audit log is about.', AUDIT_KINDS, {
  access: 'Personal data was shown.',
  change: 'Somebody administered something, or tried to.',
});

const ActorKindType = enumOf('AuditActorKind', 'How somebody came.', ACTOR_KINDS, {
  key: 'With an API key.',
  person: 'With a token of the issuer.',
  user: 'On the command line.',
  weft: 'Not at all: Weft did it itself.',
});

@ObjectType('AuditActor', { simpleResolvers: true, description: 'Who did what an entry tells of.' })
class AuditActorType {
  @Field(() => ActorKindType, { description: 'How they came.' })
  kind!: ActorKind;

  @Field(() => ID, {
    description:
      'Id of the key, as `01900000-0000-7000-8000-000000000000`; of a person `oidc:` and a hash of issuer and subject; of a user their name.',
  })
  id!: string;

  @Field(() => String, { description: 'Name of the key at that time, as `shop website`; else the id.' })
  name!: string;
}

@ObjectType('AuditEntry', {
  simpleResolvers: true,
  description: 'Who saw personal data, or changed something, and when; never what the data said.',
})
class AuditEntryType {
  @Field(() => Float, { description: 'Its number, from 1, without gaps.' })
  seq!: number;

  @Field(() => DateTime, { description: 'When it was written: changes at once, accesses up to some seconds later.' })
  at!: number;

  @Field(() => AuditKindType, { description: 'Whether something was shown or changed.' })
  kind!: AuditKind;

  @Field(() => AuditActorType, { description: 'Who did it: a key, a person or a user.' })
  actor!: AuditActorType;

  @Field(() => String, {
    description: 'What was called: `Query.profile`, `Mutation.eraseProfile`, `weft keys create`; several with `, `.',
  })
  operation!: string;

  @Field(() => [String], {
    description: 'Fields of personal data that were asked for, each once, as `Profile.traits`.',
  })
  fields!: readonly string[];

  @Field(() => [String], {
    description:
      'Ids and keys of what was seen or changed, as those of profiles, sources, keys and receipts; at most 100.',
  })
  targets!: readonly string[];

  @Field(() => Int, { description: 'How many reads or page views the entry stands for; 1 for changes.' })
  count!: number;

  @Field(() => String, { description: '`OK`; `MASKED`: seen without the scope `pii`; or the code of an error.' })
  outcome!: string;

  @Field(() => String, {
    description: 'Hash of the entry and of the one before it, 64 hexadecimal digits, as `9f86d081…`.',
  })
  hash!: string;
}

@InputType('AuditLogFilter', { description: 'Which entries; what is left out is not asked for.' })
class AuditLogFilter {
  @Field(() => AuditKindType, { nullable: true, description: 'Accesses or changes; both if left out.' })
  kind?: AuditKind | null;

  @Field(() => ID, {
    nullable: true,
    description: 'Id of an actor, as `01900000-0000-7000-8000-000000000000`; anybody if left out.',
  })
  actor?: string | null;

  @Field(() => String, { nullable: true, description: 'An operation, as `Mutation.eraseProfile`; any if left out.' })
  operation?: string | null;

  @Field(() => ID, {
    nullable: true,
    description:
      'What was seen or changed, by id or key, as `01900000-0000-7000-8000-000000000000`; anything if left out.',
  })
  target?: string | null;

  @Field(() => DateTime, { nullable: true, description: 'Written then or later.' })
  since?: number | null;

  @Field(() => DateTime, { nullable: true, description: 'Written before; up to now if left out.' })
  until?: number | null;
}

const AuditLogConnection = connectionTypes<AuditEntryType>(AuditEntryType, 'AuditEntry');

@Resolver()
export class AuditResolver {
  @Authorized('admin')
  @Query(() => AuditLogConnection, {
    description: 'Who saw personal data and who changed what, the newest first. `weft audit verify` checks the chain.',
  })
  async auditLog(
    @Ctx() { services, reads }: ApiContext,
    @Arg('filter', () => AuditLogFilter, { nullable: true, description: 'Default: all.' })
    filter: AuditLogFilter | null | undefined,
    @Arg('first', () => Int, { defaultValue: DEFAULT_PAGE_SIZE, description: FIRST }) first: number,
    @Arg('after', () => String, { nullable: true, description: AFTER }) after: string | null | undefined,
  ): Promise<Connection<Edge<AuditEntryType>>> {
    const limit = pageSize(first);
    reads.countSingleRead('auditLog');
    const beforeSeq = typeof after === 'string' ? AUDIT_CURSOR.decode(after).seq : null;
    const { kind, actor, operation, target, since, until } = filter ?? {};
    const wanted = {
      ...(kind == null ? {} : { kind }),
      ...(actor == null ? {} : { actor }),
      ...(operation == null ? {} : { operation }),
      ...(target == null ? {} : { target }),
      ...(since == null ? {} : { sinceMs: since }),
      ...(until == null ? {} : { untilMs: until }),
    };
    const entries = await services.auditLog.page(wanted, beforeSeq, limit + 1);
    const edges = entries.map(({ hash, ...entry }) => ({
      cursor: AUDIT_CURSOR.encode({ seq: entry.seq }),
      node: { ...entry, hash: hash.toString('hex') },
    }));
    return connection(edges, limit, after);
  }
}
