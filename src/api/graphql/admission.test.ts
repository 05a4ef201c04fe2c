import 'reflect-metadata';
import { buildSchema } from 'graphql';
import { describe, expect, it } from 'vitest';
import type { ApiScope, Principal } from '../auth/api-key.model.js';
import { documentId } from '../documents/stored-document.model.js';
import { Admission } from './admission.js';
import type { Asked } from './asked.model.js';

const STORED = 'query S { a }';
const OTHER = 'query O { a }';

const aPrincipal = (scope: ApiScope): Principal => ({
  id: scope,
  scopes: [scope],
  sourceId: null,
  origins: [],
  ratePerSecond: null,
  expiresAt: null,
});

function anAdmission(storedOnly = false): Admission {
  const stored = new Map([[documentId(STORED), STORED]]);
  return new Admission({
    schema: buildSchema('type Query { a: Int }'),
    stored: { textOf: (id) => stored.get(id) },
    storedOnly,
  });
}

const byApq = (text: string): Asked => ({
  extensions: { persistedQuery: { version: 1, sha256Hash: documentId(text) } },
});
const byId = (text: string): Asked => ({ documentId: `sha256:${documentId(text)}` });
const FORMS: readonly [string, (text: string) => Asked][] = [
  ['documentId', byId],
  ['persistedQuery', byApq],
];
const SCOPES: readonly ApiScope[] = ['admin', 'read', 'ingest', 'edge'];

describe('a document that is named', () => {
  it.each(FORMS)('by %s is the stored one, for every scope, whatever text comes with it', (_, form) => {
    for (const scope of SCOPES) {
      expect(anAdmission().textOf(form(STORED), aPrincipal(scope))).toBe(STORED);
      expect(anAdmission(true).textOf({ ...form(STORED), query: '' }, aPrincipal(scope))).toBe(STORED);
      expect(anAdmission().textOf({ ...form(STORED), query: OTHER }, aPrincipal(scope))).toBe(STORED);
    }
  });

  it('is told by the name that clients know to be unknown, and taken with its text', () => {
    const admission = anAdmission();
    const read = aPrincipal('read');
    expect(() => admission.textOf(byApq(OTHER), read)).toThrow('PersistedQueryNotFound');
    const text = admission.textOf({ ...byApq(OTHER), query: OTHER }, read);
    expect(text).toBe(OTHER);
    expect(() => admission.textOf(byApq(OTHER), read)).toThrow('PersistedQueryNotFound');
    admission.documentOf(text, false);
    expect(admission.textOf(byApq(OTHER), read)).toBe(OTHER);
    expect(admission.textOf(byId(OTHER), read)).toBe(OTHER);
  });

  it('is not remembered when it is not valid', () => {
    const admission = anAdmission();
    const read = aPrincipal('read');
    const wrong = '{ nothing }';
    expect(admission.documentOf(admission.textOf({ ...byApq(wrong), query: wrong }, read), false)).toHaveProperty(
      'errors',
    );
    expect(() => admission.textOf(byApq(wrong), read)).toThrow('PersistedQueryNotFound');
  });

  it('is refused when the text that comes with it is another', () => {
    const asked = { ...byApq(OTHER), query: '{ a }' };
    expect(() => anAdmission().textOf(asked, aPrincipal('read'))).toThrow('provided sha does not match query');
  });

  it.each([
    [{ documentId: 7 }, 'documentId'],
    [{ documentId: 'sha256:abc' }, 'documentId'],
    [{ extensions: { persistedQuery: { version: 2, sha256Hash: documentId(STORED) } } }, 'extensions.persistedQuery'],
    [{ extensions: { persistedQuery: { version: 1 } } }, 'extensions.persistedQuery.sha256Hash'],
    [{ extensions: { persistedQuery: [] } }, 'extensions.persistedQuery'],
  ])('is refused when it is no name: %j', (asked, where) => {
    expect(() => anAdmission().textOf(asked, aPrincipal('admin'))).toThrow(
      expect.objectContaining({ code: 'BAD_REQUEST', where }),
    );
  });
});

describe('a key that may only ask by stored documents', () => {
  it.each([
    ['edge', false, true],
    ['edge', true, true],
    ['read', false, false],
    ['read', true, true],
    ['ingest', true, true],
    ['admin', true, false],
  ] as const)('scope %s, stored only %s: %s', (scope, storedOnly, isBound) => {
    const admission = anAdmission(storedOnly);
    admission.documentOf(OTHER, false);
    const principal = aPrincipal(scope);
    expect(admission.textOf({ query: STORED }, principal)).toBe(STORED);
    const others: readonly Asked[] = [{ query: OTHER }, { ...byApq(OTHER), query: OTHER }, byApq(OTHER), byId(OTHER)];
    for (const asked of others) {
      if (isBound) {
        const code = 'query' in asked ? 'FORBIDDEN' : 'NOT_FOUND';
        expect(() => admission.textOf(asked, principal)).toThrow(expect.objectContaining({ code }));
      } else {
        expect(admission.textOf(asked, principal)).toBe(OTHER);
      }
    }
  });
});

describe('a request without a document', () => {
  it('is for GraphQL to refuse', () => {
    expect(anAdmission().textOf({}, aPrincipal('edge'))).toBeUndefined();
    expect(anAdmission().textOf({ query: 7, extensions: 'none' }, aPrincipal('read'))).toBeUndefined();
  });
});
