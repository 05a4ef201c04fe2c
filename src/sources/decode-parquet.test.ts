import { parquetMetadata } from 'hyparquet';
import { parquetWriteBuffer } from 'hyparquet-writer';
import { describe, expect, it } from 'vitest';

import { checkFooter } from './check-parquet-group.js';
import { decodeParquet, type ParquetStep } from './decode-parquet.js';

async function stepsOf(content: Uint8Array): Promise<ParquetStep[]> {
  const bytes = Uint8Array.from(content).buffer;
  const steps: ParquetStep[] = [];
  const slice = (start: number, end?: number) => bytes.slice(start, end);
  for await (const step of decodeParquet({ byteLength: bytes.byteLength, slice })) steps.push(step);
  return steps;
}

function written(columnData: Parameters<typeof parquetWriteBuffer>[0]['columnData']): Uint8Array {
  return new Uint8Array(parquetWriteBuffer({ columnData }));
}

/** Three rows of lists of texts, five in all. */
function lists(): Uint8Array {
  return new Uint8Array(
    parquetWriteBuffer({
      columnData: [{ name: 'tags', data: [['a', 'b'], ['c', 'd'], ['e']] }],
      schema: [
        { name: 'root', num_children: 1 },
        { name: 'tags', repetition_type: 'OPTIONAL', converted_type: 'LIST', num_children: 1 },
        { name: 'list', repetition_type: 'REPEATED', num_children: 1 },
        { name: 'element', type: 'BYTE_ARRAY', converted_type: 'UTF8', repetition_type: 'OPTIONAL' },
      ],
    }),
  );
}

/** The file with another number of rows in its footer, both of the file and of its only group, where it had three. */
function claiming(content: Uint8Array, rows: number): Uint8Array {
  const changed = Buffer.from(content);
  const footer = changed.length - 8 - changed.readUInt32LE(changed.length - 8);
  // A field of 64 bits behind the one before the one before, or behind the one before; zigzag.
  const threes = [...changed.keys()].filter((at) => at >= footer && changed[at] === 0x16 && changed[at + 1] === 6);
  expect(threes).toHaveLength(2);
  for (const at of threes) changed[at + 1] = rows * 2;
  const { num_rows: total, row_groups: groups } = parquetMetadata(Uint8Array.from(changed).buffer);
  expect([total, groups[0]?.num_rows]).toEqual([BigInt(rows), BigInt(rows)]);
  return changed;
}

describe('a Parquet file whose footer', () => {
  it('says what is in it is decoded group by group', async () => {
    expect(await stepsOf(lists())).toEqual([
      { kind: 'header', names: ['tags'], rows: 3 },
      { kind: 'group', group: 1 },
      { kind: 'rows', firstRow: 0, columns: [[['a', 'b'], ['c', 'd'], ['e']]] },
    ]);
  });

  it('claims more or fewer rows than its columns have is refused, with the column', async () => {
    await expect(stepsOf(claiming(lists(), 4))).rejects.toThrow(
      'row group 1: the column "tags" has 3 rows, and the group 4',
    );
    await expect(stepsOf(claiming(lists(), 2))).rejects.toThrow(
      'row group 1: the column "tags" has more rows, and the group 2',
    );
  });

  it('has figures that cannot be is refused before anything is reserved by them', () => {
    const content = written([{ name: 'who', data: ['u1', 'u2', 'u3'] }]);
    const metadata = parquetMetadata(Uint8Array.from(content).buffer);
    const [group] = metadata.row_groups;
    const [column] = group?.columns ?? [];
    if (group === undefined || column?.meta_data === undefined) throw new Error('the file has no group');
    const claims =
      (rows: bigint, values: bigint, total = rows) =>
      () => {
        const columns = [
          { ...column, meta_data: { ...column.meta_data, num_values: values } as typeof column.meta_data },
        ];
        checkFooter({ ...metadata, num_rows: total, row_groups: [{ ...group, num_rows: rows, columns }] });
      };
    expect(claims(3n, 3n)).not.toThrow();
    expect(claims(4n, 3n)).toThrow('row group 1: the column "who" has 3 values for 4 rows');
    expect(claims(3n, 4n)).toThrow('row group 1: the column "who" has 4 values for 3 rows');
    expect(claims(-1n, 3n)).toThrow('row group 1: it has -1 rows');
    expect(claims(3n, 3n, 7n)).toThrow('the footer counts 7 rows, and its row groups have 3 of them');
    expect(claims(2n ** 40n, 2n ** 40n)).toThrow('more values than can be decoded at once');
    const without = { ...metadata, row_groups: [{ ...group, columns: [] }] };
    expect(() => {
      checkFooter(without);
    }).toThrow('row group 1: it has 0 columns, and the schema 1');
  });
});
