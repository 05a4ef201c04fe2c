import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { linkageCommand } from '../../src/identity/linkage/linkage.command.js';
import { throwInsteadOfExiting } from '../../src/platform/command-line.js';

const PEOPLE = fileURLToPath(new URL('../../seeds/data/fake_1000.csv.gz', import.meta.url));

interface Run {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

async function run(args: readonly string[], signal = new AbortController().signal): Promise<Run> {
  let [code, out, err] = [NaN, '', ''];
  const command = linkageCommand({
    stdout: { write: (text) => (out += text) },
    stderr: { write: (text) => (err += text) },
    setExitCode: (ended) => (code = ended),
    signal,
    withPreview: () => Promise.reject(new Error('files need no database')),
    withLinking: () => Promise.reject(new Error('files need no database')),
  });
  await throwInsteadOfExiting(command).parseAsync(args, { from: 'user' });
  return { code, out, err };
}

describe('weft identity', () => {
  let folder = '';
  let model = '';

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'weft-linkage-'));
    model = join(folder, 'model.json');
  });
  afterAll(async () => {
    await rm(folder, { recursive: true });
  });

  it('trains a model, readable by its owner alone, and evaluates it', async () => {
    const trained = await run(['train', PEOPLE, '--out', model, '--pairs', '100000', '--json']);
    expect(trained.code).toBe(0);
    expect(trained.err).toContain('1000 records read');
    const { version, blocking } = JSON.parse(trained.out) as {
      version: string;
      blocking: { rule: string; pairs: number }[];
    };
    expect(blocking).toContainEqual({ rule: 'date_of_birth', pairs: 873, largestBlock: 6 });
    expect(JSON.parse(await readFile(model, 'utf8'))).toMatchObject({ format: 'weft-linkage-1', version });
    expect((await stat(model)).mode & 0o777).toBe(0o600);

    const evaluated = await run([
      'evaluate',
      PEOPLE,
      '--model',
      model,
      '--truth',
      'cluster',
      '--min-f1',
      '0.8',
      '--quiet',
    ]);
    expect(evaluated.code).toBe(0);
    expect(evaluated.err).toBe('');
    expect(evaluated.out).toContain('1000 records of 251 people');
    expect(evaluated.out).toContain('pairs of clusters');
  });

  it('ends with 1 where the clusters are not as good as they have to be', async () => {
    const { code, err } = await run([
      'evaluate',
      PEOPLE,
      '--model',
      model,
      '--truth',
      'cluster',
      '--min-f1',
      '0.999',
      '--quiet',
    ]);
    expect(code).toBe(1);
    expect(err).toMatch(/^F1 is 0\.\d{4}, below 0\.999\.\n$/);
  });

  it.each([
    [['train', 'nowhere.csv', '--out', 'm.json'], 'there is none with this name'],
    [['train', PEOPLE, '--out', 'm.json', '--id', 'nr'], 'there is no column nr'],
    [['train', PEOPLE, '--out', 'm.json', '--column', 'city=town'], 'there is no column town'],
    [['evaluate', PEOPLE, '--model', 'nowhere.json', '--truth', 'cluster'], 'cannot read the file: ENOENT'],
  ])('ends with 2 and says what is wrong: %j', async (args, message) => {
    const { code, out, err } = await run(args);
    expect(code).toBe(2);
    expect(out).toBe('');
    expect(err).toContain(message);
  });

  it('ends with 2 where the truth, its pattern or the files do not fit', async () => {
    const evaluate = ['evaluate', PEOPLE, '--model', model, '--quiet', '--truth'];
    const unknown = await run([...evaluate, 'person']);
    expect(unknown.code).toBe(2);
    expect(unknown.err).toContain('the files have');
    expect((await run([...evaluate, 'cluster', '--truth-pattern', 'x'])).code).toBe(2);
    const other = join(folder, 'other.csv');
    await writeFile(other, 'a,b\n1,2\n');
    const train = async (...files: string[]): Promise<Run> =>
      run(['train', ...files, '--out', join(folder, 'odd.json'), '--quiet']);
    expect((await train(PEOPLE, other)).err).toContain('not those of the first file');
    const tooLittle = await train(other);
    expect(tooLittle.code).toBe(2);
    expect(tooLittle.err).toContain('the columns say too little of a person: nothing');
    await writeFile(other, '');
    expect((await train(other)).err).toContain('the file is empty');
  });

  it('stops when it is interrupted, and writes nothing', async () => {
    const out = join(folder, 'never.json');
    const interrupted = AbortSignal.abort();
    expect((await run(['train', PEOPLE, '--out', out, '--quiet'], interrupted)).code).toBe(130);
    await expect(stat(out)).rejects.toThrow('ENOENT');
  });

  it('links a file, and writes for each record the least of its cluster', async () => {
    const output = join(folder, 'clusters.csv');
    const linked = await run(['link', '--input', PEOPLE, '--model', model, '--output', output, '--json', '--quiet']);
    expect(linked.code).toBe(0);
    const { records, clusters } = JSON.parse(linked.out) as { records: number; clusters: number };
    const lines = (await readFile(output, 'utf8')).trimEnd().split('\r\n');
    expect(lines[0]).toBe('unique_id,cluster_id');
    expect(lines).toHaveLength(1_001);
    expect(records).toBe(1_000);
    const rows = lines.slice(1).map((line) => line.split(','));
    expect(new Set(rows.map(([, cluster]) => cluster)).size).toBe(clusters);
    for (const [id, cluster] of rows) expect(Number(cluster)).toBeLessThanOrEqual(Number(id));
    expect((await stat(output)).mode & 0o777).toBe(0o600);
  });

  it('refuses files that the model can make nothing of, and says what some lack', async () => {
    const input = join(folder, 'input.csv');
    const link = async (content: string | Buffer): Promise<Run> => {
      await writeFile(input, content);
      return run(['link', '--input', input, '--model', model, '--output', join(folder, 'out.csv'), '--force']);
    };
    const header = 'first_name,surname,dob';
    for (const [content, said] of [
      ['first_name;surname;dob;city;email\nAnn;Smith;1980-01-01;York;a@x.org\n', 'separate columns by commas'],
      [Buffer.from(`${header}\nJos\xe9,Smith,1980-01-01\n`, 'latin1'), 'iconv -f WINDOWS-1252 -t UTF-8'],
      [`${header},surname\nAnn,Smith,1980-01-01,Jones\n`, 'two columns are called "surname"'],
      [`${header}\nAnn,Smith\n`, 'this row has more or fewer cells than the header'],
      [`${header}\n"Ann,Smith,1980-01-01\n`, 'a quote is not closed'],
    ] as const) {
      const { code, err } = await link(content);
      expect(code).toBe(2);
      expect(err).toContain(said);
    }
    const fine = await link(Buffer.from(`\ufeff${header}\r\nJosé,Smith,1980-01-01\r\n`, 'utf16le'));
    expect(fine.code).toBe(0);
    expect(fine.err).toContain('the files have nothing for');
  });

  it('writes over no file that is there, unless it is told to', async () => {
    const [there, other] = [join(folder, 'there.json'), join(folder, 'there.csv')];
    await Promise.all([writeFile(there, 'precious'), writeFile(other, 'precious')]);
    const link = ['link', '--input', PEOPLE, '--model', model, '--output', other, '--quiet'];
    for (const args of [['train', PEOPLE, '--out', there, '--quiet'], link]) {
      const { code, err } = await run(args);
      expect(code).toBe(2);
      expect(err).toContain('the file is there already');
    }
    expect(await Promise.all([readFile(there, 'utf8'), readFile(other, 'utf8')])).toEqual(['precious', 'precious']);
    expect((await run([...link, '--force'])).code).toBe(0);
    expect(await readFile(other, 'utf8')).toContain('cluster_id');
  });

  it('says what a linkage of files lacks', async () => {
    const { code, err } = await run(['link', '--input', PEOPLE]);
    expect(code).toBe(2);
    expect(err).toContain('--output, --model');
  });
});
