import type { Duplex } from 'node:stream';
import type { WebSocket } from 'ws';
import type { CounterHandle, Metrics } from '../platform/metrics.js';

/** What may wait to be sent to one client before it is read from again, bytes; beside it the answers under way. */
const MAX_UNSENT_BYTES = 1024 * 1024;

type Send = (data: string, told: (error?: Error) => void) => void;

/**
 * Bounds what waits for clients that send on and do not read. Results of subscriptions go out one after the other and
 * wait by themselves, but every message asks for an answer, the protocol's own `ping` for one with its payload in it, and
 * before a key was shown. So such a client is not read from until it has read; TCP then holds it up. One that never does
 * answers no ping of ours either, and is cut off as silent ones are.
 */
export class SocketGuard {
  readonly #heldUp: CounterHandle;

  constructor(metrics: Pick<Metrics, 'counter'>) {
    this.#heldUp = metrics.counter(
      'sockets_held_up_total',
      'Times that a WebSocket was not read from because its client did not read the answers.',
    );
  }

  /** @param socket what the client is connected by */
  watch(client: WebSocket, socket: Duplex): void {
    const check = (): void => {
      if (client.isPaused || client.bufferedAmount <= MAX_UNSENT_BYTES) return;
      this.#heldUp.add(1);
      client.pause();
    };
    client.on('message', check).on('ping', check);
    socket.on('drain', () => {
      if (client.isPaused) client.resume();
    });
    forgiveSendsToTheGone(client);
  }
}

/** What still waited when a client was cut off is no error of ours: the library would log each message of it. */
function forgiveSendsToTheGone(client: WebSocket): void {
  const send = client.send.bind(client) as Send;
  client.send = ((data, told) => {
    send(data, (error) => {
      told(client.readyState === client.OPEN ? error : undefined);
    });
  }) satisfies Send as WebSocket['send'];
}
