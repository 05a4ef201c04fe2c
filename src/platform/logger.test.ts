import { describe, expect, it } from 'vitest';
import { WeftError } from './errors.js';
import { createLogger } from './logger.js';
import { toSqlError } from './sql-errors.js';

function logged(write: (log: ReturnType<typeof createLogger>) => void, level = 'info'): Record<string, unknown>[] {
  const lines: string[] = [];
  write(createLogger({ level, destination: { write: (line) => void lines.push(line) } }));
  return lines.map((line) => JSON.parse(line) as Record<string, unknown>);
}

describe('the log', () => {
  it('is JSON lines with a level in words and a time in ms', () => {
    const [record] = logged((log) => {
      log.info({ count: 3 }, 'loaded');
    });
    expect(record).toEqual({ level: 'info', time: expect.any(Number) as number, count: 3, msg: 'loaded' });
  });

  it('leaves out what is below its level', () => {
    expect(
      logged((log) => {
        log.info('no');
      }, 'warn'),
    ).toEqual([]);
  });

  it('blanks secrets and personal data, at the top and one level down', () => {
    const records = logged((log) => {
      log.info({ email: 'canary', request: { authorization: 'canary', cookie: 'canary', traits: { a: 'canary' } } });
      log.info({ identifiers: ['canary'], databaseUrl: 'postgres://u:canary@h/d', payload: { x: 'canary' } });
    });
    expect(records).toHaveLength(2);
    expect(JSON.stringify(records)).not.toContain('canary');
  });

  it('describes an error by code, place, hint and cause, without the fields that drivers attach', () => {
    const cause = Object.assign(new Error('connect failed'), { code: 'ECONNREFUSED', parameters: ['canary'] });
    const err = new WeftError('UNAVAILABLE', 'no database', { where: 'startup', hint: 'start it', cause });
    const [record] = logged((log) => {
      log.error({ err });
    });
    expect(record?.['err']).toMatchObject({
      code: 'UNAVAILABLE',
      message: 'no database',
      where: 'startup',
      hint: 'start it',
      cause: { code: 'ECONNREFUSED', message: 'connect failed' },
    });
    expect(JSON.stringify(record)).not.toContain('canary');
  });

  it('keeps the words of PostgreSQL where they quote our SQL, and drops them where they quote data', () => {
    const failure = (code: string, message: string): unknown => toSqlError(Object.assign(new Error(message), { code }));
    const [syntax, data] = logged((log) => {
      log.error({ err: failure('42P01', 'relation "things" does not exist') });
      log.error({ err: failure('22P02', 'invalid input syntax for type uuid: "canary"') });
    });
    expect(syntax).toMatchObject({ err: { cause: { message: 'relation "things" does not exist' } } });
    expect(JSON.stringify(data)).toContain('22P02');
    expect(JSON.stringify(data)).not.toContain('canary');
  });
});
