import { Arg, Args, ArgsType, Authorized, Ctx, Field, ID, Int, Mutation, ObjectType, Resolver } from 'type-graphql';
import { MAX_REPLAYED_LETTERS } from '../../events/dead-letter.service.js';
import { DeadLetterReader } from '../../events/dead-letter.reader.js';
import type { JsonValue } from '../../events/event.model.js';
import type { ReplayOutcome, ReplayStatus } from '../../events/remap-letter.model.js';
import { WeftError } from '../../platform/errors.js';
import type { ApiContext } from './api-context.js';
import { AFTER } from './connection.types.js';
import { DEAD_LETTER_CURSOR } from './cursors.js';
import { DeadLetterFilter, DeadLetterType, letterId, lettersShown, readerFilter } from './dead-letter.resolver.js';
import { ReplayStatusType } from './enums.js';
import { resultUnion } from './failure.types.js';
import { Json } from './scalars.js';

@ObjectType('ReplayOutcome', { simpleResolvers: true, description: 'What became of the replay of one dead letter.' })
class ReplayOutcomeType {
  @Field(() => ID, { description: 'The id of the letter, as `1042`.' })
  id!: number;

  @Field(() => ReplayStatusType, { description: 'What became of it.' })
  status!: ReplayStatus;

  @Field(() => String, { nullable: true, description: 'Why it is refused, for programs.' })
  code!: string | null;

  @Field(() => String, { nullable: true, description: 'Why it is refused, for people.' })
  reason!: string | null;

  @Field(() => String, { nullable: true, description: 'How to fix it; null if it was taken, or nothing is known.' })
  hint!: string | null;

  @Field(() => Json, {
    nullable: true,
    description: 'The event that its input is mapped to; null where it is to none.',
  })
  event!: unknown;
}

@ObjectType('DeadLetterReplay', { simpleResolvers: true, description: 'What became of a replay of dead letters.' })
class DeadLetterReplay {
  @Field(() => Int, { description: 'How many are in the log now; of a dry run: would be.' })
  accepted!: number;

  @Field(() => Int, { description: 'How many have message ids that were in the log already.' })
  duplicates!: number;

  @Field(() => Int, { description: 'How many were refused again.' })
  refused!: number;

  @Field(() => [ReplayOutcomeType], { description: 'Of each letter, the newest first; with `ids`, in their order.' })
  outcomes!: readonly ReplayOutcome[];

  @Field(() => String, {
    nullable: true,
    description:
      'With `filter`: there may be more, and the same call with this as `after` goes on; null: there are none.',
  })
  next!: string | null;
}

@ObjectType('DiscardedDeadLetters', { simpleResolvers: true, description: 'Dead letters that were discarded.' })
class DiscardedDeadLetters {
  @Field(() => Int, { description: 'How many of them were open and are discarded now.' })
  discarded!: number;

  @Field(() => Int, {
    description:
      'How many are being replayed, or were by a process that died within two minutes: they stay as they are.',
  })
  replaying!: number;

  @Field(() => Int, {
    description: 'How many turned out to be in the log, by a replay that could not say so: they are replayed now.',
  })
  replayed!: number;

  @Field(() => String, {
    nullable: true,
    description:
      'With `filter`: there may be more, and the same call with this as `after` goes on; null: there are none.',
  })
  next!: string | null;
}

const Fixed = resultUnion<DeadLetterType>('FixDeadLetterResult', { type: DeadLetterType, name: 'DeadLetter' }, [
  'NotFound',
  'Conflict',
  'PayloadTooLarge',
]);
const Replayed = resultUnion<DeadLetterReplay>(
  'ReplayDeadLettersResult',
  { type: DeadLetterReplay, name: 'DeadLetterReplay' },
  ['BadRequest', 'NotFound', 'PayloadTooLarge'],
);
const Discarded = resultUnion<DiscardedDeadLetters>(
  'DiscardDeadLettersResult',
  { type: DiscardedDeadLetters, name: 'DiscardedDeadLetters' },
  ['BadRequest', 'NotFound', 'PayloadTooLarge'],
);

const MOST = `At most ${String(MAX_REPLAYED_LETTERS)}.`;
const IDS = `Ids of letters; either these or \`filter\`. ${MOST}`;
const FILTER = 'Which open letters, the newest first; either this or `ids`.';
const FIRST = `With \`filter\`: how many of them. ${MOST}`;

interface Chosen {
  readonly ids: readonly number[];
  readonly next: string | null;
}

@ArgsType()
class ChoiceArguments {
  @Field(() => [ID], { nullable: true, description: IDS })
  ids?: string[] | null;

  @Field(() => DeadLetterFilter, { nullable: true, description: FILTER })
  filter?: DeadLetterFilter | null;

  @Field(() => Int, { defaultValue: 100, description: FIRST })
  first!: number;

  @Field(() => String, { nullable: true, description: AFTER })
  after?: string | null;
}

@ArgsType()
class ReplayArguments extends ChoiceArguments {
  @Field(() => Json, {
    nullable: true,
    description: 'A JSON merge patch that is added to the fix of each; none if left out.',
  })
  fix?: JsonValue;

  @Field(() => Boolean, { defaultValue: false, description: 'Only says what would become of each.' })
  dryRun!: boolean;

  @Field(() => String, {
    nullable: true,
    description: 'For rows of a file: the text of a mapping file, in place of the one that it was loaded with.',
  })
  mapping?: string | null;
}

@Resolver()
export class DeadLetterRepairResolver {
  @Authorized('admin')
  @Mutation(() => Fixed.type, {
    description:
      'Adds a JSON merge patch to the fix of an open dead letter, which a replay applies. Changes nothing else.',
  })
  fixDeadLetter(
    @Ctx() { services }: ApiContext,
    @Arg('id', () => ID, { description: 'Id of the letter, as `1042`.' }) id: string,
    @Arg('fix', () => Json, {
      nullable: true,
      description: 'Such as `{ "properties": { "amount": 12 } }`; null in it removes a field. Null: no fix at all.',
    })
    fix: JsonValue | undefined,
  ): Promise<unknown> {
    return Fixed.attempt(async () => {
      const [shown] = await lettersShown(services, [await services.letters.fix(letterId(id), fix ?? null)]);
      if (shown === undefined) throw new Error('a letter that is there is not shown');
      return shown;
    });
  }

  @Authorized('admin')
  @Mutation(() => Replayed.type, {
    description:
      'Maps dead letters again, with their fixes, and accepts what comes of them, each once however often this is called.',
  })
  replayDeadLetters(
    @Ctx() { services }: ApiContext,
    @Args(() => ReplayArguments) { fix, dryRun, mapping, ...choice }: ReplayArguments,
  ): Promise<unknown> {
    return Replayed.attempt(async () => {
      const chosen = await choose(services, choice);
      const outcomes = await services.letters.replay(chosen.ids, {
        dryRun,
        ...(fix == null ? undefined : { fix }),
        ...(mapping == null ? undefined : { mapping }),
      });
      const count = (status: ReplayStatus): number => outcomes.filter((outcome) => outcome.status === status).length;
      return {
        accepted: count('accepted'),
        duplicates: count('duplicate'),
        refused: count('refused'),
        outcomes,
        next: chosen.next,
      };
    });
  }

  @Authorized('admin')
  @Mutation(() => Discarded.type, { description: 'Closes dead letters that nobody wants. They stay on record.' })
  discardDeadLetters(
    @Ctx() { services }: ApiContext,
    @Args(() => ChoiceArguments) choice: ChoiceArguments,
  ): Promise<unknown> {
    return Discarded.attempt(async () => {
      const chosen = await choose(services, choice);
      return { ...(await services.letters.discard(chosen.ids)), next: chosen.next };
    });
  }
}

/** @throws WeftError BAD_REQUEST, NOT_FOUND */
async function choose(
  services: ApiContext['services'],
  { ids, filter, first, after }: ChoiceArguments,
): Promise<Chosen> {
  if ((ids == null) === (filter == null)) {
    throw new WeftError('BAD_REQUEST', 'say which dead letters, in one way', {
      where: 'ids',
      hint: 'give either ids or filter; an empty filter stands for all',
    });
  }
  if (ids != null) return { ids: ids.map(letterId), next: null };
  if (first < 1 || first > MAX_REPLAYED_LETTERS) {
    throw new WeftError('BAD_REQUEST', `first is not between 1 and ${String(MAX_REPLAYED_LETTERS)}`, {
      where: 'first',
    });
  }
  const wanted = { ...(await readerFilter(services, filter ?? {})), state: 'open' } as const;
  const place = typeof after === 'string' ? DEAD_LETTER_CURSOR.decode(after) : null;
  const letters = await new DeadLetterReader(services.db, services.sealer).page(wanted, place, first);
  const last = letters.at(-1);
  return {
    ids: letters.map(({ id }) => id),
    next:
      last === undefined || letters.length < first
        ? null
        : DEAD_LETTER_CURSOR.encode({ receivedAt: last.receivedAt, id: last.id }),
  };
}
