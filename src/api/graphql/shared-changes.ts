import { hash } from 'node:crypto';
import {
  createSourceEventStream,
  execute,
  getOperationAST,
  Kind,
  visit,
  type DocumentNode,
  type ExecutionResult,
  type FormattedExecutionResult,
} from 'graphql';
import { ChangeAudience, type Listener, type Seat, type ToldChange } from '../../activation/change-audience.js';
import type { SegmentChange } from '../../segments/segment.model.js';
import { ApiContext } from './api-context.js';
import { ChangeSource } from './change-source.js';
import type { ChangeView } from './change-view.js';
import type { Operation } from './read-operation.js';

/*
 * Subscriptions that would be told the same to the letter are told it together: each change is executed once for all who
 * asked by the same credentials for the same document with the same variables, and written out once. Nobody is told by
 * another's authority: what may be seen, what is masked and whether the key still holds is looked at for the credentials
 * that all of them share. A subscription that begins in the past, or has fallen behind, is executed by itself until it is
 * at the present.
 */

/** Each is as large as the result. */
const MAX_KEPT_FRAMES = 8;

/** The result of one change, as JSON; built once for all who are told it. */
export class SharedResult {
  readonly #frames = new Map<string, Buffer>();

  constructor(readonly json: Buffer) {}

  /**
   * What `build` makes of it, kept for the next who asks with the same key: of the first few keys, as clients of one sort
   * count their operations alike.
   */
  frameFor(key: string, build: (json: Buffer) => Buffer): Buffer {
    const known = this.#frames.get(key);
    if (known !== undefined) return known;
    const frame = build(this.json);
    if (this.#frames.size < MAX_KEPT_FRAMES) this.#frames.set(key, frame);
    return frame;
  }
}

export interface SharedSubscriber {
  readonly operation: Operation;
  /** The secret that was shown: those with another one are not told together with them. */
  readonly secret: string;
  /** Takes what is told to all. False: too much waits for it already. */
  readonly listener: Listener<SharedResult>;
  /** Ends what it came by, because the key is gone. */
  readonly onKeyGone: () => void;
}

export interface SharedChangesOptions {
  /** A result as clients may see it: errors without what is nobody's business. */
  readonly present: (result: ExecutionResult) => FormattedExecutionResult;
}

interface Told {
  readonly audience: ChangeAudience<SharedResult>;
  readonly source: ChangeSource;
  isKeyGone: boolean;
}

/** As `subscribe` of graphql-js gives them. */
type Results = AsyncGenerator<ExecutionResult, void, undefined>;

export class SharedChanges {
  /** By what they have in common; at most as many as there are subscriptions. */
  readonly #told = new Map<string, Promise<Told>>();
  readonly #documents = new WeakMap<DocumentNode, DocumentTraits>();
  #lastDocument = 0;

  constructor(private readonly options: SharedChangesOptions) {}

  /**
   * Takes the place of `subscribe` of graphql-js for one operation. What the results do not tell, because everybody of an
   * audience is told it, goes to the listener, in order with them.
   */
  async subscribe(subscriber: SharedSubscriber): Promise<Results | ExecutionResult> {
    const { operation } = subscriber;
    const source = await createSourceEventStream(operation);
    if (!(Symbol.asyncIterator in source)) return source;
    if (!(source instanceof ChangeSource)) throw new Error('a subscription is not to the feed of changes');
    return new Following(this, subscriber, source).results();
  }

  /** @throws what keeps it from beginning, as a database that is away */
  async join(
    subscriber: SharedSubscriber,
    { asked }: ChangeSource,
  ): Promise<{ readonly told: Told; readonly leave: () => void }> {
    const key = this.#keyOf(subscriber, asked);
    for (;;) {
      let beginning = this.#told.get(key);
      const isOurs = beginning === undefined;
      if (beginning === undefined) {
        beginning = this.#begin(key, subscriber);
        this.#told.set(key, beginning);
        beginning.catch(() => this.#told.delete(key));
      }
      const told = await beginning;
      const leave = told.audience.expect();
      await told.audience.ready;
      // One of our own that is over cannot be had, as when the hub is closed: that ends what we read by ourselves, too.
      if (isOurs || !told.audience.isOver) return { told, leave };
      leave();
    }
  }

  async #begin(key: string, { operation, secret }: SharedSubscriber): Promise<Told> {
    const { services, watch, principal } = operation.contextValue;
    const isValid = async (): Promise<boolean> => (await services.credentials.verify(secret)) !== null;
    const context = new ApiContext(services, watch, principal, isValid);
    const shared: Operation = { ...operation, contextValue: context as Operation['contextValue'] };
    const source = await createSourceEventStream(shared);
    if (!(source instanceof ChangeSource)) throw new Error('what was subscribed to cannot be subscribed to again');
    const audience: ChangeAudience<SharedResult> = new ChangeAudience<SharedResult>({
      hub: services.hub,
      filter: source.asked.filter,
      tell: (page) => this.#tell(shared, source, page, told),
      onOver: () => this.#told.delete(key),
    });
    context.countAccessesAs(() => Math.max(1, audience.size));
    const told: Told = { audience, source, isKeyGone: false };
    return told;
  }

  async *#tell(
    operation: Operation,
    source: ChangeSource,
    page: readonly SegmentChange[],
    told: Told,
  ): AsyncGenerator<ToldChange<SharedResult> | null, void, undefined> {
    const views = await source.viewsOf(page);
    if (views === null) {
      told.isKeyGone = true;
      yield null;
      return;
    }
    for (const view of views) {
      const result = this.options.present(await execute({ ...operation, rootValue: view }));
      yield { seq: view.seq, message: new SharedResult(Buffer.from(JSON.stringify(result))) };
    }
  }

  #keyOf({ operation, secret }: SharedSubscriber, asked: ChangeSource['asked']): string {
    const { document, operationName, variableValues, contextValue } = operation;
    const { id, resumesBy } = this.#traitsOf(document, operationName);
    const variables = Object.entries(variableValues ?? {}).filter(([name]) => name !== resumesBy);
    variables.sort(([a], [b]) => (a < b ? -1 : 1));
    const { id: who, scopes } = contextValue.principal;
    const common = JSON.stringify([secret, who, scopes, id, operationName ?? null, variables, asked]);
    return hash('sha256', common);
  }

  #traitsOf(document: DocumentNode, operationName: string | null | undefined): DocumentTraits {
    const known = this.#documents.get(document);
    if (known !== undefined) return known;
    const traits = { id: ++this.#lastDocument, resumesBy: resumeVariable(document, operationName) };
    this.#documents.set(document, traits);
    return traits;
  }
}

interface DocumentTraits {
  readonly id: number;
  /** The variable that says where to begin, and nothing else. */
  readonly resumesBy: string | null;
}

/** The variable of the argument `after` of the subscription, where it stands nowhere else in the document. */
function resumeVariable(document: DocumentNode, operationName: string | null | undefined): string | null {
  const field = getOperationAST(document, operationName)?.selectionSet.selections[0];
  const after = field?.kind === Kind.FIELD ? field.arguments?.find(({ name }) => name.value === 'after')?.value : null;
  if (after?.kind !== Kind.VARIABLE) return null;
  let uses = 0;
  visit(document, {
    Variable: (node) => {
      if (node.name.value === after.name.value) uses++;
    },
  });
  // Once where it is declared, once where it is used.
  return uses === 2 ? after.name.value : null;
}

/** One subscription: by itself while it has something to catch up with, else with an audience. */
class Following {
  #hasEnded = false;
  #seat: Seat | null = null;

  constructor(
    private readonly shared: SharedChanges,
    private readonly subscriber: SharedSubscriber,
    private readonly source: ChangeSource,
  ) {}

  /** Not a generator: the `return` of one waits for its pending `next`, which is what a client that leaves wants to end. */
  results(): Results {
    const running = this.#run();
    const end = async (): Promise<IteratorReturnResult<void>> => {
      this.#hasEnded = true;
      this.#seat?.leave();
      await this.source.return();
      await running.return();
      return { done: true, value: undefined };
    };
    const results = {
      next: () => running.next(),
      return: end,
      throw: end,
      [Symbol.asyncIterator]: () => results,
      [Symbol.asyncDispose]: async () => {
        await end();
      },
    } as Results;
    return results;
  }

  async *#run(): Results {
    let after = this.source.after;
    while (!this.#hasEnded) {
      const { told, leave } = await this.shared.join(this.subscriber, this.source);
      try {
        for await (const view of this.source.run(after, (position) => this.#sit(told, position))) {
          yield await this.#execute(view);
        }
      } finally {
        leave();
      }
      if (this.#seat === null) return;
      const end = await this.#seat.ended;
      this.#seat = null;
      this.source.checkedAtMs = told.source.checkedAtMs;
      if (told.isKeyGone) this.subscriber.onKeyGone();
      if (end.kind === 'over') return;
      after = end.position;
    }
  }

  #sit({ audience }: Told, position: number): void {
    if (!this.#hasEnded) this.#seat = audience.sit(this.subscriber.listener, position);
  }

  async #execute(view: ChangeView): Promise<ExecutionResult> {
    return execute({ ...this.subscriber.operation, rootValue: view });
  }
}
