import { describe } from 'vitest';
import { systemClock } from '../../src/platform/clock.js';
import { MemoryOnlineStore } from '../../src/profiles/online-store.memory.js';
import { TimedOnlineStore } from '../../src/profiles/online-store.timed.js';
import { onlineStoreContract } from './online-store.contract.js';

describe('the online store in the process', () => {
  onlineStoreContract(() => Promise.resolve(new MemoryOnlineStore({ maxBytes: 64_000_000, clock: systemClock })));
});

describe('an online store whose answers are waited for only so long', () => {
  onlineStoreContract(() => {
    const inner = new MemoryOnlineStore({ maxBytes: 64_000_000, clock: systemClock });
    return Promise.resolve(new TimedOnlineStore(inner, systemClock));
  });
});
