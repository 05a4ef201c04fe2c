import { randomBytes } from 'node:crypto';
import { connect, type Socket } from 'node:net';

/*
 * A WebSocket client that costs as little as one can: frames are found by their lengths, in one buffer that all
 * connections read into, and nothing is parsed. Ten thousand of a library's clients would be what is measured.
 */

const TEXT = 0x81;
const PING = 0x89;
const PONG = 0x8a;
const CLOSE = 0x88;
const MASKED = 0x80;
const READ_BUFFER = Buffer.allocUnsafe(256 * 1024);

export interface RawHandlers {
  /** A whole text message; its bytes are another's once this returns. */
  onText(message: Buffer): void;
  onEnd(why: string): void;
}

export class RawSubscriber {
  readonly #socket: Socket;
  /** What has come of a frame that is not whole yet. */
  #rest: Buffer | null = null;
  #isUpgraded = false;

  /** @param url `http://host:port` */
  constructor(
    url: string,
    private readonly handlers: RawHandlers,
  ) {
    const { hostname, port } = new URL(url);
    this.#socket = connect({
      host: hostname,
      port: Number(port),
      noDelay: true,
      onread: {
        buffer: READ_BUFFER,
        callback: (count, buffer) => {
          this.#read(Buffer.from(buffer.buffer, buffer.byteOffset, count));
          return true;
        },
      },
    });
    this.#socket.on('error', (error) => {
      handlers.onEnd(error.message);
    });
    this.#socket.on('close', () => {
      handlers.onEnd('the connection was closed');
    });
    this.#socket.write(
      `GET /graphql HTTP/1.1\r\nHost: ${hostname}:${port}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n` +
        `Sec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: graphql-transport-ws\r\n` +
        `Sec-WebSocket-Key: ${randomBytes(16).toString('base64')}\r\n\r\n`,
    );
  }

  send(text: string): void {
    this.#write(TEXT, Buffer.from(text));
  }

  destroy(): void {
    this.#socket.destroy();
  }

  #read(chunk: Buffer): void {
    let bytes = this.#rest === null ? chunk : Buffer.concat([this.#rest, chunk]);
    this.#rest = null;
    if (!this.#isUpgraded) {
      const end = bytes.indexOf('\r\n\r\n');
      if (end >= 0) {
        this.#isUpgraded = true;
        bytes = bytes.subarray(end + 4);
        this.handlers.onText(Buffer.from('open'));
      }
    }
    let at = 0;
    while (this.#isUpgraded && at < bytes.length) {
      const end = this.#frame(bytes, at);
      if (end === null) break;
      at = end;
    }
    if (at < bytes.length) this.#rest = Buffer.from(bytes.subarray(at));
  }

  /** Where the frame at a place ends; null if it is not whole. Servers mask nothing, and ours sends whole messages. */
  #frame(bytes: Buffer, at: number): number | null {
    if (bytes.length < at + 2) return null;
    let length = (bytes[at + 1] ?? 0) & 0x7f;
    let start = at + 2;
    if (length === 126) {
      if (bytes.length < at + 4) return null;
      length = bytes.readUInt16BE(at + 2);
      start = at + 4;
    } else if (length === 127) throw new Error('a message of more than 64 KiB');
    const end = start + length;
    if (bytes.length < end) return null;
    if (bytes[at] === TEXT) this.handlers.onText(bytes.subarray(start, end));
    else if (bytes[at] === PING) this.#write(PONG, Buffer.from(bytes.subarray(start, end)));
    else if (bytes[at] === CLOSE) this.handlers.onEnd(`it was closed: ${String(bytes.readUInt16BE(start))}`);
    return end;
  }

  /** Clients have to mask; a mask of zeros leaves the bytes as they are. */
  #write(opcode: number, payload: Buffer): void {
    const { length } = payload;
    const head = length < 126 ? [opcode, MASKED | length] : [opcode, MASKED | 126, length >> 8, length & 0xff];
    this.#socket.write(Buffer.concat([Buffer.from([...head, 0, 0, 0, 0]), payload]));
  }
}
