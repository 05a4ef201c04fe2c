import { createHmac, randomBytes } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { metaAdapter } from './meta.adapter.js';
import { slackAdapter } from './slack.adapter.js';
import { describeSigning, isEqualSecret, verifySigned } from './webhook-signature.js';
import type { HmacOptions, SignatureOutcome, SignedRequest } from './webhook.model.js';
import { xAdapter } from './x.adapter.js';
import { zendeskAdapter } from './zendesk.adapter.js';

const NOW = 1_700_000_000_000;
const SECRET = Buffer.from('a secret of the app');

interface Scheme {
  readonly verify: (request: SignedRequest, secrets: readonly Buffer[], nowMs: number) => SignatureOutcome;
  readonly headers: (body: Buffer, secret: Buffer, nowMs: number) => Record<string, string>;
}

const hmac = (algorithm: string, secret: Buffer, ...parts: readonly (string | Buffer)[]) => {
  const sum = createHmac(algorithm, secret);
  for (const part of parts) sum.update(part);
  return sum;
};

const STRIPE_LIKE: HmacOptions = {
  header: 'x-signature',
  algorithm: 'sha512',
  encoding: 'base64',
  prefix: 'v1=',
  timestampHeader: 'x-time',
  signedContent: '{timestamp}.{body}',
  toleranceS: 300,
};

const SCHEMES: Readonly<Record<string, Scheme>> = {
  meta: {
    verify: metaAdapter.verify,
    headers: (body, secret) => ({ 'x-hub-signature-256': `sha256=${hmac('sha256', secret, body).digest('hex')}` }),
  },
  x: {
    verify: xAdapter.verify,
    headers: (body, secret) => ({
      'x-twitter-webhooks-signature': `sha256=${hmac('sha256', secret, body).digest('base64')}`,
    }),
  },
  zendesk: {
    verify: zendeskAdapter.verify,
    headers: (body, secret, nowMs) => {
      const time = new Date(nowMs).toISOString();
      const signature = hmac('sha256', secret, time, body).digest('base64');
      return { 'x-zendesk-webhook-signature': signature, 'x-zendesk-webhook-signature-timestamp': time };
    },
  },
  slack: {
    verify: slackAdapter.verify,
    headers: (body, secret, nowMs) => {
      const time = String(nowMs / 1_000);
      const signature = `v0=${hmac('sha256', secret, `v0:${time}:`, body).digest('hex')}`;
      return { 'x-slack-signature': signature, 'x-slack-request-timestamp': time };
    },
  },
  json: {
    verify: (request, secrets, nowMs) => verifySigned(STRIPE_LIKE, request, secrets, nowMs),
    headers: (body, secret, nowMs) => {
      const time = String(nowMs / 1_000);
      return { 'x-signature': `v1=${hmac('sha512', secret, `${time}.`, body).digest('base64')}`, 'x-time': time };
    },
  },
};

/** As a delivery begins: what could be a token of X's challenge proves nothing, whoever signed it. */
const body = fc.uint8Array({ maxLength: 200 }).map((bytes) => Buffer.from([0x7b, ...bytes]));

describe.each(Object.entries(SCHEMES))('the signature of %s', (_name, { verify, headers }) => {
  it('is believed as it was made, by the secret in force or the one before it', () => {
    fc.assert(
      fc.property(body, (raw) => {
        const request = { raw, headers: headers(raw, SECRET, NOW) };
        expect(verify(request, [SECRET], NOW)).toBe('valid');
        expect(verify(request, [randomBytes(20), SECRET], NOW)).toBe('valid');
        expect(verify(request, [randomBytes(20)], NOW)).toBe('invalid');
        expect(verify(request, [], NOW)).toBe('invalid');
      }),
    );
  });

  it('is refused after any one bit of the body was flipped', () => {
    fc.assert(
      fc.property(body, fc.nat(), (raw, at) => {
        const flipped = Buffer.from(raw);
        const bit = at % (raw.length * 8);
        flipped[bit >> 3] = (flipped[bit >> 3] ?? 0) ^ (1 << (bit & 7));
        expect(verify({ raw: flipped, headers: headers(raw, SECRET, NOW) }, [SECRET], NOW)).toBe('invalid');
      }),
    );
  });

  it('is refused after any one character of a header was changed', () => {
    fc.assert(
      fc.property(
        body,
        fc.nat(),
        fc.nat(),
        fc.constantFrom('0', 'a', 'A', 'f', 'z', '9', '+', '/', '=', '-', '_', ' ', '.'),
        (raw, which, at, character) => {
          const signed = headers(raw, SECRET, NOW);
          const names = Object.keys(signed);
          const name = names[which % names.length] ?? '';
          const value = signed[name] ?? '';
          const place = at % value.length;
          const changed = value.slice(0, place) + character + value.slice(place + 1);
          // The digits of a hexadecimal number mean the same in either case.
          fc.pre(changed.toLowerCase() !== value.toLowerCase());
          expect(verify({ raw, headers: { ...signed, [name]: changed } }, [SECRET], NOW)).not.toBe('valid');
        },
      ),
    );
  });

  it('is missing where there is none, or two', () => {
    const raw = Buffer.from('{}');
    const signed = headers(raw, SECRET, NOW);
    const [name = ''] = Object.keys(signed);
    expect(verify({ raw, headers: {} }, [SECRET], NOW)).toBe('missing');
    expect(verify({ raw, headers: { ...signed, [name]: '' } }, [SECRET], NOW)).toBe('missing');
    expect(verify({ raw, headers: { ...signed, [name]: [signed[name] ?? '', 'x'] } }, [SECRET], NOW)).toBe('missing');
  });
});

describe.each(['zendesk', 'slack', 'json'] as const)('the time in the signature of %s', (name) => {
  const { verify, headers } = SCHEMES[name] as Scheme;

  it('is five minutes away at most, in either direction', () => {
    const raw = Buffer.from('{}');
    const signed = headers(raw, SECRET, NOW);
    for (const [awayMs, outcome] of [
      [300_000, 'valid'],
      [300_001, 'stale'],
      [-300_000, 'valid'],
      [-300_001, 'stale'],
    ] as const) {
      expect(verify({ raw, headers: signed }, [SECRET], NOW + awayMs)).toBe(outcome);
    }
  });
});

describe('the challenge of X', () => {
  const secrets = { signing: [SECRET], verify: [] };
  const answerOf = (token: unknown): string | null => {
    const body = xAdapter.answerGet?.({ crc_token: token }, secrets)?.body;
    return body === undefined ? null : (JSON.parse(body) as { response_token: string }).response_token;
  };
  const deliver = (token: string, signature: string) =>
    xAdapter.verify(
      { raw: Buffer.from(token), headers: { 'x-twitter-webhooks-signature': signature } },
      secrets.signing,
      NOW,
    );

  it('signs no text that could be a delivery', () => {
    for (const token of [
      '{"for_user_id":"2"}',
      '[]',
      '[{"a":1}]',
      ' {}',
      '{}\n',
      'a\n',
      '"text"',
      '',
      'a'.repeat(201),
      ['a'],
    ]) {
      expect(answerOf(token)).toBe(null);
    }
    expect(answerOf('Zm9v+/=_-')).toBe(`sha256=${hmac('sha256', SECRET, 'Zm9v+/=_-').digest('base64')}`);
  });

  it('gives no signature by which its token is taken as a delivery', () => {
    const token = fc.oneof(
      fc.stringMatching(/^[A-Za-z0-9+/=_-]{1,200}$/),
      fc.json({ maxDepth: 2 }),
      fc.json().map((text) => ` ${text}\n`),
      fc.constantFrom('{', '0', 'null', 'true', '-1', '{"for_user_id":"2"}'),
      fc.string(),
    );
    let answered = 0;
    fc.assert(
      fc.property(token, (text) => {
        const signature = answerOf(text);
        if (signature === null) return;
        answered++;
        expect(deliver(text, signature)).toBe('invalid');
      }),
      { numRuns: 500 },
    );
    expect(answered).toBeGreaterThan(50);
  });
});

describe('a token', () => {
  it('is known by all of it', () => {
    expect(isEqualSecret('token', [Buffer.from('token')])).toBe(true);
    expect(isEqualSecret('token', [Buffer.from('other'), Buffer.from('token')])).toBe(true);
    for (const given of ['toke', 'tokens', '', undefined, ['token']]) {
      expect(isEqualSecret(given, [Buffer.from('token')])).toBe(false);
    }
    expect(isEqualSecret('', [Buffer.from('')])).toBe(false);
  });
});

describe('what is said of a signature', () => {
  it('names the header, what stands in it, and each byte that is signed', () => {
    expect(describeSigning(slackAdapter.signature)).toEqual([
      'header x-slack-signature: v0=<hex of HMAC-SHA-256>',
      'signed is v0:{timestamp}:{body}, where {body} is the bytes of the body as they are sent and {timestamp} is the header x-slack-request-timestamp as it is sent',
      'x-slack-request-timestamp (Unix time or ISO 8601) is at most 300 s off the time at which it comes',
    ]);
    expect(describeSigning(xAdapter.signature)).toEqual([
      'header x-twitter-webhooks-signature: sha256=<base64 of HMAC-SHA-256>',
      'signed is the bytes of the body as they are sent',
    ]);
  });
});
