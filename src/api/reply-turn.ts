import type { FastifyReply } from 'fastify';

interface Ready {
  readonly reply: FastifyReply;
  readonly payload: string;
}

/**
 * Sends the answers that were ready at once in a turn of the event loop together, after the last socket was read. Sent one
 * by one, each wakes a client, or the proxy before it, that has just gone to sleep, which takes a third of the time of a
 * page view; together, one does. No more wait than there are connections, and none longer than the turn.
 */
export class ReplyTurn {
  #ready: Ready[] = [];

  add(reply: FastifyReply, payload: string): void {
    if (this.#ready.length === 0) setImmediate(this.#send);
    this.#ready.push({ reply, payload });
  }

  readonly #send = (): void => {
    const ready = this.#ready;
    this.#ready = [];
    for (const { reply, payload } of ready) {
      try {
        reply.send(payload);
      } catch (error) {
        // The others of the turn have nothing to do with it.
        reply.log.error({ err: error }, 'an answer could not be sent');
        reply.raw.destroy();
      }
    }
  };
}
