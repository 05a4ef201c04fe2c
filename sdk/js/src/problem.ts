/** Something that went wrong in the background; the client itself never throws at a page. Holds no personal data. */
export interface Problem {
  readonly code: 'NOT_AN_EVENT' | 'REFUSED' | 'QUEUE_FULL' | 'KEY_REFUSED' | 'NO_PROFILE';
  readonly message: string;
  /** How many events were lost by it. */
  readonly events?: number;
}

export type ProblemListener = (problem: Problem) => void;

/** A listener that throws is in nobody's way: what it was told of is in the background, and so stays its error. */
export function withoutErrors(listener: ProblemListener): ProblemListener {
  return (problem) => {
    try {
      listener(problem);
    } catch {
      // Its own.
    }
  };
}

/** Warns on the console, once for each code. */
export function warnOnce(): ProblemListener {
  const said = new Set<string>();
  return ({ code, message }) => {
    if (said.has(code)) return;
    said.add(code);
    console.warn(`weft: ${message} (${code})`);
  };
}
