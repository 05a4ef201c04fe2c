import { describe, expect, it } from 'vitest';
import { outcomeOf } from './graphql-outcome.js';

const failed = (...codes: (string | undefined)[]): string =>
  JSON.stringify({ errors: codes.map((code) => ({ message: 'm', extensions: { code } })), data: null });

describe('the outcome of a GraphQL operation', () => {
  it.each([
    [200, '{"data":{"profile":null}}', 'ok'],
    [200, '{"data":{"traits":{"errors":[{"extensions":{"code":"INTERNAL"}}]}}}', 'ok'],
    [200, failed('GRAPHQL_VALIDATION_FAILED'), 'client_error'],
    [401, failed('UNAUTHENTICATED'), 'client_error'],
    [200, failed(undefined), 'client_error'],
    [200, '{"errors":[{"message":"m"}]}', 'client_error'],
    [503, failed('OVERLOADED'), 'unavailable'],
    [200, failed('NOT_FOUND', 'UNAVAILABLE'), 'unavailable'],
    [500, failed('INTERNAL'), 'defect'],
    [200, failed('UNAVAILABLE', 'INTERNAL', 'NOT_FOUND'), 'defect'],
    [500, '{"message":"m"}', 'defect'],
    [404, '{"message":"m"}', 'client_error'],
    [503, '{"message":"m"}', 'unavailable'],
  ])('of %i %s is %s', (status, payload, outcome) => {
    expect(outcomeOf(status, payload)).toBe(outcome);
  });
});
