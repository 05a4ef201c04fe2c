import type { Socket } from 'node:net';
import type { FastifyInstance } from 'fastify';

const LOOK_MS = 100;

/**
 * Lets a server that closes come to its end. Node ends the connections that are idle at that moment and no others: one
 * that becomes idle later would stay as long as clients may keep them, one that no request has come on yet, as browsers
 * open ahead, as long as its client likes, and one whose client sends half a request and no more would stay for ever,
 * since with the server its look for those that time out ends too.
 * @param drainMs what a request under way has to be answered in
 */
export function endConnections(app: FastifyInstance, drainMs: number): void {
  let look: NodeJS.Timeout | undefined;
  let end: NodeJS.Timeout | undefined;
  const unused = new UnusedConnections(app);
  app.addHook('preClose', (done) => {
    look = setInterval(() => {
      app.server.closeIdleConnections();
      unused.end();
    }, LOOK_MS);
    end = setTimeout(() => app.server.closeAllConnections(), drainMs);
    done();
  });
  app.addHook('onClose', (_app, done) => {
    clearInterval(look);
    clearTimeout(end);
    done();
  });
}

/** Connections on which nothing has come so far: Node does not count them as idle. */
class UnusedConnections {
  readonly #sockets = new Set<Socket>();
  #seen = new Set<Socket>();

  constructor(app: FastifyInstance) {
    app.server.on('connection', (socket: Socket) => {
      this.#sockets.add(socket);
      socket.once('close', () => this.#sockets.delete(socket));
    });
  }

  /** Ends those that were there at the call before: one that was just made may have a request under way. */
  end(): void {
    const silent = [...this.#sockets].filter(({ bytesRead }) => bytesRead === 0);
    for (const socket of silent) if (this.#seen.has(socket)) socket.destroy();
    this.#seen = new Set(silent);
  }
}
