import { mapEventInput, type EventInputFields } from './api/map-event-input.js';
import { mapBatchItem, mapSingleCall } from './api/map-tracking-call.js';
import type { Engine } from './engine.js';
import type { EventAcceptor, IncomingItem } from './events/accept.model.js';
import { DeadLetterReader } from './events/dead-letter.reader.js';
import { DeadLetterService } from './events/dead-letter.service.js';
import type { IncomingEvent } from './events/event.model.js';
import { LetterRefusal, type RawMappers, type RemapContext, type RemappedInput } from './events/remap-letter.model.js';
import type { Clock } from './platform/clock.js';
import type { Database } from './platform/postgres.js';
import { LoadReader } from './sources/load.reader.js';
import type { SourceService } from './sources/source.service.js';
import { remapRow } from './sources/remap-row.js';

/** Wires the repair of dead letters. @param acceptor the way in that also wakes the worker, where there is one */
export function createDeadLetters(
  { accept, deadLetters, sealer }: Pick<Engine, 'accept' | 'deadLetters' | 'sealer'>,
  sources: SourceService,
  acceptor: EventAcceptor,
  { db, clock }: { readonly db: Database; readonly clock: Clock },
): DeadLetterService {
  return new DeadLetterService({
    db,
    clock,
    reader: new DeadLetterReader(db, sealer),
    store: deadLetters,
    acceptor,
    checker: accept,
    mappers: createRawMappers(new LoadReader(db)),
    sourceOf: (id) => sources.findById(id),
  });
}

type Fields = Readonly<Record<string, unknown>>;

/** The adapters through which inputs come in, for those that are to come in once more. */
function createRawMappers(loads: LoadReader): RawMappers {
  return {
    call: (form, input, context) => live(mapSingleCall(objectOf(input), form.type), context),
    batch_item: (form, input, context) => live(mapBatchItem(input, form.sentAt), context),
    graphql: (_form, input, context) => live(mapEventInput(objectOf(input) as unknown as EventInputFields), context),
    webhook: () => {
      throw new LetterRefusal(
        'WEBHOOK_DELIVERY',
        'it is a part of a delivery, and here without what is private',
        'mend the webhook, replay its deliveries, which are kept whole, and discard this',
      );
    },
    row: async (_form, input, context) => {
      const { loadId } = context.letter;
      return remapRow(input, context, loadId === null ? null : await loads.settings(loadId));
    },
    event: (_form, input, context) => {
      const { loadId } = context.letter;
      return {
        ...live(objectOf(input) as unknown as IncomingEvent, context),
        ...(loadId === null ? undefined : { loadId }),
      };
    },
  };
}

function live(item: IncomingItem, { letter }: RemapContext): RemappedInput {
  return { item, historical: false, receivedAtMs: letter.receivedAt };
}

function objectOf(input: unknown): Fields {
  if (typeof input === 'object' && input !== null && !Array.isArray(input)) return input as Fields;
  throw new LetterRefusal('MALFORMED', 'it is no JSON object', 'give it a fix that says all of it');
}
