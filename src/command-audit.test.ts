import { Command } from 'commander';
import { describe, expect, it } from 'vitest';
import type { AuditEvent } from './audit/audit-entry.model.js';
import { AuditRecorder } from './audit/audit-recorder.js';
import { CommandAudit, LOOKING, SHOWING } from './command-audit.js';
import { ManualClock } from './platform/clock.js';
import { WeftError } from './platform/errors.js';
import { createProgram } from './program.js';

const ID = '01900000-0000-7000-8000-000000000000';

/** What the log has of a command that runs on these arguments. */
async function noted(args: readonly string[], work: () => Promise<void> = () => Promise.resolve()) {
  const events: AuditEvent[] = [];
  const recorder = new AuditRecorder({
    store: { append: (appended) => Promise.resolve(void events.push(...appended)) },
    clock: new ManualClock(0),
    onError: () => undefined,
    onLost: () => undefined,
  });
  const audit = new CommandAudit('root');
  const run = (): Promise<void> => audit.around(recorder, work()).catch(() => undefined);
  const program = new Command('weft').hook('preAction', (_program, command) => {
    audit.begin(command);
  });
  const keys = program.command('keys');
  keys.command('revoke <key>').action(run);
  keys.command('create').option('--name <name>').option('--source <key>').action(run);
  keys.command('list').action(run);
  program.command('apply <file>').option('--dry-run').action(run);
  const profiles = program.command('profiles');
  profiles.command('erase <profile>').option('--reason <text>').action(run);
  profiles.command('export <profile>').action(async () => {
    audit.concerns(ID);
    await run();
  });
  await program.parseAsync([...args], { from: 'user' });
  await recorder.stop();
  return events;
}

describe('the audit log of commands', () => {
  it('has who ran what on which things, and how it ended', async () => {
    expect(await noted(['keys', 'create', '--name', 'anna', '--source', 'web'])).toMatchObject([
      {
        kind: 'change',
        actor: { kind: 'user', name: 'root' },
        operation: 'weft keys create',
        targets: ['web'],
        outcome: 'OK',
      },
    ]);
    const failing = (): Promise<void> => Promise.reject(new WeftError('NOT_FOUND', 'no such key'));
    expect(await noted(['keys', 'revoke', ID], failing)).toMatchObject([{ targets: [ID], outcome: 'NOT_FOUND' }]);
  });

  it('never has persons and secrets that were typed', async () => {
    const [erased] = await noted(['profiles', 'erase', 'email:anna@example.com', '--reason', 'anna asked']);
    expect(erased).toMatchObject({ kind: 'change', operation: 'weft profiles erase', targets: [] });
    const [revoked] = await noted(['keys', 'revoke', `weft_r_${'x7Kp'.repeat(10)}abc`]);
    expect(revoked?.targets).toEqual(['weft_r_x7Kp']);
  });

  it('has accesses by the id of the profile, and nothing of commands that only look', async () => {
    expect(await noted(['profiles', 'export', 'email:anna@example.com'])).toMatchObject([
      { kind: 'access', operation: 'weft profiles export', targets: [ID] },
    ]);
    expect(await noted(['keys', 'list'])).toEqual([]);
    expect(await noted(['apply', 'a.yaml', '--dry-run'])).toEqual([]);
    expect(await noted(['apply', 'a.yaml'])).toHaveLength(1);
  });

  it('leaves out no command that there is not', () => {
    const program = createProgram({ signal: AbortSignal.abort(), setExitCode: () => undefined });
    const paths = new Set<string>();
    const walk = (command: Command, path: readonly string[]): void => {
      paths.add(path.join(' '));
      for (const each of command.commands) walk(each, [...path, each.name()]);
    };
    walk(program, []);
    expect([...LOOKING, ...SHOWING].filter((path) => !paths.has(path))).toEqual([]);
  });
});
