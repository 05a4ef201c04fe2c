import { CursorCodec } from '../platform/cursor.js';

/** A place in the feed, as clients are told it. */
export const CHANGE_CURSOR = new CursorCodec({ kind: 'changes', version: 1 }, { seq: 'integer' });
