import type { Feeds, OutputData } from './bind-features.js';
import type { GraphFacts, MeasuredSpeed } from './model-manifest.model.js';

/** What is asked of a process that holds one graph, one thing at a time. */
export type ModelCall =
  /** To load the graph whose bytes stand on its standard input. */
  | { readonly kind: 'load' }
  | { readonly kind: 'run'; readonly feeds: Feeds; readonly outputs: readonly string[] }
  /** To say how long runs take: of the fewest rows that there are runs of, and of many. */
  | { readonly kind: 'measure'; readonly few: Feeds; readonly many: Feeds; readonly outputs: readonly string[] };

/** What it answers, one reply a call. */
export type ModelReply =
  | { readonly kind: 'loaded'; readonly graph: GraphFacts; readonly loadMs: number }
  | { readonly kind: 'ran'; readonly outputs: Record<string, OutputData> }
  | { readonly kind: 'measured'; readonly speed: Pick<MeasuredSpeed, 'oneRowP99Ms'> & { readonly manyMs: number } }
  | { readonly kind: 'refused'; readonly message: string; readonly where?: string; readonly hint?: string }
  | { readonly kind: 'failed'; readonly reason: string };

/** Why a process is no more: it took too long or too much, broke, could not be started, or was closed by its owner. */
export const PROCESS_ENDS = ['TIME', 'MEMORY', 'CRASH', 'START', 'CLOSED'] as const;
export type ProcessEnd = (typeof PROCESS_ENDS)[number];

/** A process that ended before it answered. `message` says what happened, as `it took longer than 2 s`. */
export class ModelProcessEnded extends Error {
  override readonly name = 'ModelProcessEnded';
  readonly reason: ProcessEnd;

  constructor(reason: ProcessEnd, message: string) {
    super(message);
    this.reason = reason;
  }
}

/** What the runtime, the C++ library and V8 say of memory that is not to be had. */
const OUT_OF_MEMORY = /bad[_ ]alloc|allocate memory|allocation failed|out of memory/i;

export function tellsOfMemory(text: string): boolean {
  return OUT_OF_MEMORY.test(text);
}
