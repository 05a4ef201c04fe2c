import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { StoredAuditEntry } from '../../src/audit/audit-entry.model.js';
import { verifyAuditLog } from '../../src/audit/verify-audit-log.js';
import { auditChainKey } from '../../src/start-audit.js';
import { createApiWorld, type ApiWorld } from '../support/api-world.js';
import { anIdentify, aTrack } from '../support/world.js';

const EMAIL = 'audit.canary@example.com';
const WHO = `identifier: { namespace: "email", value: "${EMAIL}" }`;

let world: ApiWorld;
let id = '';
let lastSeq = 0;

beforeAll(async () => {
  world = await createApiWorld();
  await world.defineSegment('keen', 'count("product_view", "1h") >= 1');
  await world.accept([anIdentify({ email: EMAIL }, { plan: 'gold' }), aTrack('product_view', { email: EMAIL })]);
  await world.drain();
  ({ id } = (await world.data<{ profile: { id: string } }>(`{ profile(${WHO}) { id } }`)).profile);
});

afterAll(async () => {
  expect(world.defects).toEqual([]);
  await world.close();
});

/** What was written since the last call, the oldest first. */
async function written(): Promise<StoredAuditEntry[]> {
  await world.services.audit.writes.flush();
  const entries = await world.services.auditLog.following(lastSeq, 1_000);
  lastSeq = entries.at(-1)?.seq ?? lastSeq;
  return entries;
}

beforeEach(written);

describe('a read of personal data', () => {
  it('is noted with who, through which fields, of whom', async () => {
    for (let run = 0; run < 4; run++) {
      await world.ask(
        `query Q { profile(${WHO}) { id ...More } } fragment More on Profile { traits identifiers { value } }`,
      );
    }
    await world.ask(`{ profile(${WHO}) { timeline { edges { node { __typename } } } } }`, {}, { key: world.keys.read });
    const fields = ['Profile.identifiers', 'Profile.traits'];
    expect(await written()).toMatchObject([
      {
        kind: 'access',
        actor: { kind: 'key', name: 'admin' },
        operation: 'Query.profile',
        fields,
        targets: [id],
        count: 4,
        outcome: 'OK',
      },
      { actor: { name: 'read' }, fields: ['Profile.timeline'], targets: [id], count: 1, outcome: 'MASKED' },
    ]);
  });

  it('is noted through lists, and with all root fields of a request', async () => {
    await world.ask(`{ segment(key: "keen") { members { edges { node { traits } } } }
      onlineFeatures(entities: [{ namespace: "email", value: "${EMAIL}" }]) { profileId } }`);
    expect(await written()).toMatchObject([{ operation: 'Query.segment', fields: ['Profile.traits'], targets: [id] }]);
    await world.ask(`{ a: profile(id: "${id}") { traits } profiles { edges { node { segments { isMember } } } } }`);
    expect(await written()).toMatchObject([
      { operation: 'Query.profile, Query.profiles', fields: ['Profile.segments', 'Profile.traits'], targets: [id] },
    ]);
  });

  it('is not noted where nothing but an id is told, or nobody is found', async () => {
    await world.ask(`{ profile(${WHO}) { id createdAt } sources { edges { node { key } } } }`);
    await world.ask('{ profile(identifier: { namespace: "email", value: "nobody@example.com" }) { traits } }');
    expect(await written()).toEqual([]);
  });

  it('is noted of inputs that were not taken', async () => {
    await world.ask('{ deadLetters { edges { node { id code payload } } } }');
    await world.ask('{ deadLetters { edges { node { id code } } } }');
    expect(await written()).toMatchObject([
      { operation: 'Query.deadLetters', fields: ['DeadLetter.payload'], count: 1 },
    ]);
  });

  it('is noted of an export', async () => {
    await fetch(`${world.url}/exports/profiles/${id}`, { headers: { authorization: `Bearer ${world.keys.admin}` } });
    expect(await written()).toMatchObject([{ kind: 'access', operation: 'GET /exports/profiles', targets: [id] }]);
  });
});

describe('a change', () => {
  it('is noted with its outcome, done, refused or forbidden, before it is answered', async () => {
    const mutation = 'mutation { pauseSource(key: "web") { __typename } }';
    await world.ask(mutation);
    await world.ask('mutation { pauseSource(key: "nowhere") { __typename ... on Failure { code } } }');
    await world.ask(mutation, {}, { key: world.keys.read });
    const entries = await world.services.auditLog.following(lastSeq, 10);
    expect(entries).toMatchObject([
      { kind: 'change', operation: 'Mutation.pauseSource', actor: { name: 'admin' }, targets: ['web'], outcome: 'OK' },
      { targets: ['nowhere'], outcome: 'NOT_FOUND' },
      { actor: { name: 'read' }, outcome: 'FORBIDDEN' },
    ]);
    await world.data('mutation { resumeSource(key: "web") { __typename } }');
  });

  it('names what it made, and whom it erased, by id', async () => {
    const created = await world.data<{ createApiKey: { key: { id: string } } }>(
      'mutation { createApiKey(key: { name: "some name", scopes: [READ] }) { ... on CreatedApiKey { key { id } } } }',
    );
    const erased = await world.data<{ eraseProfile: { id: string } }>(
      `mutation { eraseProfile(input: { ${WHO}, reason: "asked by ${EMAIL}" }) { ... on ErasureReceipt { id } } }`,
    );
    const [made, gone] = await written();
    expect(made).toMatchObject({ operation: 'Mutation.createApiKey', targets: [created.createApiKey.key.id] });
    expect(gone?.targets).toEqual(expect.arrayContaining([erased.eraseProfile.id, id]));
  });

  it('is not what sends events', async () => {
    const ingest = 'mutation { ingest(source: "web", events: []) { __typename } }';
    await world.ask(ingest);
    expect(await written()).toEqual([]);
  });
});

describe('the audit log', () => {
  it('is told to admins, by page, by whom and of whom', async () => {
    const query = `query ($after: String, $filter: AuditLogFilter) { auditLog(first: 2, after: $after, filter: $filter) {
      edges { node { seq operation targets hash actor { kind name } } } pageInfo { hasNextPage endCursor } } }`;
    interface Page {
      auditLog: { edges: { node: { seq: number; targets: string[] } }[]; pageInfo: { endCursor: string } };
    }
    const first = await world.data<Page>(query, { filter: { target: id } });
    const next = await world.data<Page>(query, { filter: { target: id }, after: first.auditLog.pageInfo.endCursor });
    const nodes = [...first.auditLog.edges, ...next.auditLog.edges].map(({ node }) => node);
    expect(nodes.length).toBeGreaterThan(2);
    expect(nodes.every(({ targets }) => targets.includes(id))).toBe(true);
    expect(nodes.map(({ seq }) => seq)).toEqual(nodes.map(({ seq }) => seq).sort((a, b) => b - a));
    const refused = await world.ask(query, {}, { key: world.keys.pii });
    expect(refused.errors?.[0]?.extensions['code']).toBe('FORBIDDEN');
  });

  it('has nothing of what the data said, and holds as a chain', async () => {
    await world.ask(
      `mutation { liftSuppression(identifier: { namespace: "phone", value: "+436641234567" }) { __typename } }`,
    );
    await world.ask(`mutation { deleteTraits(names: ["${EMAIL}"], id: "${EMAIL}") { __typename } }`);
    await written();
    const rows = await world.db.query<{ text: string }>('SELECT audit_log::text AS text FROM audit_log');
    const text = rows.map((row) => row.text).join('\n');
    for (const secret of ['canary', 'example.com', '436641234567', 'gold', ...Object.values(world.keys)]) {
      expect(text).not.toContain(secret);
    }
    const verdict = await verifyAuditLog(world.services.auditLog, auditChainKey(world.services.secret));
    expect(verdict).toMatchObject({ problem: null, verified: rows.length });
  });
});
