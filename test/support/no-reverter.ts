import type { LoadReverter } from '../../src/sources/load.model.js';

const refuse = (): Promise<never> => Promise.reject(new Error('nothing is reverted in these tests'));

/** For tests of loads that revert nothing. */
export const NO_REVERTER: LoadReverter = { extentOfLoad: refuse, takeBackLoad: refuse, done: refuse };

/** The rest of what the command needs, for the same. */
export const NO_REVERTS = { withLoads: refuse, withReverter: refuse, confirm: null, withWarehouseLoads: refuse };
