import { createHmac } from 'node:crypto';

/*
 * Signatures as Standard Webhooks has them (https://github.com/standard-webhooks/standard-webhooks, spec 1.0.0, "Webhook
 * scheme", symmetric): HMAC-SHA256 over `id.timestamp.body`, in base64, with `v1,` before it; several with blanks between.
 */

const PREFIX = 'whsec_';
export const SIGNING_SECRET_BYTES = 32;

/** @param random {@link SIGNING_SECRET_BYTES} random bytes */
export function signingSecretText(random: Buffer): string {
  return `${PREFIX}${random.toString('base64')}`;
}

export interface SignedHeaders {
  readonly 'webhook-id': string;
  /** Unix time, s. */
  readonly 'webhook-timestamp': string;
  readonly 'webhook-signature': string;
}

/** @param secrets the one in force, and while it is replaced the one before; random bytes */
export function signDelivery(id: string, nowMs: number, body: string, secrets: readonly Buffer[]): SignedHeaders {
  const timestamp = String(Math.floor(nowMs / 1_000));
  const signatures = secrets.map((secret) => {
    const mac = createHmac('sha256', secret).update(`${id}.${timestamp}.${body}`).digest('base64');
    return `v1,${mac}`;
  });
  return { 'webhook-id': id, 'webhook-timestamp': timestamp, 'webhook-signature': signatures.join(' ') };
}
