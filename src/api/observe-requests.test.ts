import Fastify, { type FastifyInstance } from 'fastify';
import { describe, expect, it } from 'vitest';
import { Metrics } from '../platform/metrics.js';
import { observeRequests } from './observe-requests.js';

async function newServer(): Promise<{ app: FastifyInstance; samples: (name: string) => Promise<string[]> }> {
  const metrics = new Metrics({ defaults: false });
  const app = Fastify();
  observeRequests(app, metrics);
  await app.register((routes, _options, done) => {
    routes.get('/profiles/:id', async () => Promise.resolve({ ok: true }));
    routes.get('/broken', () => {
      throw new Error('broken');
    });
    routes.get('/stream', (_request, reply) => {
      reply.hijack();
      reply.raw.end('gone');
    });
    routes.post('/graphql', async (request, reply) =>
      reply.type('application/json; charset=utf-8').send(request.body as string),
    );
    routes.get('/graphql', async (_request, reply) => reply.type('text/html').send('<html></html>'));
    done();
  });
  const samples = async (name: string): Promise<string[]> =>
    (await metrics.text())
      .split('\n')
      .filter((line) => line.startsWith(`weft_${name}{`) && !line.endsWith(' 0'))
      .map((line) => line.slice(`weft_${name}`.length));
  return { app, samples };
}

describe('the metrics of requests', () => {
  it('are by the template of the route and the class of the status, whatever callers ask for', async () => {
    const { app, samples } = await newServer();
    for (let i = 0; i < 150; i += 1) await app.inject(`/profiles/${String(i)}?a=${String(i)}`);
    await app.inject('/broken');
    for (let i = 0; i < 3; i += 1) await app.inject(`/nowhere/${String(i)}`);
    expect(await samples('http_request_duration_seconds_count')).toEqual([
      '{route="unmatched",status="4xx"} 3',
      '{route="/profiles/:id",status="2xx"} 150',
      '{route="/broken",status="5xx"} 1',
    ]);
  });

  it('count a HEAD once', async () => {
    const { app, samples } = await newServer();
    await app.inject({ method: 'HEAD', url: '/profiles/1' });
    expect(await samples('http_request_duration_seconds_count')).toEqual(['{route="/profiles/:id",status="2xx"} 1']);
  });

  it('leave streams out', async () => {
    const { app, samples } = await newServer();
    await app.inject('/stream');
    expect(await samples('http_request_duration_seconds_count')).toEqual([]);
  });

  it('count operations by outcome, and pages not at all', async () => {
    const { app, samples } = await newServer();
    const ask = (answer: unknown) =>
      app.inject({
        method: 'POST',
        url: '/graphql',
        headers: { 'content-type': 'text/plain' },
        payload: answer as string,
      });
    await ask('{"data":{}}');
    await ask('{"data":{}}');
    await ask('{"errors":[{"message":"m","extensions":{"code":"INTERNAL"}}]}');
    await app.inject({ url: '/graphql', headers: { accept: 'text/html' } });
    expect(await samples('graphql_operations_total')).toEqual(['{outcome="ok"} 2', '{outcome="defect"} 1']);
  });
});
