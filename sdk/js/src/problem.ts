/** Something that went wrong in the background; the client itself never throws at a page. Holds no personal data. */
export interface Problem {
  readonly code:
    | 'NOT_AN_EVENT'
    | 'REFUSED'
    | 'QUEUE_FULL'
    | 'KEY_REFUSED'
    | 'PROFILE_LATE'
    | 'PROFILE_UNREACHABLE'
    | 'PROFILE_REFUSED';
  readonly message: string;
  /** The code of Weft's answer, as `FORBIDDEN`, and what it says can be done. */
  readonly cause?: string | undefined;
  readonly hint?: string | undefined;
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
  return ({ message, hint = '', ...problem }) => {
    const code = problem.cause ?? problem.code;
    if (said.has(code)) return;
    said.add(code);
    console.warn(`weft: ${message} (${code})`, hint);
  };
}
