import { readFile } from 'node:fs/promises';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { AuditLogReader } from '../../src/audit/audit-log.reader.js';
import { createApiWorld, type ApiWorld } from '../support/api-world.js';
import { readModelFixture } from '../support/model-fixtures.js';

const MEASURES = ['sepal_length_cm', 'sepal_width_cm', 'petal_length_cm', 'petal_width_cm'];
const FEATURES = `
views:
  - name: flowers
    description: The latest measures.
    features:
${MEASURES.map((name) => `      - { name: ${name}, aggregate: last, events: [measured], value: properties.${name}, type: double }`).join('\n')}
services:
  - { name: iris_v1, description: All four., features: [${MEASURES.join(', ')}] }
`;

const FIRST = { sepal_length_cm: 5.1, sepal_width_cm: 3.5, petal_length_cm: 1.4, petal_width_cm: 0.2 };
const SECOND = { sepal_length_cm: 5.0, sepal_width_cm: 2.0, petal_length_cm: 3.5, petal_width_cm: 1.0 };

const FAILURE = '... on Failure { __typename code message where hint }';

let world: ApiWorld;
const runs: { model: string; rows: number }[] = [];

beforeAll(async () => {
  world = await createApiWorld({ observers: { onRun: (model, rows) => runs.push({ model, rows }) } });
});

afterAll(async () => {
  expect(world.defects).toEqual([]);
  await world.close();
});

const flower = (value: string): string => `profile(identifier: { namespace: "user_id", value: "${value}" })`;

describe('mutations', () => {
  it('make sources and keys; a secret is shown once and a revoked key ends', async () => {
    expect(
      await world.data(`mutation {
        made: createSource(key: "garden", name: "The garden") { ... on Source { key name kind } ${FAILURE} }
        again: createSource(key: "garden") { ${FAILURE} }
        bad: createSource(key: "No!") { ${FAILURE} }
      }`),
    ).toMatchObject({
      made: { key: 'garden', name: 'The garden', kind: 'HTTP' },
      again: { __typename: 'Conflict', code: 'CONFLICT', where: 'key' },
      bad: { __typename: 'BadRequest', where: 'key' },
    });
    const { createApiKey } = await world.data<{ createApiKey: { key: { id: string }; secret: string } }>(
      `mutation { createApiKey(key: { name: "garden", scopes: [INGEST], source: "garden" }) {
         ... on CreatedApiKey { key { id prefix scopes expiresAt } secret } ${FAILURE} } }`,
    );
    expect(createApiKey).toMatchObject({ key: { scopes: ['INGEST'], expiresAt: null } });
    expect(JSON.stringify(await world.data('{ apiKeys { edges { node { id prefix name } } } }'))).not.toContain(
      createApiKey.secret,
    );
    expect(
      await world.data(`mutation { createApiKey(key: { name: "x", scopes: [INGEST] }) { ${FAILURE} } }`),
    ).toMatchObject({
      createApiKey: { __typename: 'BadRequest', where: 'sourceId' },
    });
    const key = createApiKey.secret;
    const send = 'mutation { ingest(source: "garden", events: []) { ... on IngestReport { accepted } } }';
    expect(await world.ask(send, {}, { key })).toMatchObject({ status: 200, data: { ingest: { accepted: 0 } } });
    const revoke = `mutation ($id: ID!) { revokeApiKey(id: $id) { ... on RevokedApiKey { id } ${FAILURE} } }`;
    const { id } = createApiKey.key;
    expect(await world.data(revoke, { id })).toEqual({ revokeApiKey: { id } });
    expect(await world.data(revoke, { id })).toMatchObject({ revokeApiKey: { __typename: 'NotFound' } });
    expect((await world.ask(send, {}, { key })).status).toBe(401);
  });

  it('change, pause and resume sources, whose keys only an admin sees', async () => {
    const fields = '... on Source { key name paused maxEventsPerSecond }';
    expect(
      await world.data(`mutation {
        made: createSource(key: "kiosk", maxEventsPerSecond: 20) { ${fields} }
        slow: createSource(key: "slow", maxEventsPerSecond: 0) { ${FAILURE} }
        renamed: updateSource(key: "kiosk", name: "The kiosk") { ${fields} }
        free: updateSource(key: "kiosk", maxEventsPerSecond: null) { ${fields} }
        server: updateSource(key: "kiosk", authenticated: true, region: "GB") { ... on Source { authenticated region } }
        same: updateSource(key: "kiosk") { ... on Source { maxEventsPerSecond authenticated region } }
        away: updateSource(key: "kiosk", authenticated: false, region: null) { ... on Source { authenticated region } }
        bad: updateSource(key: "kiosk", name: "") { ${FAILURE} }
        none: pauseSource(key: "nobody") { ${FAILURE} }
        paused: pauseSource(key: "kiosk") { ${fields} }
      }`),
    ).toEqual({
      made: { key: 'kiosk', name: 'kiosk', paused: false, maxEventsPerSecond: 20 },
      slow: expect.objectContaining({ __typename: 'BadRequest', where: 'maxEventsPerSecond' }) as object,
      renamed: { key: 'kiosk', name: 'The kiosk', paused: false, maxEventsPerSecond: 20 },
      free: { key: 'kiosk', name: 'The kiosk', paused: false, maxEventsPerSecond: null },
      server: { authenticated: true, region: 'GB' },
      same: { maxEventsPerSecond: null, authenticated: true, region: 'GB' },
      away: { authenticated: false, region: null },
      bad: expect.objectContaining({ __typename: 'BadRequest', where: 'name' }) as object,
      none: expect.objectContaining({ __typename: 'NotFound', where: 'key' }) as object,
      paused: { key: 'kiosk', name: 'The kiosk', paused: true, maxEventsPerSecond: null },
    });
    const send = `mutation { ingest(source: "kiosk", events: []) { __typename ${FAILURE} } }`;
    expect(await world.data(send)).toMatchObject({ ingest: { __typename: 'SourcePaused', code: 'SOURCE_PAUSED' } });
    await world.data('mutation { resumeSource(key: "kiosk") { __typename } }');
    expect(await world.data(send)).toEqual({ ingest: { __typename: 'IngestReport' } });
    await world.data(
      'mutation { createApiKey(key: { name: "till", scopes: [INGEST], source: "kiosk" }) { __typename } }',
    );
    const query = '{ source(key: "kiosk") { key keys { name source scopes } } nobody: source(key: "nobody") { key } }';
    expect(await world.data(query)).toEqual({
      source: { key: 'kiosk', keys: [{ name: 'till', source: 'kiosk', scopes: ['INGEST'] }] },
      nobody: null,
    });
    const { errors } = await world.ask(query, {}, { key: world.keys.read });
    expect(errors).toMatchObject([{ path: ['source', 'keys'], extensions: { code: 'FORBIDDEN' } }]);
    expect(
      await world.ask('{ sources { edges { node { key paused } } } }', {}, { key: world.keys.read }),
    ).toMatchObject({
      data: {
        sources: { edges: expect.arrayContaining([{ node: { key: 'kiosk', paused: false } }]) as unknown },
      },
    });
  });

  it('take events and say of each what became of it', async () => {
    const ingest = `mutation ($events: [EventInput!]!) { ingest(source: "web", events: $events) {
      ... on IngestReport { accepted duplicates refused results { status code reason hint } } ${FAILURE} } }`;
    const event = (user: string, messageId: string, properties: object) => ({
      type: 'TRACK',
      name: 'measured',
      messageId,
      identifiers: [{ namespace: 'user_id', value: user }],
      timestamp: '2023-11-14T22:00:00+00:00',
      properties,
    });
    const events = [
      event('one', 'm1', FIRST),
      event('two', 'm2', SECOND),
      event('one', 'm1', FIRST),
      { type: 'TRACK', identifiers: [] },
    ];
    const answer = await world.ask(ingest, { events }, { key: world.keys.ingest });
    expect(answer.data).toMatchObject({
      ingest: {
        accepted: 2,
        duplicates: 1,
        refused: 1,
        results: [
          { status: 'ACCEPTED', code: null },
          {},
          { status: 'DUPLICATE' },
          { status: 'REFUSED', code: 'NAME_MISSING' },
        ],
      },
    });
    await world.drain();
  });

  it('apply feature definitions, first as a dry run, all or none', async () => {
    const apply = `mutation ($yaml: String!, $dryRun: Boolean!) { applyFeatures(yaml: $yaml, dryRun: $dryRun) {
      ... on FeaturePlan { dryRun added changed removed newStreams } ${FAILURE} } }`;
    const plan = { added: [...MEASURES, 'iris_v1'], changed: [], removed: [], newStreams: 4 };
    expect(await world.data(apply, { yaml: FEATURES, dryRun: true })).toEqual({
      applyFeatures: { dryRun: true, ...plan },
    });
    expect(await world.data('{ featureViews { edges { cursor } } }')).toEqual({ featureViews: { edges: [] } });
    expect(await world.data(apply, { yaml: FEATURES, dryRun: false })).toEqual({
      applyFeatures: { dryRun: false, ...plan },
    });
    expect(await world.data(apply, { yaml: 'views: [{ name: X }]', dryRun: false })).toMatchObject({
      applyFeatures: { __typename: 'InvalidDefinition', code: 'DEFINITION_INVALID' },
    });
    await world.drain();
    world.clock.advance(1);
    await world.drain();
  });

  async function sendsTheSameAsFiles(model: Buffer, manifest: string): Promise<void> {
    const send = async (files: Record<string, Buffer | string>, key = world.keys.admin) => {
      const body = new FormData();
      for (const [name, content] of Object.entries(files)) body.append(name, new Blob([content]), name);
      const headers = { authorization: `Bearer ${key}` };
      const answer = await fetch(`${world.url}/models`, { method: 'POST', headers, body });
      return { status: answer.status, ...((await answer.json()) as object) };
    };
    expect(await send({ manifest, model })).toMatchObject({
      ...{ status: 200, key: 'iris_clusters', version: 1, created: false },
      probe: { bytes: model.length, mixesRows: false },
    });
    const labelled = manifest.replace('fixture-1', 'sent-as-files');
    expect(await send({ model, manifest: labelled })).toMatchObject({ status: 201, version: 2, created: true });
    expect(await send({ manifest })).toMatchObject({ status: 400, reason: 'the part model is missing' });
    expect(await send({ manifest, model: 'AAAA' })).toMatchObject({ status: 422, code: 'MODEL_INVALID' });
    expect(await send({ manifest, model }, world.keys.read)).toMatchObject({ status: 403 });
    const noted = await new AuditLogReader(world.db).page({ operation: 'POST /models' }, null, 10);
    expect(noted.map(({ outcome }) => outcome)).toEqual(['MODEL_INVALID', 'BAD_REQUEST', 'OK', 'OK']);
  }

  it('register a model, promote it, and let it answer', async () => {
    const { bytes } = await readModelFixture('iris_clusters');
    const manifest = await readFile(new URL('../fixtures/models/iris_clusters.manifest.yaml', import.meta.url), 'utf8');
    const register = `mutation ($onnx: String!, $manifest: String!) { registerModel(onnx: $onnx, manifest: $manifest) {
      ... on ModelRegistration { created model { key version stage featureService } } ${FAILURE} } }`;
    const onnx = bytes.toString('base64');
    const model = { key: 'iris_clusters', version: 1, stage: 'SHADOW', featureService: 'iris_v1' };
    expect(await world.data(register, { onnx, manifest })).toEqual({ registerModel: { created: true, model } });
    expect(await world.data(register, { onnx, manifest })).toEqual({ registerModel: { created: false, model } });
    expect(await world.data(register, { onnx: 'AAAA', manifest })).toMatchObject({
      registerModel: { __typename: 'InvalidDefinition', code: 'MODEL_INVALID' },
    });
    expect(await world.data(register, { onnx: '!!', manifest })).toMatchObject({ registerModel: { where: 'onnx' } });
    await sendsTheSameAsFiles(bytes, manifest);
    const early = await world.ask(`{ ${flower('one')} { id score(model: "iris_clusters") { label } } }`);
    expect(early).toMatchObject({
      data: { profile: { score: null } },
      errors: [{ extensions: { code: 'NOT_FOUND' } }],
    });
    const promote = `mutation ($version: Int!) { promoteModel(key: "iris_clusters", version: $version) {
      ... on Model { key version stage } ${FAILURE} } }`;
    expect(await world.data(promote, { version: 3 })).toMatchObject({ promoteModel: { __typename: 'NotFound' } });
    expect(await world.data(promote, { version: 1 })).toMatchObject({ promoteModel: { stage: 'ACTIVE' } });
    const rollback = `mutation ($key: String!) { rollbackModel(key: $key) { ... on Model { version } ${FAILURE} } }`;
    expect(await world.data(rollback, { key: 'iris_clusters' })).toMatchObject({
      rollbackModel: { __typename: 'Conflict', message: 'no other version of model iris_clusters was active before' },
    });
    expect(await world.data(promote, { version: 2 })).toMatchObject({ promoteModel: { version: 2 } });
    expect(await world.data(rollback, { key: 'iris_clusters' })).toMatchObject({ rollbackModel: { version: 1 } });
    expect(
      await world.data(
        `{ ${flower('one')} { score(model: "iris_clusters") { model version cluster label score inputs evaluation } } }`,
      ),
    ).toEqual({
      profile: {
        score: {
          model: 'iris_clusters',
          version: 1,
          cluster: 0,
          label: 'first',
          score: null,
          inputs: 'COMPLETE',
          evaluation: 'NOW',
        },
      },
    });
  });

  it('write, activate and archive segments; the condition is checked as it is written', async () => {
    const upsert = `mutation ($expression: String!) { upsertSegment(segment: { key: "seconds", name: "Seconds", expression: $expression, tags: ["t"] }) {
      ... on Segment { key stage version tags } ${FAILURE} } }`;
    expect(await world.data(upsert, { expression: 'label("iris_clustrs") == "second"' })).toMatchObject({
      upsertSegment: { __typename: 'InvalidDefinition', code: 'EXPRESSION_INVALID', where: '1:7' },
    });
    const expression = 'has(f.petal_width_cm) && label("iris_clusters") == "second"';
    expect(await world.data(upsert, { expression })).toEqual({
      upsertSegment: { key: 'seconds', stage: 'DRAFT', version: 1, tags: ['t'] },
    });
    const draft = await world.ask(
      `{ ${flower('two')} { membership(segment: "seconds", evaluate: NOW) { isMember } } }`,
    );
    expect(draft.errors).toMatchObject([{ extensions: { code: 'CONFLICT', hint: 'activate it first' } }]);
    const change = (name: string, key = 'seconds') =>
      world.data(`mutation { ${name}(key: "${key}") { ... on Segment { key stage activeVersion } ${FAILURE} } }`);
    expect(await change('activateSegment')).toMatchObject({ activateSegment: { stage: 'ACTIVE', activeVersion: 1 } });
    expect(await change('activateSegment', 'none')).toMatchObject({ activateSegment: { __typename: 'NotFound' } });
    expect(
      await world.data(`{
        one: ${flower('one')} { membership(segment: "seconds", evaluate: NOW) { isMember evaluation } }
        two: ${flower('two')} { membership(segment: "seconds", evaluate: NOW) { isMember } live: membership(segment: "seconds") { isMember evaluation } }
      }`),
    ).toEqual({
      one: { membership: { isMember: false, evaluation: 'NOW' } },
      two: { membership: { isMember: true }, live: { isMember: false, evaluation: 'LIVE' } },
    });
    await world.drain();
    world.clock.advance(1);
    await world.drain();
    expect(await world.data(`{ ${flower('two')} { segments { segment { key } cause { kind } } } }`)).toEqual({
      profile: { segments: [{ segment: { key: 'seconds' }, cause: { kind: 'EDIT' } }] },
    });
    const edit = `mutation ($segment: SegmentInput!) { upsertSegment(segment: $segment) {
      ... on Segment { version exitExpression minDwell activeFrom activeUntil } ${FAILURE} } }`;
    const segment = { key: 'seconds', name: 'Seconds', expression };
    const until = '2030-01-01T00:00:00.000Z';
    const rule = { exitExpression: 'f.petal_width_cm < 1', minDwell: '10m', activeFrom: null, activeUntil: until };
    expect(await world.data(edit, { segment: { ...segment, ...rule } })).toEqual({
      upsertSegment: { version: 2, ...rule },
    });
    expect(await world.data(edit, { segment: { ...segment, minDwell: null } })).toEqual({
      upsertSegment: { version: 3, ...rule, minDwell: null },
    });
    const wrong = { ...segment, exitExpression: 'f.petal_width_cm <' };
    expect(await world.data(edit, { segment: wrong })).toMatchObject({
      upsertSegment: { __typename: 'InvalidDefinition', where: 'exit 1:19' },
    });
    const endless = { ...segment, activeFrom: until };
    expect(await world.data(edit, { segment: endless })).toMatchObject({
      upsertSegment: { __typename: 'BadRequest', where: 'active_until' },
    });
    const restore = (version: number) =>
      world.data(`mutation { restoreSegmentVersion(key: "seconds", version: ${String(version)}) {
        ... on Segment { version activeVersion minDwell versions(first: 3) { edges { node {
          version createdBy restoredFrom expression exitExpression minDwell activeFrom activeUntil purposes } } } }
        ${FAILURE} } }`);
    const node = { createdBy: expect.any(String) as string, restoredFrom: null, expression, purposes: [], ...rule };
    expect(await restore(2)).toEqual({
      restoreSegmentVersion: {
        version: 4,
        activeVersion: 1,
        minDwell: '10m',
        versions: {
          edges: [
            { node: { ...node, version: 4, restoredFrom: 2 } },
            { node: { ...node, version: 3, minDwell: null } },
            { node: { ...node, version: 2 } },
          ],
        },
      },
    });
    expect(await restore(9)).toMatchObject({ restoreSegmentVersion: { __typename: 'NotFound' } });
    expect(await change('archiveSegment')).toMatchObject({ archiveSegment: { stage: 'ARCHIVED' } });
    expect(await change('archiveSegment', 'none')).toMatchObject({ archiveSegment: { __typename: 'NotFound' } });
  });
});

describe('warnings', () => {
  it('name what nobody has sent, and hinder nothing', async () => {
    const upsert = `mutation ($expression: String!) { upsertSegment(segment: { key: "askew", name: "Askew", expression: $expression }) {
      ... on Segment { stage warnings { message where hint } } ${FAILURE} } }`;
    const expression = 'count("messured") > 1 || label("iris_clusters") == "secnd"';
    expect(await world.data(upsert, { expression })).toEqual({
      upsertSegment: {
        stage: 'DRAFT',
        warnings: [
          { message: 'no event is named "messured" so far', where: '1:8', hint: 'did you mean "measured"?' },
          {
            message: 'the model iris_clusters has no label "secnd"',
            where: '1:53',
            hint: 'did you mean "second"?',
          },
        ],
      },
    });
    expect(await world.data('{ segment(key: "askew") { warnings { where } } }')).toEqual({
      segment: { warnings: [{ where: '1:8' }, { where: '1:53' }] },
    });
    const yaml = FEATURES.replace('properties.sepal_length_cm', 'properties.sepal_lenth_cm');
    expect(
      await world.data(
        `mutation ($yaml: String!) { applyFeatures(yaml: $yaml, dryRun: true) {
           ... on FeaturePlan { changed warnings { message where hint } } ${FAILURE} } }`,
        { yaml },
      ),
    ).toEqual({
      applyFeatures: {
        changed: ['sepal_length_cm'],
        warnings: [
          {
            message: 'no event measured has had properties.sepal_lenth_cm so far',
            where: 'feature sepal_length_cm',
            hint: 'did you mean properties.sepal_length_cm?',
          },
        ],
      },
    });
  });
});

describe('scores', () => {
  it('of one request, and of requests at once, are one run of the model', async () => {
    const both = `{ one: ${flower('one')} { score(model: "iris_clusters") { label } } two: ${flower('two')} { score(model: "iris_clusters") { label } } }`;
    const expected = { one: { score: { label: 'first' } }, two: { score: { label: 'second' } } };
    runs.length = 0;
    expect(await world.data(both)).toEqual(expected);
    expect(runs).toEqual([{ model: 'iris_clusters', rows: 2 }]);
    runs.length = 0;
    const { services } = world;
    const predict = vi.spyOn(services.batcher, 'predict');
    const answers = await Promise.all(Array.from({ length: 10 }, () => world.data(both)));
    expect(answers).toEqual(answers.map(() => expected));
    expect(predict).toHaveBeenCalledTimes(20);
    expect(runs.reduce((sum, { rows }) => sum + rows, 0)).toBe(20);
    expect(runs.length).toBeLessThan(20);
    predict.mockRestore();
  });
});
