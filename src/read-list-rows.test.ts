import { describe, expect, it } from 'vitest';
import { listRowReader } from './read-list-rows.js';
import type { SourceRow } from './sources/row.model.js';

const KNOWN = new Set(['email', 'user_id', 'crm_id']);
const row = (cells: readonly string[] | null, record: SourceRow['record'] = null): SourceRow => ({
  ...{ number: 7, cells, record, fault: null },
});

describe('a row of a list', () => {
  it('names whom its columns name, each value by itself, and leaves out empty ones', () => {
    const read = listRowReader(['email', 'crm_id'], null, KNOWN);
    expect(read(row([' ann@example.com ', '7']))).toEqual({
      number: 7,
      identifiers: [
        { ns: 'email', value: 'ann@example.com' },
        { ns: 'crm_id', value: '7' },
      ],
    });
    expect(read(row(['', '7']))).toMatchObject({ identifiers: [{ ns: 'crm_id', value: '7' }] });
    expect(read(row(['', ' ']))).toEqual({ number: 7, fault: 'it names nobody' });
  });

  it('may name the namespace itself', () => {
    const read = listRowReader(['value', 'namespace'], null, KNOWN);
    expect(read(row(['7', 'crm_id']))).toMatchObject({ identifiers: [{ ns: 'crm_id', value: '7' }] });
    expect(read(row(['7', 'CRM id']))).toEqual({ number: 7, fault: 'its namespace is none' });
  });

  it('is read by some of its columns where these are named, known namespaces or not', () => {
    const read = listRowReader(['name', 'shop_id'], ['shop_id'], KNOWN);
    expect(read(row(['Ann', 's1']))).toMatchObject({ identifiers: [{ ns: 'shop_id', value: 's1' }] });
  });

  it('may be an object, in which numbers count as their texts', () => {
    const read = listRowReader(null, null, KNOWN);
    expect(read(row(null, { crm_id: 7 }))).toMatchObject({ identifiers: [{ ns: 'crm_id', value: '7' }] });
    expect(read(row(null, { namespace: 'email', value: 'a@b.org' }))).toMatchObject({ identifiers: [{ ns: 'email' }] });
    expect(read(row(null, { crm_id: 7, name: 'Ann' }))).toEqual({ number: 7, fault: 'name is no known namespace' });
  });

  it('may have headings as people write them', () => {
    const ann = { identifiers: [{ ns: 'email', value: 'ann@example.com' }] };
    expect(listRowReader(['E-Mail', 'User ID'], null, KNOWN)(row(['ann@example.com', '']))).toMatchObject(ann);
    expect(listRowReader(['Name', 'Email'], ['email'], KNOWN)(row(['Ann', 'ann@example.com']))).toMatchObject(ann);
    expect(listRowReader(['Name', 'email'], ['Email'], KNOWN)(row(['Ann', 'ann@example.com']))).toMatchObject(ann);
    expect(listRowReader(null, null, KNOWN)(row(null, { Email: 'ann@example.com' }))).toMatchObject(ann);
    expect(listRowReader(['Value', 'Namespace'], null, KNOWN)(row(['7', 'crm_id']))).toMatchObject({
      identifiers: [{ ns: 'crm_id', value: '7' }],
    });
  });

  it('is refused where it could not be read', () => {
    const read = listRowReader(['email'], null, KNOWN);
    const fault = { code: 'ROW_RAGGED', reason: 'it has 3 cells', excerpt: '' } as const;
    expect(read({ ...row(null), fault })).toEqual({ number: 7, fault: 'it has 3 cells' });
  });
});

it('columns that are no namespaces are refused, and so are those that are not there', () => {
  expect(() => listRowReader(['email', 'first_name'], null, KNOWN)).toThrow('the column "first_name" is no known');
  expect(() => listRowReader(['email'], ['crm_id'], KNOWN)).toThrow('the file has no column crm_id');
  expect(() => listRowReader(['E Mails'], ['E Mails'], KNOWN)).toThrow('E Mails is no namespace');
  expect(() => listRowReader(['Email', 'e-mail'], null, KNOWN)).toThrow('two columns of the file are the email');
});
