import { createHmac } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { signIdentifier } from './sign-identifier.js';

describe('the signature of an identifier', () => {
  it('is the expiry and an HMAC over all that it vouches for', () => {
    const signature = signIdentifier('weft_s_secret', 'user_id', 'ann', 60, 1_700_000_000_500);
    const [expiry, mac] = signature.split('.');
    expect(expiry).toBe('1700000060');
    expect(mac).toBe(
      createHmac('sha256', 'weft_s_secret').update('weft-edge-v1\nuser_id\nann\n1700000060').digest('base64url'),
    );
  });

  it.each([0, -1, NaN])('needs time to live: %s is none', (ttlSeconds) => {
    expect(() => signIdentifier('weft_s_secret', 'user_id', 'ann', ttlSeconds)).toThrow(RangeError);
  });

  it('does not vouch for a value with a line break, which could be read as another', () => {
    expect(() => signIdentifier('weft_s_secret', 'user_id\nann', 'x', 60)).toThrow(RangeError);
  });
});
