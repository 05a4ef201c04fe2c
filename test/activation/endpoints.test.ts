import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { appendChanges } from '../../src/activation/change-feed.store.js';
import { ALL_CHANGES } from '../../src/activation/change-filter.model.js';
import { ENDPOINT_LIMITS } from '../../src/activation/endpoints/endpoint.model.js';
import { endpointsCommand } from '../../src/activation/endpoints/endpoints.command.js';
import type { NewEndpoint } from '../../src/activation/endpoints/endpoint.service.js';
import { createEndpoints, type Endpoints } from '../../src/create-endpoints.js';
import { createEndpointPersons } from '../../src/endpoint-persons.js';
import { newId } from '../../src/platform/ids.js';
import { aFeature } from '../support/a-feature.js';
import { aPurpose } from '../support/a-purpose.js';
import { compiled } from '../support/compiled-program.js';
import { runWith, type CommandOutcome } from '../support/command-runner.js';
import { isSigned, WebhookEndpointReceiver, type ReceivedRequest } from '../support/webhook-endpoint.js';
import { anIdentify, aTrack, createWorld, DAY_MS, HOUR_MS, type World } from '../support/world.js';

const SECRET = 'the secret of a test, of thirty-two characters';

let world: World;
let endpoints: Endpoints;
let receiver: WebhookEndpointReceiver;
const counted = { died: 0, skipped: 0, paused: [] as string[] };

beforeAll(async () => {
  world = await createWorld();
  await world.engine.services.purposes.apply([aPurpose('ads')]);
  await world.defineFeatures([aFeature('views', { events: ['view'] })]);
  await world.defineSegment('viewers', 'performed("view")');
  await world.defineSegment('targets', 'performed("view")', { purposes: ['ads'] });
  await world.drain();
  endpoints = createEndpoints({
    ...{ db: world.db, clock: world.clock, secret: world.secret, networks: ['127.0.0.0/8'], random: () => 0.5 },
    persons: createEndpointPersons({ db: world.db, clock: world.clock, definitions: world.engine.definitions }),
    sealer: world.engine.sealer,
    observer: {
      attempted: () => undefined,
      skipped: (_, count) => (counted.skipped += count),
      died: (_, count) => (counted.died += count),
      paused: (_, because) => counted.paused.push(because),
    },
    onError: (error) => {
      throw error as Error;
    },
  });
});
afterAll(() => world.close());

beforeEach(async () => {
  receiver = await WebhookEndpointReceiver.open();
  Object.assign(counted, { died: 0, skipped: 0, paused: [] });
});
afterEach(async () => {
  await receiver.close();
  for (const { key } of await endpoints.service.page(null, 100)) await endpoints.service.remove(key);
});

const create = async (key: string, { content, settings, ...given }: Given = {}): Promise<string> => {
  const { secret } = await endpoints.service.create({
    ...{ key, url: receiver.url, headers: {}, filter: ALL_CHANGES, after: null, ...given },
    content: { identifiers: [], traits: [], features: [], pii: false, template: null, ...content },
    settings: { timeoutMs: 5_000, concurrency: 4, maxAttempts: 3, ...settings },
  });
  return secret;
};
type Given = Partial<Omit<NewEndpoint, 'content' | 'settings'>> & {
  content?: Partial<NewEndpoint['content']>;
  settings?: Partial<NewEndpoint['settings']>;
};

const never = new AbortController().signal;

/** Rounds for as long as there is something to do at once. */
async function rounds(key: string): Promise<number | null> {
  for (let i = 0; i < 500; i++) {
    const next = await endpoints.sender.round(key, never);
    if (next.kind === 'change') return null;
    if (next.kind === 'at' && next.at > world.clock.now()) return next.at;
  }
  throw new Error('the rounds do not end');
}

/** The same, over all that comes due. */
async function untilDone(key: string): Promise<void> {
  for (let i = 0; i < 500; i++) {
    const at = await rounds(key);
    if (at === null) return;
    world.clock.advance(at - world.clock.now());
  }
  throw new Error('something is always due');
}

const PEOPLE = Array.from({ length: 5 }, () => newId(0));

/** Changes of made-up profiles, in this order; their positions. */
async function change(...people: number[]): Promise<number[]> {
  const [segment] = await world.db.query<{ id: number }>(`SELECT id FROM segments WHERE key = 'viewers'`);
  const changes = people.map((person) => ({
    ...{ profileId: PEOPLE[person] ?? '', segmentId: segment?.id ?? 0, kind: 'enter' as const, at: world.clock.now() },
    ...{ version: 1, cause: { kind: 'event' as const, pos: null } },
  }));
  return (await world.db.transaction((tx) => appendChanges(tx, changes))).map(({ seq }) => seq);
}

const seqOf = ({ id }: ReceivedRequest): number => Number(id.split('-').at(-1));
const dataOf = ({ body }: ReceivedRequest): Readonly<Record<string, unknown>> => body.data ?? {};
const profileOf = (request: ReceivedRequest): string => (dataOf(request)['profile'] as { id: string }).id;

/** By profile, in the order in which they were first taken. */
function firstTaken(requests: readonly ReceivedRequest[]): Map<string, number[]> {
  const lanes = new Map<string, number[]>();
  for (const request of requests) {
    const lane = lanes.get(profileOf(request)) ?? [];
    if (!lane.includes(seqOf(request))) lane.push(seqOf(request));
    lanes.set(profileOf(request), lane);
  }
  return lanes;
}

describe('an endpoint', () => {
  it('is told of each change, signed, with what of the person it may know', async () => {
    const asked = { identifiers: ['email'], traits: ['plan', 'email', 'city'], features: ['views'] };
    const secret = await create('plain', {
      content: { ...asked, pii: true },
      filter: { ...ALL_CHANGES, segments: ['viewers'] },
    });
    await create('masked', { content: asked, filter: { ...ALL_CHANGES, segments: ['viewers'] } });
    await world.accept([
      anIdentify({ email: 'ann@example.com', user_id: 'ann' }, { plan: 'pro', email: 'ann@example.com' }),
      aTrack('view', { user_id: 'ann' }, { messageId: 'view of ann' }),
    ]);
    await world.drain();
    await untilDone('plain');
    await untilDone('masked');
    const [plain, masked] = receiver.taken;
    expect(receiver.taken).toHaveLength(2);
    expect(plain?.body).toMatchObject({
      type: 'segment.entered',
      data: {
        ...{ cause: 'event', version: 1, models: [], segment: { key: 'viewers', name: 'viewers' } },
        event: { messageId: 'view of ann', type: 'track', name: 'view' },
        ...{ identifiers: { email: 'ann@example.com' }, traits: { plan: 'pro' }, features: { views: 1 } },
      },
    });
    expect(plain && isSigned(plain, secret)).toBe(true);
    expect(masked && isSigned(masked, secret)).toBe(false);
    expect(masked?.text).not.toContain('ann@');
    expect(dataOf(masked ?? ({} as never))).toMatchObject({ traits: { plan: 'pro', email: 'a***@***.com' } });
    expect(plain?.headers['user-agent']).toMatch(/^Weft\//);
    const former = secret;
    const fresh = await endpoints.service.rotateSecret('plain', HOUR_MS);
    await change(0);
    await untilDone('plain');
    world.clock.advance(2 * HOUR_MS);
    await change(0);
    await untilDone('plain');
    const [both, one] = receiver.taken.slice(-2);
    for (const each of [former, fresh]) expect(both && isSigned(both, each)).toBe(true);
    expect(one && [isSigned(one, former), isSigned(one, fresh)]).toEqual([false, true]);
  });

  it('for a purpose is told of who withdrew by identifiers alone, and of the erased by their id', async () => {
    const filter = { ...ALL_CHANGES, segments: ['targets'], purposes: ['ads'] };
    const says = (ads: boolean) => aTrack('say', { user_id: 'eve' }, { context: { consent: { purposes: { ads } } } });
    await create('ads', { filter, content: { identifiers: ['user_id'], traits: ['plan'], pii: true } });
    await world.accept([
      says(true),
      anIdentify({ user_id: 'eve' }, { plan: 'pro' }),
      aTrack('view', { user_id: 'eve' }),
    ]);
    await world.drain();
    await untilDone('ads');
    world.clock.advance(1_000);
    await world.accept([says(false)]);
    await world.drain();
    await untilDone('ads');
    world.clock.advance(1_000);
    await world.accept([says(true)]);
    await world.drain();
    const id = profileOf(receiver.taken[0] ?? ({} as never));
    await world.engine.erasures.request({ profileId: id }, { actor: 'test', reason: 'asked' });
    await world.drain();
    await untilDone('ads');
    const told = receiver.taken.map((request) => {
      const { identifiers, traits, cause } = dataOf(request);
      return [request.body.type, cause, identifiers, traits];
    });
    expect(told).toEqual([
      ['segment.entered', 'event', { user_id: 'eve' }, { plan: 'pro' }],
      ['segment.left', 'consent', { user_id: 'eve' }, {}],
      ['segment.entered', 'event', {}, {}],
      ['segment.left', 'erasure', {}, {}],
    ]);
    expect(new Set(receiver.taken.map(profileOf))).toEqual(new Set([id]));
  });

  it('that is down gets a probe now and then, and then everything, each person’s in order', async () => {
    await create('down');
    receiver.answer = (_request, response) => {
      response.destroy();
      return undefined;
    };
    const before = await change(0, 1, 2, 0, 3, 4, 0);
    const at = await rounds('down');
    expect(at).toBe(world.clock.now() + 5_000);
    const attempts = receiver.requests.length;
    expect(attempts).toBeGreaterThanOrEqual(5);
    expect(attempts).toBeLessThan(9);
    const meanwhile = await change(0, 1, 1);
    expect(await rounds('down')).toBe(at);
    world.clock.advance(5_000);
    await rounds('down');
    expect(receiver.requests.length - attempts).toBeLessThanOrEqual(2);
    expect(await endpoints.service.demand('down')).toMatchObject({ behind: 3, dead: 0, error: 'ECONNRESET' });
    receiver.answer = () => 200;
    await untilDone('down');
    const lanes = firstTaken(receiver.taken);
    expect([...lanes.values()].flat().sort((a, b) => a - b)).toEqual([...before, ...meanwhile]);
    for (const lane of lanes.values()) expect(lane).toEqual([...lane].sort((a, b) => a - b));
    expect(await endpoints.service.demand('down')).toMatchObject({ behind: 0, waiting: 0, retryAt: null, error: null });
  });

  it('is told everything in order whatever it answers, but for what it refused too often', async () => {
    let runs = 0;
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.array(fc.nat(4), { minLength: 1, maxLength: 6 }), { minLength: 1, maxLength: 4 }),
        fc.array(fc.constantFrom(200, 200, 200, 422, 500, 503, 429, 302), { minLength: 1, maxLength: 40 }),
        async (batches, statuses) => {
          receiver.taken.length = 0;
          let next = 0;
          receiver.answer = () => statuses[next++] ?? 200;
          const key = `any_${String(++runs)}`;
          await create(key, { settings: { concurrency: 2 } });
          const all: number[] = [];
          for (const people of batches) {
            all.push(...(await change(...people)));
            await rounds(key);
            world.clock.advance(HOUR_MS);
          }
          await untilDone(key);
          const dead = (await endpoints.service.undelivered(key, 0, 500)).map(({ seq }) => seq);
          expect(receiver.taken.every(({ headers }) => headers['webhook-id'] !== undefined)).toBe(true);
          const lanes = firstTaken(receiver.taken);
          for (const lane of lanes.values()) expect(lane).toEqual([...lane].sort((a, b) => a - b));
          const known = [...lanes.values()].flat();
          expect([...known, ...dead].sort((a, b) => a - b)).toEqual(all);
          expect(await endpoints.service.demand(key)).toMatchObject({ waiting: 0, dead: dead.length });
          // What was given up is delivered once it is asked for again, and the receiver, who may still refuse, takes it.
          for (let left = dead.length, i = 0; left > 0 && i <= statuses.length; i++) {
            expect(await endpoints.service.replay(key, null)).toBe(left);
            await untilDone(key);
            left = (await endpoints.service.undelivered(key, 0, 500)).length;
          }
          expect(new Set(receiver.taken.map(seqOf))).toEqual(new Set(all));
          await endpoints.service.remove(key);
        },
      ),
      { numRuns: 15 },
    );
  });

  it('that says it is gone is paused, and goes on where it was when it is resumed', async () => {
    await create('gone');
    receiver.answer = () => 410;
    const seqs = await change(0, 1);
    await rounds('gone');
    expect(await endpoints.service.demand('gone')).toMatchObject({
      pausedBecause: 'the receiver wants no more (HTTP 410)',
    });
    expect(counted.paused).toHaveLength(1);
    receiver.answer = () => 200;
    await rounds('gone');
    expect(receiver.taken).toEqual([]);
    await endpoints.service.resume('gone');
    await untilDone('gone');
    expect(receiver.taken.map(seqOf).sort()).toEqual(seqs);
  });

  it('is not reached at an address that requests may not go to, nor by a redirect', async () => {
    const elsewhere = await WebhookEndpointReceiver.open();
    await create('moved');
    receiver.answer = (_request, response) => {
      response.writeHead(307, { location: elsewhere.url }).end();
      return undefined;
    };
    await change(0);
    await rounds('moved');
    expect(await endpoints.service.demand('moved')).toMatchObject({ error: 'HTTP 307: redirects are not followed' });
    expect(elsewhere.requests).toEqual([]);
    await elsewhere.close();
    const strict = createEndpoints({
      ...{ db: world.db, clock: world.clock, secret: world.secret, networks: [], random: () => 0.5 },
      persons: () => Promise.resolve(new Map()),
      sealer: world.engine.sealer,
      observer: {
        attempted: () => undefined,
        skipped: () => undefined,
        died: () => undefined,
        paused: () => undefined,
      },
      onError: () => undefined,
    });
    expect(await strict.service.test('moved')).toMatchObject({
      kind: 'down',
      error: expect.stringContaining('address') as unknown,
    });
    await expect(strict.service.update('moved', { url: receiver.url })).rejects.toThrow('may not go to');
  });

  it('with a template that requires what a person lacks leaves their changes out, and counts them', async () => {
    await create('hub', { content: { identifiers: ['email'], pii: true, template: 'hubspot' } });
    await world.accept([anIdentify({ email: 'hal@example.com' }), aTrack('view', { email: 'hal@example.com' })]);
    await world.drain();
    await change(0);
    await untilDone('hub');
    expect(receiver.taken.map(({ body }) => body)).toMatchObject([
      { inputs: [{ idProperty: 'email', id: 'hal@example.com', properties: { weft_segment: 'viewers' } }] },
    ]);
    expect(counted.skipped).toBe(1);
    expect(await endpoints.service.demand('hub')).toMatchObject({ delivered: 1, behind: 0 });
  });
});

describe('the process that sends', () => {
  it('lets no endpoint wait for another that is dead, or answers nothing', async () => {
    const slow = await WebhookEndpointReceiver.open();
    slow.answer = () => undefined;
    await create('dead', { url: 'http://127.0.0.1:1/' });
    await create('slow', { url: slow.url });
    await create('well');
    endpoints.runner.start();
    const seqs = await change(...Array.from({ length: 150 }, (_, i) => i % 5));
    endpoints.runner.changed();
    await expect.poll(() => receiver.taken.length, { timeout: 20_000 }).toBe(150);
    expect(slow.requests.length).toBeGreaterThan(0);
    expect(slow.requests.length).toBeLessThanOrEqual(4);
    for (const lane of firstTaken(receiver.taken).values()) expect(lane).toEqual([...lane].sort((a, b) => a - b));
    expect(new Set(receiver.taken.map(seqOf))).toEqual(new Set(seqs));
    // A second process finds the lease taken and sends nothing.
    await endpoints.runner.stop();
    await slow.close();
  });

  it('is killed between a request and its answer, again and again: nothing is lost, and order holds', async () => {
    await create('crash', { settings: { concurrency: 3, timeoutMs: 60_000 } });
    const seqs = await change(...Array.from({ length: 60 }, (_, i) => i % 5));
    const script = compiled(new URL('../support/endpoint-sender.program.ts', import.meta.url));
    let child = start();
    let kills = 0;
    receiver.answer = () => {
      // Once in a while the sender does not live to hear the answer.
      if (kills < 3 && receiver.requests.length % 15 === 7) {
        kills++;
        child.kill('SIGKILL');
      }
      return 200;
    };
    function start(): ReturnType<typeof spawn> {
      return spawn(process.execPath, [script, world.test.url, SECRET], {
        stdio: ['ignore', 'ignore', 'inherit'],
      });
    }
    for (let i = 0; i < 10; i++) {
      const exited = once(child, 'exit');
      const done = expect
        .poll(async () => (await endpoints.service.demand('crash')).behind, { timeout: 40_000, interval: 100 })
        .toBe(0)
        .then(() => 'done')
        .catch(() => 'late');
      const outcome = await Promise.race([exited, done]);
      if (outcome === 'done') break;
      child = start();
    }
    const ended = once(child, 'exit');
    child.kill('SIGKILL');
    await ended;
    expect(kills).toBe(3);
    expect(receiver.taken.length).toBeGreaterThan(60);
    expect(new Set(receiver.taken.map(seqOf))).toEqual(new Set(seqs));
    for (const lane of firstTaken(receiver.taken).values()) expect(lane).toEqual([...lane].sort((a, b) => a - b));
  }, 90_000);
});

describe('weft endpoints', () => {
  const weft = (line: string): Promise<CommandOutcome> =>
    runWith((io) => endpointsCommand({ ...io, withEndpoints: (use) => use(endpoints.service) }), line.split(' '));

  it('makes an endpoint, changes it, tests it, shows what failed, tries it again and removes it', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'weft-endpoints-'));
    const headers = join(folder, 'headers.json');
    const template = join(folder, 'template.json');
    await writeFile(headers, '{ "Authorization": "Bearer of-a-test" }');
    await writeFile(template, '{ "who": "{{profile.id}}", "what": "{{change.kind}} {{segment.key}}" }');
    const made = await weft(
      `create crm --url ${receiver.url}?key=hidden --headers-file ${headers} --template-file ${template} --except-causes edit --attempts 1`,
    );
    expect(made).toMatchObject({ code: 0 });
    expect(made.stdout).toMatch(/^whsec_[\w+/]{43}=$/m);
    expect((await weft('list')).stdout).toContain('sending');
    const shown = await weft('show crm --json');
    for (const hidden of ['hidden', 'of-a-test', 'whsec']) expect(shown.stdout).not.toContain(hidden);
    expect(JSON.parse(shown.stdout)).toMatchObject({
      filter: { exceptCauses: ['edit'] },
      settings: { maxAttempts: 1 },
    });
    expect(await weft('test crm')).toMatchObject({ code: 0, stdout: 'The receiver took it.\n' });
    expect(receiver.requests[0]).toMatchObject({
      body: { type: 'endpoint.test' },
      headers: { authorization: 'Bearer of-a-test' },
    });
    receiver.answer = () => 400;
    await change(0);
    await untilDone('crm');
    expect(receiver.requests.at(-1)?.body).toEqual({ who: PEOPLE[0], what: 'enter viewers' });
    expect((await weft('undelivered crm')).stdout).toMatch(/dead +1 +HTTP 400/);
    receiver.answer = () => 200;
    expect((await weft('replay crm')).stdout).toBe('Tried again: 1 changes.\n');
    await untilDone('crm');
    expect((await weft('undelivered crm')).stdout).toBe('Everything that was tried is delivered.\n');
    expect((await weft('pause crm')).stdout).toContain('state      paused');
    expect((await weft('update crm --kind leave --timeout 3s')).stdout).toContain(
      'told       all segments; only leave; not by edit',
    );
    expect((await weft('rotate-secret crm')).stdout).toMatch(/^whsec_/);
    expect(await weft('show crn')).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('did you mean crm?') as unknown,
    });
    expect(await weft('remove crm')).toMatchObject({ code: 0 });
    await rm(folder, { recursive: true });
  });

  it.each([
    ['create x', 'an endpoint needs a URL'],
    ['create X --url https://example.com', 'cannot be called so'],
    ['create x --url http://10.0.0.1/', 'may not go to'],
    ['create x --url https://example.com --segments nobody', 'there is no segment nobody'],
    ['create x --url https://example.com --concurrency 99', 'concurrency cannot be so'],
    ['create x --url https://example.com --traits $consent', 'there can be no such name'],
    ['create x --url https://example.com --purposes news', 'news'],
  ])('%s is refused', async (line, message) => {
    const { code, stderr } = await weft(line);
    expect(code).toBeGreaterThan(0);
    expect(stderr).toContain(message);
  });

  it('makes no more than an installation may have', async () => {
    await world.db.execute(
      `INSERT INTO webhook_endpoints (key, origin, target, secret, filter, content, settings, seq, created_at)
       SELECT 'e' || i, 'x', '', '', '{}', '{}', '{}', 0, 0 FROM generate_series(1, $1::int4) i`,
      [ENDPOINT_LIMITS.maxEndpoints],
    );
    await expect(create('more')).rejects.toThrow('which is all');
    world.clock.advance(DAY_MS);
  });
});
