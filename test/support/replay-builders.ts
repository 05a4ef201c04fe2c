import { createWebhooks, type WebhookParts, type Webhooks } from '../../src/create-webhooks.js';
import type { Engine } from '../../src/engine.js';
import type { Clock } from '../../src/platform/clock.js';
import { RootSecret } from '../../src/platform/installation-secret.js';
import type { Database } from '../../src/platform/postgres.js';
import { SourceService } from '../../src/sources/source.service.js';
import { SourceStore } from '../../src/sources/source.store.js';
import type { ReplayDoors } from '../../src/sources/webhooks/replay-deliveries.js';

/** Deliveries that these webhooks replay together. */
export const REPLAY_PAGE = 5;

const ignore = (): void => undefined;

/** What webhooks are made of, as one of several processes has them: all with the same secret. */
export function partsOfWebhooks(
  db: Database,
  clock: Clock,
  engine: Pick<Engine, 'accept' | 'deadLetters'>,
): Omit<WebhookParts, 'observer'> {
  return {
    db,
    clock,
    secret: new RootSecret(Buffer.from('the secret of all processes of a test')),
    sources: new SourceService(new SourceStore(db.dataSource), clock),
    acceptor: engine.accept,
    deadLetters: engine.deadLetters,
    replayPageSize: REPLAY_PAGE,
  };
}

/** Webhooks that no defect is expected of. */
export function webhooksOn(...of: Parameters<typeof partsOfWebhooks>): Webhooks {
  return createWebhooks({
    ...partsOfWebhooks(...of),
    observer: {
      delivered: ignore,
      leftOut: ignore,
      mappingFailed: (_, error) => {
        throw error as Error;
      },
      sweptEarly: ignore,
    },
  });
}

/** The doors of a replay in a process whose worker runs by itself. */
export function replayDoors({ accept, retractions }: Pick<Engine, 'accept' | 'retractions'>): ReplayDoors {
  return {
    acceptor: accept,
    checker: { accept: (...call) => Promise.resolve(accept.check(...call)) },
    takeBack: async (source, messageIds, guard) => {
      const { id } = await retractions.takeBackMessages(source, messageIds, guard);
      await retractions.done(id);
    },
    settled: (source) => retractions.settled(source),
  };
}
