/** Something that went wrong in the background; the client itself never throws at a page. Holds no personal data. */
export interface Problem {
  readonly code: 'NOT_AN_EVENT' | 'REFUSED' | 'QUEUE_FULL' | 'KEY_REFUSED' | 'NO_PROFILE';
  readonly message: string;
  /** How many events were lost by it. */
  readonly events?: number;
}

/** Warns on the console, once for each code. */
export function warnOnce(): (problem: Problem) => void {
  const said = new Set<string>();
  return ({ code, message }) => {
    if (said.has(code)) return;
    said.add(code);
    console.warn(`weft: ${message} (${code})`);
  };
}
