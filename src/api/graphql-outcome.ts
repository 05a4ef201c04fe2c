/** How an operation ended. `unavailable`: nobody's mistake, the same may succeed later. */
export const GRAPHQL_OUTCOMES = ['ok', 'client_error', 'unavailable', 'defect'] as const;

export type GraphqlOutcome = (typeof GRAPHQL_OUTCOMES)[number];

const UNAVAILABLE: ReadonlySet<unknown> = new Set(['UNAVAILABLE', 'OVERLOADED', 'RATE_LIMITED']);

/** Answers begin with their errors, as the specification recommends (October 2021, §7.1.2): one look tells most of them. */
const WITH_ERRORS = '{"errors":';

/**
 * The outcome that an answer tells. Of several errors the gravest counts.
 * @param payload the JSON text of the answer
 */
export function outcomeOf(status: number, payload: string): GraphqlOutcome {
  if (!payload.startsWith(WITH_ERRORS)) return status < 400 ? 'ok' : byStatus(status);
  const { errors } = JSON.parse(payload) as { errors: { extensions?: { code?: unknown } }[] };
  const codes = errors.map((error) => error.extensions?.code);
  if (codes.includes('INTERNAL')) return 'defect';
  return codes.some((code) => UNAVAILABLE.has(code)) ? 'unavailable' : 'client_error';
}

function byStatus(status: number): GraphqlOutcome {
  if (status === 429 || status === 503) return 'unavailable';
  return status < 500 ? 'client_error' : 'defect';
}
