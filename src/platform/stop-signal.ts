/** A second signal this soon after the first is the same one: npm and `timeout` pass on what the terminal sent as well. */
const SAME_SIGNAL_MS = 500;

export interface SignalSource {
  on(name: 'SIGINT' | 'SIGTERM', listener: () => void): unknown;
}

/**
 * Ctrl-C and SIGTERM ask for an orderly end; a second one calls `endNow`.
 * @param nowMs a clock that never goes back
 */
export function stopSignal(source: SignalSource, endNow: () => void, nowMs: () => number): AbortSignal {
  const controller = new AbortController();
  let firstMs = 0;
  for (const name of ['SIGINT', 'SIGTERM'] as const) {
    source.on(name, () => {
      if (!controller.signal.aborted) {
        firstMs = nowMs();
        controller.abort(name);
      } else if (nowMs() - firstMs >= SAME_SIGNAL_MS) endNow();
    });
  }
  return controller.signal;
}
