import { Kind, type FieldNode, type GraphQLResolveInfo, type SelectionSetNode } from 'graphql';
import type { ChangeFilter } from '../../activation/change-feed.reader.js';
import type { ChangePages } from '../../activation/change-hub.js';
import { WeftError } from '../../platform/errors.js';
import type { SegmentChange } from '../../segments/segment.model.js';
import { SegmentReader } from '../../segments/segment.reader.js';
import type { ApiContext } from './api-context.js';
import { askedChanges, isFor, type ChangesArgs } from './change-filter.js';
import { ChangeView } from './change-view.js';
import type { Reads } from './reads.js';

/** How long a subscriber goes on after its key was revoked, at most, while there are changes. */
const KEY_CHECK_MS = 10_000;
const MAX_UNCHECKED_MS = 60_000;

interface Asked {
  readonly filter: ChangeFilter;
  /** Keys of purposes. */
  readonly needed: readonly string[];
  readonly wantsProfile: boolean;
  readonly wantsEvidence: boolean;
}

/**
 * The changes that a subscription asks for, as they are shown. Iterated, it tells them for as long as it is asked; what
 * tells many subscribers alike takes it apart (`shared-changes.ts`).
 */
export class ChangeSource implements AsyncIterableIterator<ChangeView, void, undefined> {
  /** When the key was last seen to be valid, ms. */
  checkedAtMs: number;
  #pages: ChangePages | null = null;
  #running: AsyncGenerator<ChangeView, void, undefined> | null = null;
  #hasEnded = false;

  constructor(
    private readonly context: ApiContext,
    readonly asked: Asked,
    /** Position that they come behind; undefined: from now on. */
    readonly after: number | undefined,
  ) {
    this.checkedAtMs = context.services.clock.now();
  }

  next(): Promise<IteratorResult<ChangeView, void>> {
    this.#running ??= this.run(this.after);
    return this.#running.next();
  }

  async return(): Promise<IteratorReturnResult<void>> {
    // The generator waits within a page; ending the pages lets it hear its own return.
    this.#hasEnded = true;
    await this.#pages?.return?.();
    await this.#running?.return();
    return { done: true, value: undefined };
  }

  throw(): Promise<IteratorReturnResult<void>> {
    return this.return();
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  /**
   * Changes behind a position, until there are no more if `onCurrent` is given (see `ChangeHub`). Ends, too, when the key
   * is gone.
   */
  async *run(
    after: number | undefined,
    onCurrent?: (position: number) => void,
  ): AsyncGenerator<ChangeView, void, undefined> {
    if (this.#hasEnded) return;
    const pages = this.context.services.hub.subscribe({
      filter: this.asked.filter,
      ...(after === undefined ? {} : { after }),
      ...(onCurrent === undefined ? {} : { onCurrent }),
    });
    this.#pages = pages;
    for await (const page of pages) {
      const views = await this.viewsOf(page);
      if (views === null) return;
      yield* views;
    }
  }

  /**
   * What a page of changes shows now; null: the key is gone.
   * @throws WeftError CONFLICT where a segment does not ask for the purposes any more
   */
  async viewsOf(page: readonly SegmentChange[]): Promise<readonly ChangeView[] | null> {
    const { context } = this;
    const { needed, wantsProfile, wantsEvidence } = this.asked;
    const reads = context.freshReads();
    const uncheckedMs = reads.nowMs - this.checkedAtMs;
    if (uncheckedMs >= KEY_CHECK_MS) {
      const isValid = await context.isStillValid().catch((error: unknown) => unknownUntil(uncheckedMs, error));
      if (isValid === false) return null;
      if (isValid === true) this.checkedAtMs = reads.nowMs;
    }
    const views = await viewsOf(context, reads, page);
    demandPurposes(reads, views, needed);
    // One round trip for the page; each change is then executed by itself.
    await Promise.all([
      ...(wantsProfile ? views.map((view) => view.profile()) : []),
      ...(wantsEvidence ? views.map((view) => view.evidence()) : []),
    ]);
    return views;
  }
}

/** @throws WeftError CURSOR_INVALID, and as {@link askedChanges} */
export async function subscribeToChanges(
  context: ApiContext,
  args: ChangesArgs,
  info: GraphQLResolveInfo,
): Promise<ChangeSource> {
  const { after, filter, purposes: needed } = await askedChanges(context, args);
  if (after !== undefined && (after < 0 || after > (await context.services.feed.head()))) {
    throw new WeftError('CURSOR_INVALID', 'the cursor lies beyond the end of the feed', {
      where: 'after',
      hint: 'it comes from another installation; leave it out to begin now',
    });
  }
  const wants = { wantsProfile: selects(info, 'profile'), wantsEvidence: selects(info, 'evidence') };
  return new ChangeSource(context, { filter, needed, ...wants }, after);
}

/** A segment that was made a moment ago, elsewhere, may not be among the loaded ones yet; archived ones never are. */
export async function viewsOf(
  { services }: ApiContext,
  reads: Reads,
  changes: readonly SegmentChange[],
): Promise<ChangeView[]> {
  const loaded = reads.index.segmentsById;
  const ids = new Set(changes.map(({ segmentId }) => segmentId).filter((id) => !loaded.has(id)));
  const others = ids.size === 0 ? [] : await new SegmentReader(services.db).byIds([...ids]);
  const looked = new Map(others.map((segment) => [segment.id, segment]));
  return changes.flatMap((change) => {
    const segment = loaded.get(change.segmentId) ?? looked.get(change.segmentId);
    return segment === undefined ? [] : [new ChangeView(reads, change, segment)];
  });
}

/**
 * Nobody is cut off because keys cannot be looked up for a moment, as where a change is told to thousands at once: it is
 * asked again with the next page, for a minute.
 * @throws the error, where it is a defect or goes on
 */
function unknownUntil(uncheckedMs: number, error: unknown): null {
  const isPassing = error instanceof WeftError && (error.code === 'UNAVAILABLE' || error.code === 'OVERLOADED');
  if (isPassing && uncheckedMs < MAX_UNCHECKED_MS) return null;
  throw error;
}

/** A definition may have changed since. @throws WeftError CONFLICT */
function demandPurposes(reads: Reads, views: readonly ChangeView[], needed: readonly string[]): void {
  const other = views.find(({ kind, segment }) => kind === 'enter' && !isFor(reads, segment, needed));
  if (other === undefined) return;
  throw new WeftError(
    'CONFLICT',
    `the members of segment ${other.segment.key} need not allow ${needed.join(', ')} any more`,
    {
      where: 'purposes',
      hint: 'go on from the last cursor, without the segment or without the purpose',
    },
  );
}

/** Whether the subscription's field selects a field of this name, directly or by a fragment. */
function selects(info: GraphQLResolveInfo, name: string): boolean {
  const within = (set: SelectionSetNode | undefined): boolean =>
    set?.selections.some((selection) => {
      if (selection.kind === Kind.FIELD) return selection.name.value === name;
      if (selection.kind === Kind.INLINE_FRAGMENT) return within(selection.selectionSet);
      return within(info.fragments[selection.name.value]?.selectionSet);
    }) ?? false;
  return info.fieldNodes.some((node: FieldNode) => within(node.selectionSet));
}
