/** False where the same code is rendered on a server. */
export function isBrowser(): boolean {
  return typeof document !== 'undefined';
}

export interface PageHandlers {
  /** The page may not live to see another moment. */
  readonly hidden: () => void;
  readonly visible: () => void;
  readonly online: () => void;
}

/** Tells of what happens to the page; outside a browser, nothing. */
export function listenToPage({ hidden, visible, online }: PageHandlers): void {
  if (!isBrowser()) return;
  document.addEventListener('visibilitychange', () => (document.visibilityState === 'hidden' ? hidden : visible)());
  addEventListener('pagehide', hidden);
  addEventListener('online', online);
}

/** Whether the browser says that its user does not want to be followed: Global Privacy Control or Do Not Track. */
export function hasPrivacySignal(): boolean {
  const signals = globalThis.navigator as { globalPrivacyControl?: boolean; doNotTrack?: string | null } | undefined;
  return signals?.globalPrivacyControl === true || signals?.doNotTrack === '1';
}
