import { describe } from 'vitest';
import { systemClock } from '../../src/platform/clock.js';
import { MemoryOnlineStore } from '../../src/profiles/online-store.memory.js';
import { onlineStoreContract } from './online-store.contract.js';

describe('the online store in the process', () => {
  onlineStoreContract(() => Promise.resolve(new MemoryOnlineStore({ maxBytes: 64_000_000, clock: systemClock })));
});
