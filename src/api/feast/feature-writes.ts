import type { AcceptResult, IncomingEvent } from '../../events/event.model.js';
import type { StoredEntity, StoredFeatureView } from '../../features/feature.reader.js';
import { WeftError } from '../../platform/errors.js';
import { nameHint } from '../../platform/near-names.js';
import { hasScope, type Principal } from '../auth/api-key.model.js';
import type { ApiDefinitions } from '../api-definitions.model.js';
import type { ApiServices } from '../api-services.js';
import type { DefinitionsWatch } from '../definitions-watch.js';
import { flag, optionalText, shown, text, wrong, type Body } from './feast-request.model.js';
import { keyColumns, readColumns, recordsOf, type Columns, type RecordKind } from './feast-rows.model.js';

/** As Feast names where rows go. Here there is one log, from which both are made. */
const PUSH_TARGETS = ['online', 'offline', 'online_and_offline'];
const BATCH_ROWS = 1_000;
/** A write is answered when its rows are served, or after this, ms. */
const MAX_WAIT_MS = 5_000;
const MAX_TOLD_REFUSALS = 20;

export interface FeatureWritesOptions {
  readonly services: Pick<
    ApiServices,
    'clock' | 'accept' | 'entityRecords' | 'sources' | 'limits' | 'namespaces' | 'log' | 'applied'
  >;
  readonly watch: Pick<DefinitionsWatch, 'current'>;
}

interface Written {
  readonly accepted: number;
  readonly duplicates: number;
  /** Whether reads show them already. */
  readonly applied: boolean;
}

/**
 * Takes rows of batch views, as `POST /push` and `POST /write-to-online-store` bring them: each becomes a record of the
 * view's source, as if it had been loaded, and is in the log before it is answered.
 */
export class FeatureWrites {
  readonly #options: FeatureWritesOptions;

  constructor(options: FeatureWritesOptions) {
    this.#options = options;
  }

  /** Rows of all batch views of a source, or of the one that is named. @throws WeftError */
  push(body: Body, principal: Principal): Promise<Written> {
    const name = text(body, 'push_source_name');
    const to = optionalText(body, 'to') ?? 'online';
    if (!PUSH_TARGETS.includes(to))
      throw wrong('to', `rows cannot be pushed to ${shown(to)}`, `use ${PUSH_TARGETS.join(', ')}`);
    const all = batchViews(this.#options.watch.current);
    const views = all.filter((view) => view.name === name || view.source === name);
    if (views.length === 0) {
      throw new WeftError('NOT_FOUND', `no batch view has the source ${shown(name)}`, {
        where: 'push_source_name',
        hint: nameHint(
          name,
          new Set(all.flatMap((view) => [view.source ?? '', view.name])),
          'name a batch view, or its source',
        ),
      });
    }
    return this.#write(views, body, principal);
  }

  /** Rows of one batch view. @throws WeftError */
  writeToOnlineStore(body: Body, principal: Principal): Promise<Written> {
    const name = text(body, 'feature_view_name');
    const { current } = this.#options.watch;
    const ofEntities = [...current.entities.values()].flatMap((entity) => entity.views);
    const views = new Map([...current.views, ...ofEntities.map((view) => [view.name, view] as const)]);
    const view = views.get(name);
    if (view === undefined) {
      throw new WeftError('NOT_FOUND', `there is no feature view ${shown(name)}`, {
        where: 'feature_view_name',
        hint: nameHint(name, views.keys(), 'weft features list shows those that there are'),
      });
    }
    if (view.kind !== 'batch') {
      const hint = 'send those events, by POST /v1/batch for one';
      throw wrong('feature_view_name', `the features of ${name} are computed of events`, hint);
    }
    return this.#write([view], body, principal);
  }

  async #write(views: readonly StoredFeatureView[], body: Body, principal: Principal): Promise<Written> {
    flag(body, 'allow_registry_cache', true);
    const columns = readColumns(body['df']);
    const entity = this.#entityOf(views, columns);
    const own = views.filter((view) => view.entity === entity?.name);
    const kinds = kindsOf(own).filter(({ features }) => features.some(({ name }) => columns.has(name)));
    if (kinds.length === 0)
      throw wrong('df', 'no column is a feature of the view', 'name columns as features are named');
    const keys = entity === null ? await this.#keysOf(columns, own) : entityKeys(columns, own, entity.joinKey);
    const nowMs = this.#options.services.clock.now();
    const records = kinds.flatMap((kind) => recordsOf(columns, keys, kind, nowMs));
    return this.#accept(own[0]?.source ?? '', records, { principal, entity });
  }

  /** What the rows are about: an entity whose join key is a column, or people. */
  #entityOf(views: readonly StoredFeatureView[], columns: Columns): StoredEntity | null {
    const { entities } = this.#options.watch.current;
    const named = views.flatMap(({ entity }) => (entity === undefined ? [] : (entities.get(entity)?.entity ?? [])));
    const found = named.find(({ joinKey }) => columns.has(joinKey));
    const [first] = named;
    if (found !== undefined) return found;
    if (first === undefined || named.length < views.length) return null;
    throw wrong('df', 'no column says what the rows are about', `add the column ${first.joinKey}`);
  }

  /** One namespace, or several that are declared: a column that is mistyped must not become an identifier of somebody. */
  async #keysOf(columns: Columns, views: readonly StoredFeatureView[]): Promise<string[]> {
    const features = views.flatMap((view) => view.features.map(({ name }) => name));
    const keys = keyColumns(columns, new Set(features));
    const { namespaces } = this.#options.services;
    const declared = this.#options.watch.current.identityRules.namespaces;
    if (keys.length === 0) throw wrong('df', 'no column says who the rows are about', 'add one, as email or user_id');
    const other = keys.length === 1 ? undefined : keys.find((name) => !declared.has(name));
    const near = keys.length === 1 ? await namespaces.nearest(keys[0] ?? '') : null;
    if (other === undefined && near === null) return keys;
    const name = other ?? keys[0] ?? '';
    const hint =
      near === null ? nameHint(name, features, 'take it out, or declare the namespace') : `did you mean ${near}?`;
    throw wrong(
      `df.${shown(name)}`,
      'this column is neither a feature of the view nor a namespace of identifiers',
      hint,
    );
  }

  async #accept(
    sourceKey: string,
    records: readonly IncomingEvent[],
    { principal, entity }: { readonly principal: Principal; readonly entity: StoredEntity | null },
  ): Promise<Written> {
    const { accept, entityRecords, sources, limits, log, applied, clock } = this.#options.services;
    const source = await sources.findByKey(sourceKey);
    const isAdmin = hasScope(principal, 'admin');
    const isAllowed = isAdmin || (principal.sourceId !== null && principal.sourceId === source?.id);
    if (source === null && isAdmin) throw noSource(sourceKey);
    if (source === null || !isAllowed) {
      throw new WeftError('FORBIDDEN', `this key may not write records of the source ${sourceKey}`, {
        hint: `use a key with the scope ingest that belongs to the source ${sourceKey}`,
      });
    }
    limits.admitEvents(principal, source, records.length);
    const receivedAtMs = clock.now();
    const acceptor = entity === null ? accept : await entityRecords.acceptorOf(entity.name);
    const results: AcceptResult[] = [];
    for (let from = 0; from < records.length; from += BATCH_ROWS) {
      const some = records.slice(from, from + BATCH_ROWS);
      results.push(...(await acceptor.accept(source, some, { historical: false, receivedAtMs })));
    }
    refuseRefused(results);
    // Records of entities are read as they are written.
    const outcome = entity === null ? await applied.until(log.appendedPos, MAX_WAIT_MS) : 'applied';
    const accepted = results.filter(({ status }) => status === 'accepted').length;
    return { accepted, duplicates: results.length - accepted, applied: outcome !== 'late' };
  }
}

/** @throws WeftError BAD_REQUEST for a column that is neither a feature nor the key */
function entityKeys(columns: Columns, views: readonly StoredFeatureView[], joinKey: string): string[] {
  const features = views.flatMap((view) => view.features.map(({ name }) => name));
  const other = keyColumns(columns, new Set(features)).find((name) => name !== joinKey);
  if (other === undefined) return [joinKey];
  throw wrong(
    `df.${shown(other)}`,
    `this column is neither a feature of the view nor ${joinKey}`,
    nameHint(other, features, 'take it out'),
  );
}

/** Of people and of other entities. */
function batchViews({ views, entities }: ApiDefinitions): StoredFeatureView[] {
  const ofEntities = [...entities.values()].flatMap((entity) => entity.views);
  return [...views.values(), ...ofEntities].filter(({ kind }) => kind === 'batch');
}

/** Views whose records have one name are columns of the same record. */
function kindsOf(views: readonly StoredFeatureView[]): RecordKind[] {
  const kinds = new Map<string, RecordKind>();
  for (const { features } of views) {
    const event = features[0]?.events[0];
    if (event === undefined) continue;
    const before = kinds.get(event);
    const created = before?.created ?? features[0]?.options?.created ?? null;
    kinds.set(event, { event, created, features: [...(before?.features ?? []), ...features] });
  }
  return [...kinds.values()];
}

/** @throws WeftError BAD_REQUEST that says of the first rows why they were not taken; the others were */
function refuseRefused(results: readonly AcceptResult[]): void {
  const told = results.flatMap((result, row) => (result.status === 'refused' ? [{ row, reason: result.reason }] : []));
  const [first] = told;
  if (first === undefined) return;
  const reasons = told.slice(0, MAX_TOLD_REFUSALS).map(({ row, reason }) => `row ${String(row)}: ${reason}`);
  throw new WeftError(
    'BAD_REQUEST',
    `${String(told.length)} of ${String(results.length)} rows were not taken (${reasons.join('; ')})`,
    {
      where: 'df',
      hint: 'weft dead-letters list shows them; mend those rows and send all again, the others count once',
    },
  );
}

function noSource(key: string): WeftError {
  return new WeftError('BAD_REQUEST', `there is no source ${key}, whose records these are`, {
    where: 'feature_view_name',
    hint: `make it with weft sources create ${key}`,
  });
}
