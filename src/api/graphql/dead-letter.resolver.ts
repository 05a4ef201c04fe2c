import { Arg, Authorized, Ctx, Field, Float, ID, InputType, Int, ObjectType, Query, Resolver } from 'type-graphql';
import type { DeadLetterStage } from '../../events/dead-letter.model.js';
import { DeadLetterReader, type DeadLetterFilter as ReaderFilter } from '../../events/dead-letter.reader.js';
import { WeftError } from '../../platform/errors.js';
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
import { DeadLetterStageType } from './enums.js';
import { DateTime } from './scalars.js';

@ObjectType('DeadLetter', {
  simpleResolvers: true,
  description: 'An input that was not taken, kept to be looked at. May hold personal data.',
})
class DeadLetterType {
  @Field(() => ID, { description: 'Its id.' })
  id!: number;

  @Field(() => String, { nullable: true, description: 'Key of the source that it came from; null if not known.' })
  source!: string | null;

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

  @Field(() => String, { description: 'What was handed in, JSON where it was; its first 8 KB.' })
  payload!: string;

  @Field(() => Boolean, { description: 'Whether the payload may lack its end.' })
  payloadIsCut!: boolean;
}

@InputType('DeadLetterFilter', { description: 'Which dead letters; what is left out is not asked for.' })
class DeadLetterFilter {
  @Field(() => String, { nullable: true, description: 'Key of a source.' })
  source?: string | null;

  @Field(() => DeadLetterStageType, { nullable: true, description: 'Where they were given up.' })
  stage?: DeadLetterStage | null;

  @Field(() => String, { nullable: true, description: 'A code, such as `NO_IDENTIFIER`.' })
  code?: string | null;

  @Field(() => DateTime, { nullable: true, description: 'Received then or later.' })
  since?: number | null;
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
    const wanted = await readerFilter(services.sources, filter ?? {});
    const letters = await new DeadLetterReader(services.db).page(wanted, place, limit + 1);
    const loadIds = new Set(letters.flatMap(({ loadId }) => loadId ?? []));
    const files = await new LoadReader(services.db).fileNames([...loadIds]);
    const sourceIds = new Set(letters.flatMap(({ sourceId }) => sourceId ?? []));
    const sources = await Promise.all([...sourceIds].map((id) => services.sources.findById(id)));
    const sourceKeys = new Map(
      sources.flatMap((source) => (source === null ? [] : [[source.id, source.key] as const])),
    );
    const edges = letters.map(({ sourceId, loadId, isCut, ...letter }) => ({
      cursor: DEAD_LETTER_CURSOR.encode({ receivedAt: letter.receivedAt, id: letter.id }),
      node: {
        ...letter,
        source: sourceId === null ? null : (sourceKeys.get(sourceId) ?? null),
        file: loadId === null ? null : (files.get(loadId) ?? null),
        payloadIsCut: isCut,
      },
    }));
    return connection(edges, limit, after);
  }
}

async function readerFilter(
  sources: ApiContext['services']['sources'],
  { source, stage, code, since }: DeadLetterFilter,
): Promise<ReaderFilter> {
  const found = typeof source === 'string' ? await sources.findByKey(source) : undefined;
  if (found === null) {
    throw new WeftError('NOT_FOUND', `there is no source ${source?.slice(0, 100) ?? ''}`, {
      where: 'filter.source',
      hint: 'list the sources',
    });
  }
  return {
    ...(found === undefined ? undefined : { sourceId: found.id }),
    ...(stage == null ? undefined : { stage }),
    ...(code == null ? undefined : { code }),
    ...(since == null ? undefined : { sinceMs: since }),
  };
}
