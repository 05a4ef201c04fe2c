import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { JsonValue } from '../../events/event.model.js';
import { RootSecret } from '../../platform/installation-secret.js';
import { ITEMS_PER_TURN } from './json.adapter.js';
import { openWebhook, secretPurpose } from './open-webhook.js';
import type { TextReader } from '../../platform/text-reader.js';
import type { StoredWebhook } from './webhook.store.js';

const ITEMS = 500;
const secret = new RootSecret(Buffer.from('the secret of a test'));

const MAPPING = `
source: hook
format: jsonl
key: '{id}'
identifiers: { email: email }
event: { type: track, name: Review Posted }
properties: { text: text }
`;

const hookOf = (more: Pick<StoredWebhook, 'adapter' | 'options'>) => {
  const sealed = secret.seal(secretPurpose(1, 'signing'), Buffer.from('shared with the sender'));
  const secrets = [{ purpose: 'signing' as const, sealed, createdAt: 0, expiresAt: null }];
  return openWebhook({ sourceId: 1, key: 'hook', createdAt: 0, secrets, ...more }, secret);
};

const items = <T>(make: (id: string) => T): T[] => Array.from({ length: ITEMS }, (_, i) => make(String(i)));

/** Turns of the event loop so far. */
let turn = 0;
let ticking: NodeJS.Immediate;

beforeEach(() => {
  const tick = (): void => {
    turn++;
    ticking = setImmediate(tick);
  };
  tick();
});

afterEach(() => {
  clearImmediate(ticking);
});

describe('mapping a long delivery', () => {
  const json = hookOf({ adapter: 'json', options: { keepMessages: false, mapping: MAPPING, textProperty: 'text' } });
  const meta = hookOf({ adapter: 'meta', options: { keepMessages: false } });
  const comment = (id: string) => ({
    field: 'feed',
    value: { item: 'comment', verb: 'add', comment_id: id, post_id: '1', from: { id: '2' }, message: `text ${id}` },
  });

  it.each<[string, typeof json, JsonValue]>([
    ['json', json, items((id) => ({ id, email: 'ann@example.com', text: `text ${id}` }))],
    ['meta', meta, { object: 'page', entry: [{ id: '1', changes: items(comment) }] }],
  ])('lets others have their turn between the items of %s, and keeps their order', async (_, hook, body) => {
    const readIn = new Map<number, number>();
    const reader: TextReader = {
      read: () => {
        readIn.set(turn, (readIn.get(turn) ?? 0) + 1);
        return { language: null, sentiment: null };
      },
    };
    const { events, unmapped } = await hook.map(body, reader);
    expect(unmapped).toEqual([]);
    expect(events.map(({ properties }) => properties?.['text'])).toEqual(items((id) => `text ${id}`));
    expect([...readIn.values()].reduce((sum, each) => sum + each, 0)).toBe(ITEMS);
    expect(Math.max(...readIn.values())).toBeLessThanOrEqual(2 * ITEMS_PER_TURN);
  });

  it('keeps deliveries apart that are mapped beside each other', async () => {
    const reader: TextReader = { read: () => ({ language: null, sentiment: null }) };
    const bodyOf = (who: string): JsonValue =>
      items((id) => ({ id: `${who}${id}`, email: `${who}@example.com`, text: who }));
    const [ann, bo] = await Promise.all(['ann', 'bo'].map((who) => json.map(bodyOf(who), reader)));
    expect(ann?.events.map(({ properties }) => properties?.['text'])).toEqual(items(() => 'ann'));
    expect(bo?.events.map(({ messageId }) => messageId)).toEqual(items((id) => `bo${id}`));
  });
});
