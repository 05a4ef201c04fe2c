import { Command } from 'commander';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { addRulesCommand } from '../../src/identity/identity-rules.command.js';
import { IdentityRulesReader } from '../../src/identity/identity-rules.reader.js';
import { createApiWorld, type ApiWorld } from '../support/api-world.js';
import { runWith } from '../support/command-runner.js';
import { aTrack } from '../support/world.js';

let world: ApiWorld;

beforeAll(async () => {
  world = await createApiWorld();
});
afterAll(() => world.close());

const APPLY = `mutation ($rules: String!, $dryRun: Boolean! = false) { applyIdentityRules(rules: $rules, dryRun: $dryRun) {
  __typename ... on IdentityRulesChange { applied changes warnings { where hint } current { version appliedBy } }
  ... on Failure { code message where hint } } }`;

async function apply(rules: string, dryRun = false): Promise<unknown> {
  const { applyIdentityRules } = await world.data<{ applyIdentityRules: unknown }>(APPLY, { rules, dryRun });
  return applyIdentityRules;
}

function weft(...args: string[]) {
  return runWith(
    (io) => {
      const identity = new Command('identity');
      addRulesCommand(identity, { ...io, withRules: (use) => use(new IdentityRulesReader(world.db)) });
      return identity;
    },
    ['rules', ...args],
  );
}

describe('rules of who is who, by GraphQL and on the command line', () => {
  it('say what they would change, and then change it', async () => {
    const rules = 'identity: { namespaces: { emial: { limit: 2 }, email: { limit: 3 } } }';
    const told = {
      changes: ['~ email: limit 5 -> 3', '+ emial: priority 50, limit 2, window ever, normaliser id, may_merge true'],
      warnings: [{ where: 'emial', hint: 'did you mean email?' }],
    };
    expect(await apply(rules, true)).toMatchObject({
      applied: false,
      ...told,
      current: { version: 1, appliedBy: null },
    });
    expect(await apply(rules)).toMatchObject({ applied: true, ...told, current: { version: 2 } });
    expect(await apply(rules)).toMatchObject({ applied: false, changes: [], current: { version: 2 } });
  });

  it('are refused with the place of what is wrong, and change nothing then', async () => {
    expect(await apply('identity:\n  namespaces:\n    email: { limit: none }')).toEqual({
      __typename: 'InvalidDefinition',
      code: 'DEFINITION_INVALID',
      message: 'rules:3:21: limit of email must be a whole number; from 1 to 1000',
      where: 'rules:3:21',
      hint: 'from 1 to 1000',
    });
    const { identityRules } = await world.data<{ identityRules: unknown }>('{ identityRules { version } }');
    expect(identityRules).toEqual({ version: 2 });
  });

  it('hold at once for what the same process accepts and is asked', async () => {
    await world.accept([aTrack('view', { email: 'b.ob@gmail.com' })]);
    await apply('identity: { email: { gmail: true } }');
    await world.accept([aTrack('view', { email: 'a.n.n+x@googlemail.com' })]);
    await world.drain();
    const { profile } = await world.data<{ profile: unknown }>(
      '{ profile(identifier: { namespace: "email", value: "ann@gmail.com" }) { identifiers { value } } }',
    );
    expect(profile).toEqual({ identifiers: [{ value: 'ann@gmail.com' }] });
    const { former } = await world.data<{ former: unknown }>(
      '{ former: profile(identifier: { namespace: "email", value: "B.ob@gmail.com" }) { identifiers { value } } }',
    );
    expect(former).toEqual({ identifiers: [{ value: 'b.ob@gmail.com' }] });
  });

  it('are listed version by version, and any of them can be put in force again', async () => {
    const { identityRulesVersions } = await world.data<{
      identityRulesVersions: { edges: { node: { version: number } }[]; pageInfo: { endCursor: string } };
    }>('{ identityRulesVersions(first: 2) { edges { node { version } } pageInfo { endCursor hasNextPage } } }');
    expect(identityRulesVersions).toMatchObject({
      edges: [{ node: { version: 3 } }, { node: { version: 2 } }],
      pageInfo: { hasNextPage: true },
    });
    const rest = await world.data<{ identityRulesVersions: unknown }>(
      'query ($after: String) { identityRulesVersions(after: $after) { edges { node { version appliedAt } } } }',
      { after: identityRulesVersions.pageInfo.endCursor },
    );
    expect(rest.identityRulesVersions).toEqual({ edges: [{ node: { version: 1, appliedAt: null } }] });
    const { old } = await world.data<{ old: { text: string } }>('{ old: identityRules(version: 2) { text } }');
    expect(await apply(old.text)).toMatchObject({ applied: true, current: { version: 4 } });
    expect(await world.data('{ identityRules(version: 99) { version } }')).toEqual({ identityRules: null });
  });

  it('are shown as the file that they are applied by, with their history and what differs', async () => {
    const shown = await weft('show');
    expect(shown.stdout).toMatch(
      /^# version 4, applied 20[\d:.T-]+Z by .+\nidentity:\n {2}namespaces:\n {4}\w+: \{ priority: /,
    );
    expect(await apply(shown.stdout)).toMatchObject({ applied: false, changes: [] });
    expect(JSON.parse((await weft('show', '--version', '1', '--json')).stdout)).toMatchObject({
      version: 1,
      appliedAt: null,
      rules: { namespaces: { user_id: { limit: 1, windowMs: null } }, defaultRegion: null },
    });
    expect(JSON.parse((await weft('history', '--json')).stdout)).toMatchObject([
      { version: 4 },
      { version: 3, changes: ['~ email: limit 3 -> 5', '- emial', '~ email: gmail false -> true'] },
      { version: 2 },
      { version: 1, appliedBy: null, changes: [] },
    ]);
    expect((await weft('history')).stdout.split('\n')[4]).toMatch(/^1 +built in/);
    expect((await weft('diff', '2', '4')).stdout).toBe('Nothing differs.\n');
    expect((await weft('diff', '3')).stdout).toContain('~ email: gmail true -> false\n');
  });

  it('answer a version that there is not with where to look', async () => {
    expect(await weft('show', '--version', '17')).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('weft identity rules history shows those that there are') as string,
    });
  });
});
