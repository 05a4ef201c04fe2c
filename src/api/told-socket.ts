import type { Duplex } from 'node:stream';
import type { WebSocket } from 'ws';
import type { Listener } from '../activation/change-audience.js';
import type { CounterHandle } from '../platform/metrics.js';
import type { SharedResult } from './graphql/shared-changes.js';

/** What may wait to be sent to one client when it is told one thing more, bytes. One that has more reads on by itself. */
const MAX_UNSENT_BYTES = 16 * 1024;
const TEXT = 0x81;
const TAIL = Buffer.from('}');

/**
 * Writes what all subscribers are told straight to the socket of one of them, as a whole frame between those that the
 * library writes: messages are never compressed and never in fragments, so each write is a whole frame.
 */
export class ToldSocket implements Listener<SharedResult> {
  readonly #head: string;

  /**
   * @param operationId as the client calls the operation
   * @param behind counts how often it could not be told
   */
  constructor(
    private readonly client: WebSocket,
    private readonly socket: Duplex,
    operationId: string,
    private readonly behind: CounterHandle,
  ) {
    this.#head = `{"id":${JSON.stringify(operationId)},"type":"next","payload":`;
  }

  take(result: SharedResult): boolean {
    // The library drops what is sent to those who are going, too.
    if (this.client.readyState !== this.client.OPEN) return true;
    if (this.socket.writableLength > MAX_UNSENT_BYTES) {
      this.behind.add(1);
      return false;
    }
    this.socket.write(result.frameFor(this.#head, (json) => textFrame([Buffer.from(this.#head), json, TAIL])));
    return true;
  }
}

/** An unmasked text message in one frame, as servers send them (RFC 6455, section 5.2). @param parts of its UTF-8 */
export function textFrame(parts: readonly Buffer[]): Buffer {
  const length = parts.reduce((sum, part) => sum + part.length, 0);
  return Buffer.concat([frameHead(length), ...parts]);
}

function frameHead(length: number): Buffer {
  if (length < 126) return Buffer.from([TEXT, length]);
  if (length < 0x1_00_00) {
    const head = Buffer.from([TEXT, 126, 0, 0]);
    head.writeUInt16BE(length, 2);
    return head;
  }
  const head = Buffer.from([TEXT, 127, 0, 0, 0, 0, 0, 0, 0, 0]);
  head.writeBigUInt64BE(BigInt(length), 2);
  return head;
}
