import { expect, it } from 'vitest';
import type { EventSource } from '../events/accept.model.js';
import type { AcceptResult } from '../events/event.model.js';
import { ConsentService } from './consent.service.js';

it('a denial of which a part is refused fails, whichever part it is', async () => {
  const results: AcceptResult[] = [
    { status: 'accepted' },
    { status: 'refused', code: 'NO_IDENTIFIER', reason: 'no identifier is usable' },
  ];
  const source: EventSource = { id: 1, key: 'web' };
  const asked: EventSource[] = [];
  const service = new ConsentService({
    accept: {
      accept: (from) => {
        asked.push(from);
        return Promise.resolve(results);
      },
    },
  });
  const identifiers = ['a', 'b'].map((value) => ({ ns: 'user_id', value, isStanding: true }));
  const given = { purpose: 'mail', status: 'denied' as const, expiresAt: null, identifiers };
  await expect(service.give(source, given)).rejects.toMatchObject({
    code: 'BAD_REQUEST',
    message: 'the consent is refused in part: no identifier is usable',
  });
  expect(asked).toEqual([{ ...source, authenticated: true }]);
});
