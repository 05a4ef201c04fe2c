import { STATUS_CODES } from 'node:http';
import type { Socket } from 'node:net';

interface Refusal {
  readonly status: number;
  readonly code: string;
  readonly reason: string;
  readonly hint: string;
}

const NOT_HTTP: Refusal = {
  status: 400,
  code: 'BAD_REQUEST',
  reason: 'this is no HTTP request',
  hint: 'look at the address and the headers: a character in them may not be there',
};

/** By the codes of Node's errors. */
const REFUSALS: Readonly<Record<string, Refusal>> = {
  ERR_HTTP_REQUEST_TIMEOUT: {
    status: 408,
    code: 'BAD_REQUEST',
    reason: 'the request was not here in time',
    hint: 'send the same again',
  },
  HPE_HEADER_OVERFLOW: {
    status: 431,
    code: 'PAYLOAD_TOO_LARGE',
    reason: 'the address and the headers have more than 16 KB together',
    hint: 'send less; variables and queries may be in the body of a POST',
  },
};

/**
 * Answers requests that cannot be read far enough to know what they are for, in the form of the tracking API. The
 * connection ends, and the client is told: one that keeps it for its next request would have that broken off.
 */
export function answerBrokenRequest({ code }: { readonly code?: unknown }, socket: Socket): void {
  if (code === 'ECONNRESET' || socket.destroyed) return;
  if (!socket.writable) {
    socket.destroy();
    return;
  }
  const refusal = typeof code === 'string' && Object.hasOwn(REFUSALS, code) ? REFUSALS[code] : undefined;
  const { status, ...told } = refusal ?? NOT_HTTP;
  const body = JSON.stringify({ success: false, ...told });
  const head = [
    `HTTP/1.1 ${String(status)} ${STATUS_CODES[status] ?? ''}`,
    'Connection: close',
    'Content-Type: application/json; charset=utf-8',
    `Content-Length: ${String(Buffer.byteLength(body))}`,
  ];
  socket.end(`${head.join('\r\n')}\r\n\r\n${body}`, () => {
    socket.destroy();
  });
}
