import { Command } from 'commander';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { readLinkageModel } from '../../src/identity/linkage/read-linkage-model.js';
import { addReviewCommands } from '../../src/identity/matching/review.command.js';
import { throwInsteadOfExiting } from '../../src/platform/command-line.js';
import { createApiWorld, type ApiWorld } from '../support/api-world.js';
import { activate, settle } from '../support/matching-world.js';
import { anIdentify } from '../support/world.js';

/** Whoever has a birthday in common is compared; an equal surname makes them one, another one leaves it open. */
const MODEL = readLinkageModel(
  JSON.stringify({
    format: 'weft-linkage-1',
    prior: 0.5,
    comparisons: [
      {
        name: 'surname',
        levels: [
          { when: 'surname_l IS NULL OR surname_r IS NULL', isNull: true, label: 'missing' },
          { when: 'surname_l = surname_r', m: 0.9, u: 0.01, label: 'equal' },
          { when: 'levenshtein(surname_l, surname_r) <= 1', m: 0.6, u: 0.4, label: 'a slip apart' },
          { when: 'ELSE', m: 0.01, u: 0.9, label: 'different' },
        ],
      },
    ],
    blocking: [{ on: ['birthday'] }],
  }),
  'model',
);

let world: ApiWorld;

const someone = (user: string, surname: string, birthday = '1980-01-31') =>
  anIdentify({ user_id: user }, { surname, birthday });

beforeAll(async () => {
  world = await createApiWorld();
  await activate(world, MODEL, {
    surname: { kind: 'trait', name: 'surname' },
    birthday: { kind: 'trait', name: 'birthday' },
  });
  await world.accept([
    someone('ann', 'Tanner'),
    someone('anne', 'Taner'),
    someone('bob', 'Baker', '1981-01-01'),
    someone('rob', 'Bakker', '1981-01-01'),
    someone('cay', 'Cook', '1982-01-01'),
    someone('kay', 'Kook', '1982-01-01'),
    someone('dan', 'Dyer', '1983-01-01'),
    someone('don', 'Dyer', '1983-01-01'),
    someone('eve', 'Eder', '1984-01-01'),
    someone('eva', 'Edler', '1984-01-01'),
  ]);
  await settle(world);
});

afterAll(() => world.close());

interface Review {
  readonly id: string;
  readonly status: string;
  readonly a: { readonly value: string };
  readonly b: { readonly value: string };
}

async function queue(status = 'OPEN'): Promise<Review[]> {
  const { identityReview } = await world.data<{ identityReview: { edges: { node: Review }[] } }>(
    `{ identityReview(status: ${status}, first: 10) { edges { node { id status a { value } b { value } } } } }`,
  );
  return identityReview.edges.map(({ node }) => node);
}

const namesOf = ({ a, b }: Review): string => [a.value, b.value].sort().join(' ');

async function reviewOf(names: string): Promise<Review> {
  const found = (await queue()).find((review) => namesOf(review) === names);
  if (found === undefined) throw new Error(`no review of ${names}`);
  return found;
}

const decide = (id: string, decision: string) =>
  world.data<{ decideIdentityReview: { review?: Review; message?: string } }>(
    `mutation ($id: ID!) { decideIdentityReview(id: $id, decision: ${decision}, reason: "they called") {
       ... on IdentityReviewDecided { review { id status } revisionId } ... on Failure { message } } }`,
    { id },
  );

async function profileOf(user: string): Promise<string> {
  const { profile } = await world.data<{ profile: { id: string } }>(
    `{ profile(identifier: { namespace: "user_id", value: "${user}" }) { id } }`,
  );
  return profile.id;
}

describe('pairs that a model cannot tell', () => {
  it('are in a queue with why they weigh what they do; those that weigh enough are linked', async () => {
    expect((await queue()).map(namesOf).sort()).toEqual(['ann anne', 'bob rob', 'cay kay', 'eva eve']);
    expect(await profileOf('dan')).toBe(await profileOf('don'));
    const { identityReview } = await world.data<{
      identityReview: { edges: { node: { matchWeight: number; matchProbability: number; waterfall: unknown } }[] };
    }>(
      `{ identityReview(first: 1) { edges { node { matchWeight matchProbability
           waterfall { comparison level weight adjustment } columns { column left right } } } } }`,
    );
    const [first] = identityReview.edges;
    expect(first?.node).toMatchObject({
      waterfall: [
        { comparison: 'prior', level: null, weight: 0, adjustment: 0 },
        { comparison: 'surname', level: 'a slip apart', adjustment: 0 },
      ],
    });
    expect(first?.node.matchWeight).toBeCloseTo(Math.log2(0.6 / 0.4), 12);
    expect(first?.node.matchProbability).toBeCloseTo(0.6, 12);
    const links = await world.data<{ identityLinks: { edges: { node: unknown }[] } }>(
      '{ identityLinks(first: 5) { edges { node { kind modelVersion } } } }',
    );
    expect(links.identityLinks.edges).toEqual([{ node: { kind: 'MUST', modelVersion: MODEL.version } }]);
    const { identityMatching } = await world.data<{ identityMatching: object }>(
      '{ identityMatching { phase records waiting links openReviews } }',
    );
    expect(identityMatching).toEqual({ phase: 'LIVE', records: 10, waiting: 0, links: 1, openReviews: 4 });
  });

  it('are one by decision, whatever the model says later', async () => {
    const { id } = await reviewOf('ann anne');
    expect((await decide(id, 'MERGE')).decideIdentityReview.review).toEqual({ id, status: 'MERGED' });
    await settle(world);
    expect(await profileOf('ann')).toBe(await profileOf('anne'));
    expect((await queue()).map(namesOf)).not.toContain('ann anne');
    expect((await decide(id, 'SKIP')).decideIdentityReview.message).toContain('decided before');
    await world.accept([someone('anne', 'Zimmermann')]);
    await settle(world);
    expect(await profileOf('ann')).toBe(await profileOf('anne'));
  });

  it('are decided once, whoever decides at the same time', async () => {
    const { id } = await reviewOf('eva eve');
    const decisions = ['MERGE', 'KEEP_APART', 'MERGE', 'SKIP', 'KEEP_APART'];
    const answers = await Promise.all(decisions.map((decision) => decide(id, decision)));
    const taken = answers.filter(({ decideIdentityReview }) => decideIdentityReview.review !== undefined);
    const last = taken.map(({ decideIdentityReview }) => decideIdentityReview.review?.status);
    // Who skips leaves it to be decided.
    expect(last.filter((status) => status !== 'SKIPPED')).toHaveLength(1);
    await settle(world);
    const isOne = (await profileOf('eve')) === (await profileOf('eva'));
    expect(isOne).toBe(last.includes('MERGED'));
    const { identityRevisions } = await world.data<{ identityRevisions: { edges: unknown[] } }>(
      '{ identityRevisions(first: 10) { edges { node { id reason } } } }',
    );
    expect(identityRevisions.edges.filter((edge) => JSON.stringify(edge).includes('they called'))).toHaveLength(2);
  });

  it('are kept apart by decision, even once the model would link them', async () => {
    const { id } = await reviewOf('bob rob');
    await decide(id, 'KEEP_APART');
    await settle(world);
    await world.accept([someone('rob', 'Baker', '1981-01-01')]);
    await settle(world);
    expect(await profileOf('bob')).not.toBe(await profileOf('rob'));
    expect((await queue()).map(namesOf)).toEqual(['cay kay']);
    expect((await queue('KEPT_APART')).map(namesOf)).toContain('bob rob');
  });

  it('leave the queue when they weigh too little or enough, and links go with what made them', async () => {
    await world.accept([someone('kay', 'Zimmermann', '1982-01-01')]);
    await settle(world);
    expect(await queue()).toEqual([]);
    await world.accept([someone('kay', 'Cook', '1982-01-01')]);
    await settle(world);
    expect(await profileOf('cay')).toBe(await profileOf('kay'));
    await world.accept([someone('kay', 'Kook', '1982-01-01')]);
    await settle(world);
    expect(await profileOf('cay')).not.toBe(await profileOf('kay'));
    expect((await queue()).map(namesOf)).toEqual(['cay kay']);
  });

  it('are listed, shown and decided on the command line', async () => {
    const run = async (...args: string[]) => {
      let [code, out, err] = [NaN, '', ''];
      const { reviews } = world.engine.matching;
      const services = { reviews, settled: () => settle(world).then(() => true) };
      const command = new Command('identity');
      addReviewCommands(command, {
        stdout: { write: (text) => (out += text) },
        stderr: { write: (text) => (err += text) },
        setExitCode: (ended) => (code = ended),
        signal: new AbortController().signal,
        withReviews: (use) => use(services),
        withReviewer: (use) => use(services),
        user: 'a test',
      });
      await throwInsteadOfExiting(command).parseAsync(['review', ...args], { from: 'user' });
      return { code, out, err };
    };
    const { id } = await reviewOf('cay kay');
    expect((await run('list')).out).toContain('0.600');
    const shown = await run('show', id);
    expect(shown.out).toContain('a slip apart');
    expect(shown.out).toContain('match weight +0.58, probability 0.6000');
    expect((await run('decide', id, 'skip')).out).toContain('skipped');
    expect(await queue()).toEqual([]);
    expect((await run('decide', id, 'merge', '--reason', 'same passport')).code).toBe(0);
    await settle(world);
    expect(await profileOf('cay')).toBe(await profileOf('kay'));
    expect((await run('show', '01900000-0000-7000-8000-000000000001')).err).toContain('there is no such pair');
  });
});
