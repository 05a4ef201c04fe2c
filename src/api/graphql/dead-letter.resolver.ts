import { Arg, Authorized, Ctx, Field, Float, ID, InputType, Int, ObjectType, Query, Resolver } from 'type-graphql';
import type { DeadLetterStage, DeadLetterState } from '../../events/dead-letter.model.js';
import {
  DeadLetterReader,
  type DeadLetterFilter as ReaderFilter,
  type StoredDeadLetter,
} from '../../events/dead-letter.reader.js';
import type { JsonValue } from '../../events/event.model.js';
import { WeftError } from '../../platform/errors.js';
import { isUuid, type Uuid } from '../../platform/ids.js';
import { LoadReader } from '../../sources/load.reader.js';
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
import { DEAD_LETTER_CURSOR } from './cursors.js';
import { DeadLetterStageType, DeadLetterStateType } from './enums.js';
import { DateTime, Json } from './scalars.js';

@ObjectType('DeadLetter', {
  simpleResolvers: true,
  description: 'An input that was not taken, kept to be looked at. May hold personal data.',
})
export class DeadLetterType {
  @Field(() => ID, { description: 'What it is asked for, fixed and replayed by, as `1042`.' })
  id!: number;

  @Field(() => String, {
    nullable: true,
    description: 'Key of the source that it came from, as `web`; null if not known.',
  })
  source!: string | null;

  @Field(() => DeadLetterStateType, { description: 'What became of it.' })
  state!: DeadLetterState;

  @Field(() => DeadLetterStageType, { description: 'Where it was given up.' })
  stage!: DeadLetterStage;

  @Field(() => String, { description: 'Why, for programs.' })
  code!: string;

  @Field(() => String, { description: 'Why, for people.' })
  reason!: string;

  @Field(() => String, { nullable: true, description: 'Its message id, if it had one.' })
  messageId!: string | null;

  @Field(() => DateTime, { description: 'When it came in.' })
  receivedAt!: number;

  @Field(() => String, { nullable: true, description: 'Of stage `LOAD`: the name of the file.' })
  file!: string | null;

  @Field(() => Float, { nullable: true, description: 'Of stage `LOAD`: the number of the row, the header being 1.' })
  rowNumber!: number | null;

  @Field(() => String, {
    description:
      'How it came in, and so how a replay maps it: `call`, `batch_item`, `graphql`, `webhook`, `row`, `event`.',
  })
  form!: string;

  @Field(() => Json, {
    nullable: true,
    description: 'The JSON merge patch (RFC 7396) that a replay applies to what was handed in; null: none.',
  })
  fix!: JsonValue;

  @Field(() => DateTime, { nullable: true, description: 'When it was replayed or discarded; null while it is open.' })
  settledAt!: number | null;

  @Field(() => String, {
    description: 'What was handed in, JSON where it was; its first 8 KB, of `deadLetter` all of it, up to 64 KB.',
  })
  payload!: string;

  @Field(() => Boolean, { description: 'Whether the payload may lack its end.' })
  payloadIsCut!: boolean;
}

@InputType('DeadLetterFilter', { description: 'Which dead letters; what is left out is not asked for.' })
export class DeadLetterFilter {
  @Field(() => DeadLetterStateType, { nullable: true, description: 'What became of them; any if left out.' })
  state?: DeadLetterState | null;

  @Field(() => String, { nullable: true, description: 'Key of a source, as `web`; all sources if left out.' })
  source?: string | null;

  @Field(() => DeadLetterStageType, { nullable: true, description: 'Where they were given up; anywhere if left out.' })
  stage?: DeadLetterStage | null;

  @Field(() => String, { nullable: true, description: 'A code, such as `NO_IDENTIFIER`; any if left out.' })
  code?: string | null;

  @Field(() => DateTime, { nullable: true, description: 'Received then or later.' })
  since?: number | null;

  @Field(() => ID, {
    nullable: true,
    description: 'Id of a load whose rows they are, as `01900000-0000-7000-8000-000000000000`; of any if left out.',
  })
  load?: string | null;
}

const DeadLetterConnection = connectionTypes<DeadLetterType>(DeadLetterType, 'DeadLetter');

@Resolver()
export class DeadLetterResolver {
  @Authorized('admin')
  @Query(() => DeadLetterConnection, { description: 'Inputs that were not taken, the newest first.' })
  async deadLetters(
    @Ctx() { services, reads }: ApiContext,
    @Arg('filter', () => DeadLetterFilter, { nullable: true, description: 'Default: all.' })
    filter: DeadLetterFilter | null | undefined,
    @Arg('first', () => Int, { defaultValue: DEFAULT_PAGE_SIZE, description: FIRST }) first: number,
    @Arg('after', () => String, { nullable: true, description: AFTER }) after: string | null | undefined,
  ): Promise<Connection<Edge<DeadLetterType>>> {
    const limit = pageSize(first);
    reads.countSingleRead('deadLetters');
    const place = typeof after === 'string' ? DEAD_LETTER_CURSOR.decode(after) : null;
    const wanted = await readerFilter(services, filter ?? {});
    const letters = await new DeadLetterReader(services.db, services.sealer).page(wanted, place, limit + 1);
    const nodes = await lettersShown(services, letters);
    const edges = nodes.map((node) => ({
      cursor: DEAD_LETTER_CURSOR.encode({ receivedAt: node.receivedAt, id: node.id }),
      node,
    }));
    return connection(edges, limit, after);
  }

  @Authorized('admin')
  @Query(() => DeadLetterType, { nullable: true, description: 'One input that was not taken; null: there is none.' })
  async deadLetter(
    @Ctx() { services, reads }: ApiContext,
    @Arg('id', () => ID, { description: 'Id of the letter, as `1042`.' }) id: string,
  ): Promise<DeadLetterType | null> {
    reads.countSingleRead('deadLetter');
    const letter = await services.letters.find(letterId(id));
    if (letter === null) return null;
    const [shown] = await lettersShown(services, [letter]);
    return shown ?? null;
  }
}

/** The number of a letter; of what is none, one that no letter has. */
export function letterId(id: string): number {
  return /^\d{1,15}$/.test(id) ? Number(id) : 0;
}

export async function lettersShown(
  { db, sources }: ApiContext['services'],
  letters: readonly StoredDeadLetter[],
): Promise<DeadLetterType[]> {
  const loadIds = new Set(letters.flatMap(({ loadId }) => loadId ?? []));
  const files = await new LoadReader(db).fileNames([...loadIds]);
  const sourceIds = new Set(letters.flatMap(({ sourceId }) => sourceId ?? []));
  const found = await Promise.all([...sourceIds].map((id) => sources.findById(id)));
  const sourceKeys = new Map(found.flatMap((source) => (source === null ? [] : [[source.id, source.key] as const])));
  return letters.map(({ sourceId, loadId, isCut, form, ...letter }) => ({
    ...letter,
    form: form.kind,
    source: sourceId === null ? null : (sourceKeys.get(sourceId) ?? null),
    file: loadId === null ? null : (files.get(loadId) ?? null),
    payloadIsCut: isCut,
  }));
}

/** @throws WeftError NOT_FOUND */
export async function readerFilter(
  { db, sources }: ApiContext['services'],
  { state, source, stage, code, since, load }: DeadLetterFilter,
): Promise<ReaderFilter> {
  const found = typeof source === 'string' ? await sources.findByKey(source) : undefined;
  if (found === null) throw await sources.missing(source ?? '', 'filter.source');
  const loadId = load == null ? undefined : await demandLoad(db, load);
  return {
    ...(loadId === undefined ? undefined : { loadId }),
    ...(found === undefined ? undefined : { sourceId: found.id }),
    ...(state == null ? undefined : { state }),
    ...(stage == null ? undefined : { stage }),
    ...(code == null ? undefined : { code }),
    ...(since == null ? undefined : { sinceMs: since }),
  };
}

/** @throws WeftError NOT_FOUND */
async function demandLoad(db: ApiContext['services']['db'], id: string): Promise<Uuid> {
  if (isUuid(id) && (await new LoadReader(db).find(id)) !== null) return id;
  throw new WeftError('NOT_FOUND', 'there is no such load', {
    where: 'filter.load',
    hint: 'take the id of a load from loads, or from what weft load reports',
  });
}
