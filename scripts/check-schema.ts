import { execFileSync } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { CriticalityLevel, diff } from '@graphql-inspector/core';
import { buildSchema } from 'graphql';
import { SCHEMA_FILE, schemaText } from './print-schema.js';

/*
 * Fails when `schema/schema.graphql` is not what the code makes, or when it breaks clients of the version before it.
 *
 * The version before is that of the last commit while the file has uncommitted changes, else that of the commit before
 * the last, or of the one named by `--base <ref>`. A breaking change is allowed where `schema/approved-breaking-changes.txt`
 * has its line, as this program prints it; what stands after ` # ` is the reason.
 */

const APPROVALS = new URL('../schema/approved-breaking-changes.txt', import.meta.url);

const problems = [...(await drift()), ...(await breakingChanges())];
for (const problem of problems) console.error(problem);
if (problems.length > 0) process.exitCode = 1;
else console.log('schema/schema.graphql is up to date and breaks nobody');

async function drift(): Promise<string[]> {
  const committed = await readFile(SCHEMA_FILE, 'utf8').catch(() => '');
  return committed === schemaText()
    ? []
    : ['schema/schema.graphql is not what the code makes: run npx tsx scripts/print-schema.ts'];
}

async function breakingChanges(): Promise<string[]> {
  const before = schemaBefore();
  if (before === null) {
    console.log('there is no schema before this one to compare with');
    return [];
  }
  const approved = await approvals();
  const changes = await diff(buildSchema(before), buildSchema(schemaText()));
  return changes
    .filter((change) => change.criticality.level === CriticalityLevel.Breaking)
    .map((change) => `${change.path ?? ''}: ${change.message}`)
    .filter((line) => !approved.has(line))
    .map((line) => `breaks clients, and is not in schema/approved-breaking-changes.txt:\n  ${line}`);
}

async function approvals(): Promise<Set<string>> {
  const text = await readFile(APPROVALS, 'utf8').catch(() => '');
  const lines = text.split('\n').map((line) => (line.split(' # ', 1)[0] ?? '').trim());
  return new Set(lines.filter((line) => line !== '' && !line.startsWith('#')));
}

function schemaBefore(): string | null {
  const at = process.argv.indexOf('--base');
  const base = at === -1 ? undefined : process.argv[at + 1];
  if (base !== undefined) return show(base);
  const head = show('HEAD');
  return head !== null && head === schemaText() ? show('HEAD^') : head;
}

/** Null where there is no repository, no such commit, or no schema in it. */
function show(ref: string): string | null {
  try {
    return execFileSync('git', ['show', `${ref}:schema/schema.graphql`], {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
      maxBuffer: 16 * 1024 * 1024,
    });
  } catch {
    return null;
  }
}
