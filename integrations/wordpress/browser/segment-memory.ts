/**
 * The segments of the last page view, so that the next page begins with the right content. They are of one visitor, known
 * by a fingerprint of the anonymous id, and do not outlive half an hour.
 */
const KEY = 'weft:content';
const MAX_AGE_MS = 30 * 60_000;

interface Memory {
  readonly id: string;
  readonly at: number;
  readonly segments: readonly string[];
}

export function recallSegments(id: string, nowMs: number): readonly string[] | null {
  try {
    const memory = JSON.parse(localStorage.getItem(KEY) ?? 'null') as Partial<Memory> | null;
    const isFresh = memory?.id === id && Math.abs(nowMs - (memory.at ?? 0)) < MAX_AGE_MS;
    return isFresh && Array.isArray(memory.segments) ? memory.segments : null;
  } catch {
    return null;
  }
}

/** Where the browser lets nothing be stored, each page asks anew. */
export function rememberSegments(memory: Memory | null): void {
  try {
    if (memory === null) localStorage.removeItem(KEY);
    else localStorage.setItem(KEY, JSON.stringify(memory));
  } catch {
    return;
  }
}
