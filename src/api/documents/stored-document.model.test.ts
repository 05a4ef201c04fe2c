import { createHash } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { EDGE_PROFILE_DOCUMENT } from '../graphql/edge-documents.js';
import { documentId, documentName, parseDocumentFile, parseDocumentId } from './stored-document.model.js';

const TEXT = 'query A { __typename }';
const ID = createHash('sha256').update(TEXT).digest('hex');

describe('the id of a document', () => {
  it('is the SHA-256 of its text', () => {
    expect(documentId(TEXT)).toBe(ID);
  });

  it('never changes for the document that our clients ask by', () => {
    expect(documentId(EDGE_PROFILE_DOCUMENT)).toBe('8dfbcf2dd471a66ef34cedba37ff2f1cedd80ec3c145666356a949e3a2ca057b');
  });

  it.each([
    [ID, ID],
    [`sha256:${ID}`, ID],
    [`sha256:${ID.toUpperCase()}`, ID],
    [`md5:${ID}`, null],
    [ID.slice(1), null],
    ['', null],
  ])('is read in both of its forms: %s', (text, id) => {
    expect(parseDocumentId(text)).toBe(id);
  });
});

describe('the name of a document', () => {
  it.each([
    [TEXT, 'A'],
    ['query A { a } mutation B { b } fragment F on T { c }', 'A, B'],
    ['{ a }', 'anonymous'],
    ['not GraphQL', 'anonymous'],
  ])('is that of its operations: %s', (text, name) => {
    expect(documentName(text)).toBe(name);
  });
});

describe('a file of documents', () => {
  it('holds one, as it is to the last character, unless it is a manifest', () => {
    expect(parseDocumentFile(`${TEXT}\n`, 'a.graphql')).toEqual([`${TEXT}\n`]);
  });

  it('may be a manifest of Apollo or of Relay', () => {
    const apollo = { format: 'apollo-persisted-query-manifest', version: 1, operations: [{ id: ID, body: TEXT }] };
    expect(parseDocumentFile(JSON.stringify(apollo), 'm.json')).toEqual([TEXT]);
    expect(parseDocumentFile(JSON.stringify({ [ID]: TEXT }), 'm.json')).toEqual([TEXT]);
  });

  it.each([
    ['{', 'no manifest'],
    ['[]', 'no manifest'],
    ['{}', 'no manifest'],
    [JSON.stringify({ operations: [{ id: ID }] }), 'no manifest'],
    [JSON.stringify({ [ID]: `${TEXT} ` }), 'not the SHA-256'],
  ])('says what is wrong with a manifest: %s', (text, message) => {
    expect(() => parseDocumentFile(text, 'm.json')).toThrow(message);
  });
});
