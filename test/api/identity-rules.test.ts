import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { Command } from 'commander';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { addRulesPreviewCommand } from '../../src/identity-rules-preview.command.js';
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
      const rules = addRulesCommand(identity, { ...io, withRules: (use) => use(new IdentityRulesReader(world.db)) });
      const signal = new AbortController().signal;
      addRulesPreviewCommand(rules, { ...io, signal, withPreviews: (use) => use(world.engine.identity.rulesPreviews) });
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
      stderr: expect.stringContaining(
        'weft identity rules history and identityRulesVersions show those that there are',
      ) as string,
    });
  });

  describe('before they are applied', () => {
    const PREVIEW = `query ($rules: String, $components: Int! = 1000, $after: String) {
      identityRulesPreview(rules: $rules, components: $components, after: $after) {
        changes concerns componentsSeen componentsExamined identifiers profiles evidenceRows
        profilesSplit profilesMerged profilesAdded identifiersMoved contested isComplete endCursor
        examples { kind from to count identifiers { namespace value } } } }`;
    const STRICT = 'identity: { namespaces: { email: { limit: 1 } } }';
    let file: string;

    beforeAll(async () => {
      await apply('identity: {}');
      for (const person of ['carla', 'dora']) {
        for (const n of ['1', '2', '3']) {
          world.clock.advance(60_000);
          await world.accept([aTrack('view', { user_id: person, email: `${person}${n}@example.org` })]);
        }
      }
      await world.drain();
      file = join(await mkdtemp(join(tmpdir(), 'weft-rules-')), 'identity.yaml');
      await writeFile(file, STRICT);
    });
    afterAll(() => rm(dirname(file), { recursive: true }));

    async function previewed(variables: Readonly<Record<string, unknown>>) {
      const { identityRulesPreview } = await world.data<{ identityRulesPreview: Record<string, unknown> }>(
        PREVIEW,
        variables,
      );
      return identityRulesPreview;
    }

    it('say whom they would take apart, in parts where that is asked', async () => {
      const told = await previewed({ rules: STRICT });
      expect(told).toMatchObject({
        changes: ['~ email: limit 5 -> 1, unique false -> true'],
        concerns: ['email (limit)'],
        ...{ componentsExamined: 2, identifiers: 8, profiles: 2, evidenceRows: 6 },
        ...{ profilesSplit: 2, profilesMerged: 0, profilesAdded: 4, identifiersMoved: 4, contested: 0 },
        ...{ isComplete: true, endCursor: null },
      });
      expect(told.examples).toHaveLength(4);
      expect(told.examples).toContainEqual({
        ...{ kind: 'SPLIT', from: expect.any(String) as string, to: null, count: 1 },
        identifiers: [{ namespace: 'email', value: 'dora3@example.org' }],
      });
      const first = await previewed({ rules: STRICT, components: 1 });
      expect(first).toMatchObject({ componentsExamined: 1, isComplete: false });
      const second = await previewed({ rules: STRICT, after: first.endCursor });
      expect(second).toMatchObject({ componentsExamined: 1, isComplete: true, profilesSplit: 1 });
    });

    it.each([
      ['rules that are none', { rules: 'identity: { namespaces: 3 }' }, 'DEFINITION_INVALID'],
      ['no components', { components: 0 }, 'BAD_REQUEST'],
      ['a place that is none', { after: 'x' }, 'CURSOR_INVALID'],
    ])('refuse a preview of %s', async (_, variables, code) => {
      const { errors } = (await world.ask(PREVIEW, variables)) as { errors?: unknown };
      expect(errors).toMatchObject([{ extensions: { code } }]);
    });

    it('are previewed on the command line, too', async () => {
      const { code, stdout } = await weft('preview', file);
      expect(code).toBe(0);
      const lines = stdout.split('\n');
      expect(lines.slice(0, 4)).toEqual([
        '  ~ email: limit 5 -> 1, unique false -> true',
        'Those who are there are concerned by: email (limit)',
        expect.stringMatching(
          /^2 components of \d+ looked at: 2 profiles, 8 identifiers, 6 rows of evidence$/,
        ) as string,
        '2 profiles would fall apart, 0 would become part of others, 4 would come about; 4 identifiers would move',
      ]);
      expect(lines.slice(4, 8).sort().join()).toMatch(/loses to a new profile: email:carla2@example\.org/);
      expect(lines.at(-2)).toBe('Nothing was changed.');
      const limited = await weft('preview', file, '--limit', '1');
      expect(limited.stdout).toContain('At least: 1 component of');
      const asJson = JSON.parse((await weft('preview', file, '--json')).stdout) as { componentsTotal: number };
      expect(asJson).toMatchObject({
        ...{ isComplete: true, profilesSplit: 2, identifiersMoved: 4, componentsExamined: 2 },
        ...{ concerns: ['email (limit)'], componentsSeen: asJson.componentsTotal },
      });
      const ofApi = (await world.ask('{ __type(name: "IdentityRulesPreview") { fields { name } } }', {})) as {
        data: { __type: { fields: { name: string }[] } };
      };
      const names = ofApi.data.__type.fields.map(({ name }) => name).filter((name) => name !== 'endCursor');
      expect(Object.keys(asJson).sort()).toEqual(names.sort());
      expect((await weft('preview')).stdout).toContain('0 identifiers would move');
      await writeFile(file, 'traits: []');
      expect(await weft('preview', file)).toMatchObject({
        code: 2,
        stderr: expect.stringContaining('identity at its top') as string,
      });
      await writeFile(file, 'identity: { blocked: { values: [carla2@example.org] } }');
      expect((await weft('preview', file)).stdout).toContain('1 value would count for nobody; by 1 identifier nobody');
      await writeFile(file, 'identity: { email: { gmail: true } }');
      expect((await weft('preview', file)).stdout).toContain('nobody who is there is resolved otherwise');
      const ofNobody = { concerns: [], componentsTotal: 0, componentsSeen: 0, componentsExamined: 0, isComplete: true };
      expect(JSON.parse((await weft('preview', file, '--json')).stdout)).toMatchObject(ofNobody);
      await writeFile(file, 'identity: {}');
      expect((await weft('preview', file)).stdout).toBe('Nothing differs from the rules in force.\n');
    });

    it('are applied with those resolved anew whom they concern, where that is asked', async () => {
      const { applyIdentityRules } = await world.data<{ applyIdentityRules: { revision: { id: string } } }>(
        `mutation ($rules: String!) { applyIdentityRules(rules: $rules, reresolve: true) {
           ... on IdentityRulesChange { applied concerns revision { id status kind } } } }`,
        { rules: STRICT },
      );
      expect(applyIdentityRules).toMatchObject({
        applied: true,
        concerns: ['email (limit)'],
        revision: { kind: 'RULES' },
      });
      await world.drain();
      const { identityRevision } = await world.data<{ identityRevision: unknown }>(
        'query ($id: ID!) { identityRevision(id: $id) { status movedIdentifiers } }',
        { id: applyIdentityRules.revision.id },
      );
      expect(identityRevision).toEqual({ status: 'DONE', movedIdentifiers: 4 });
    });
  });
});
