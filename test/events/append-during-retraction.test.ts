import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { PreparedEvent } from '../../src/events/event-log.model.js';
import type { AcceptResult } from '../../src/events/event.model.js';
import { hashId } from '../../src/platform/ids.js';
import { aLoad } from '../support/retraction-builders.js';
import { aTrack, createWorld, type World } from '../support/world.js';

const SOURCE = { id: 1, key: 'web' };

describe('an event with the message id of one that is being taken back', () => {
  let world: World;

  beforeEach(async () => {
    world = await createWorld();
    await world.accept([], { source: 'web' });
  });

  afterEach(() => world.close());

  const live = (...messageIds: string[]): Promise<AcceptResult[]> =>
    world.engine.accept.accept(
      SOURCE,
      messageIds.map((messageId) => aTrack('view', { user_id: 'ann' }, { messageId })),
      { historical: false },
    );
  const logged = async (): Promise<string[]> =>
    (
      await world.engine.log.readBatch({ afterPos: 0, parts: [...Array(16).keys()], limit: 100, maxBytes: 2 ** 20 })
    ).events
      .map(({ messageId }) => messageId)
      .sort();
  const statuses = (results: readonly AcceptResult[]): string[] => results.map(({ status }) => status);

  it('is put off while a load is reverted, with what came beside it, and taken once that is done', async () => {
    const loadId = await aLoad(world.db, 'orders');
    await world.engine.accept.accept(SOURCE, [aTrack('buy', { user_id: 'ann' }, { messageId: 'o1' })], {
      historical: true,
      loadId,
    });
    await world.drain();
    expect(statuses(await live('o1'))).toEqual(['duplicate']);

    const { id } = await world.engine.retractions.takeBackLoad(loadId);
    await expect(live('new', 'o1')).rejects.toMatchObject({ code: 'UNAVAILABLE' });
    await expect(live('o1')).rejects.toMatchObject({ code: 'UNAVAILABLE', retryAfterMs: 2_000 });
    await world.drain();
    expect((await world.engine.retractions.done(id)).status).toBe('done');

    expect(statuses(await live('new', 'o1'))).toEqual(['duplicate', 'accepted']);
    expect(await logged()).toEqual(['new', 'o1']);
  });

  it('of another load is put off, and taken by that one once the first is reverted', async () => {
    const [first, second] = [await aLoad(world.db, 'first'), await aLoad(world.db, 'second')];
    const send = (loadId: string, ...messageIds: string[]) =>
      world.engine.accept.accept(
        SOURCE,
        messageIds.map((messageId) => aTrack('buy', { user_id: 'ann' }, { messageId })),
        { historical: true, loadId },
      );
    await send(first, 'o1', 'o2');
    await world.drain();
    expect(statuses(await send(second, 'o1', 'o3'))).toEqual(['duplicate', 'accepted']);
    const { id } = await world.engine.retractions.takeBackLoad(first);
    await expect(send(second, 'o1', 'o4')).rejects.toMatchObject({ code: 'UNAVAILABLE' });
    const reverted = {
      code: 'CONFLICT',
      where: first,
      message: expect.stringContaining('the load is being reverted') as string,
    };
    await expect(send(first, 'o1')).rejects.toMatchObject(reverted);
    await expect(send(first, 'o5')).rejects.toMatchObject(reverted);
    await world.drain();
    await world.engine.retractions.done(id);
    await expect(send(first, 'o1')).rejects.toMatchObject(reverted);
    expect(statuses(await send(second, 'o1', 'o3'))).toEqual(['accepted', 'duplicate']);
    expect(await logged()).toEqual(['o1', 'o3', 'o4']);
  });

  it('of appends of several loads and of none is told each as what it is', async () => {
    const [first, second] = [await aLoad(world.db, 'first'), await aLoad(world.db, 'second')];
    const prepared = (messageId: string, loadId?: string): PreparedEvent => ({
      sourceId: 1,
      dedupeId: hashId(messageId),
      anchorId: hashId('ann'),
      identifiers: [],
      occurredAt: world.clock.now(),
      rulesVersion: 1,
      historical: true,
      payload: Buffer.from(messageId),
      ...(loadId === undefined ? {} : { loadId }),
    });
    const { log, retractions } = world.engine;
    await log.append([prepared('a', first), prepared('b', second), prepared('c')]);
    await retractions.takeBackLoad(first);
    const appended = ['a', 'b', 'c', 'new'].flatMap((id) => [prepared(id, first), prepared(id, second), prepared(id)]);
    expect(await log.append(appended)).toEqual(
      [
        ['load_reverted', 'withheld', 'withheld'],
        ['load_reverted', 'duplicate', 'duplicate'],
        ['load_reverted', 'duplicate', 'duplicate'],
        ['load_reverted', 'appended', 'duplicate'],
      ].flat(),
    );
  });

  it('is put off while single events are taken back; others are duplicates as ever', async () => {
    await live('a', 'b');
    await world.drain();
    const { id } = await world.engine.retractions.takeBackMessages(SOURCE, ['a']);
    expect(statuses(await live('b'))).toEqual(['duplicate']);
    await expect(live('a')).rejects.toMatchObject({ code: 'UNAVAILABLE' });
    await world.drain();
    await world.engine.retractions.done(id);
    expect(statuses(await live('a', 'b'))).toEqual(['accepted', 'duplicate']);
    expect(await logged()).toEqual(['a', 'b']);
  });
});
