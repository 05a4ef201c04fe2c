import Fastify, { type FastifyInstance } from 'fastify';
import { beforeEach, describe, expect, it } from 'vitest';
import { answerUnknownRoutes } from './unknown-route.js';

let app: FastifyInstance;

beforeEach(async () => {
  app = Fastify();
  answerUnknownRoutes(app);
  await app.register((routes, _options, done) => {
    routes.post('/v1/track', () => ({ success: true }));
    routes.post('/v1/page', () => ({ success: true }));
    done();
  });
});

describe('a request that no route takes', () => {
  it('is told the nearest path', async () => {
    const answer = await app.inject({ method: 'POST', url: '/v1/trak?writeKey=weft_i_secret', payload: {} });
    expect(answer.statusCode).toBe(404);
    expect(answer.json()).toEqual({
      success: false,
      code: 'NOT_FOUND',
      reason: 'there is nothing at /v1/trak',
      hint: 'did you mean /v1/track?',
    });
  });

  it('is told where to look if nothing is near, and quotes no more than a line', async () => {
    const answer = await app.inject({ method: 'GET', url: `/${'x'.repeat(5_000)}` });
    expect(answer.json()).toMatchObject({ hint: 'GET / says what there is' });
    expect(answer.body.length).toBeLessThan(300);
  });

  it('is told which methods the path takes', async () => {
    const answer = await app.inject({ method: 'GET', url: '/v1/track' });
    expect(answer.statusCode).toBe(405);
    expect(answer.headers['allow']).toBe('POST');
    expect(answer.json()).toMatchObject({ reason: 'this path takes no GET', hint: 'use POST' });
  });
});
