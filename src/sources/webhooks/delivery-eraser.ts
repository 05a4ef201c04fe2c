import type { JsonValue } from '../../events/event.model.js';
import { byteaArray, int8Array } from '../../platform/binary-arrays.js';
import type { InstallationSecret } from '../../platform/installation-secret.js';
import type { Queryable } from '../../platform/postgres.js';
import { deliveryPurpose } from './open-webhook.js';
import { withoutNamed } from './prune-body.js';

/** Deliveries opened at a time; each may be a megabyte. */
const DELIVERIES_PER_PAGE = 50;

/** A page of deliveries that was looked through. */
export interface LookedThrough {
  readonly lastId: number;
  /** Deleted, or without the person now. */
  readonly removed: number;
}

interface Delivery {
  readonly id: number;
  readonly sourceId: number;
  readonly sealed: Buffer;
}

/** Looks through what webhooks delivered, and takes out for good what names a person. */
export class DeliveryEraser {
  constructor(private readonly secret: InstallationSecret) {}

  /** The deliveries after one, some at a time; null: there are none. What cannot be opened names nobody to anybody. */
  async remove(db: Queryable, afterId: number, names: (text: string) => boolean): Promise<LookedThrough | null> {
    const rows = await db.query<Delivery>(
      `SELECT id, source_id AS "sourceId", sealed FROM webhook_deliveries WHERE id > $1 ORDER BY id LIMIT $2`,
      [afterId, DELIVERIES_PER_PAGE],
    );
    const last = rows.at(-1);
    if (last === undefined) return null;
    const gone: number[] = [];
    const rest: { readonly id: number; readonly sealed: Buffer }[] = [];
    for (const { id, sourceId, sealed } of rows) {
      const plain = this.secret.open(deliveryPurpose(sourceId), sealed)?.toString('utf8');
      if (plain === undefined || !names(plain)) continue;
      const left = withoutPerson(plain, names);
      if (left === null) gone.push(id);
      else rest.push({ id, sealed: this.secret.seal(deliveryPurpose(sourceId), Buffer.from(left)) });
    }
    if (gone.length > 0) await db.query('DELETE FROM webhook_deliveries WHERE id = ANY ($1::int8[])', [gone]);
    if (rest.length > 0) await this.#rewrite(db, rest);
    return { lastId: last.id, removed: gone.length + rest.length };
  }

  /** Which of a marked delivery's events may have been taken back is not known any more: the person's are among the ids. */
  async #rewrite(db: Queryable, rest: readonly Pick<Delivery, 'id' | 'sealed'>[]): Promise<void> {
    await db.query(
      `UPDATE webhook_deliveries d SET sealed = r.sealed, bytes = length(r.sealed), taken_back_ids = NULL
       FROM unnest($1::int8[], $2::bytea[]) AS r (id, sealed) WHERE d.id = r.id`,
      [int8Array(rest, ({ id }) => id), byteaArray(rest, ({ sealed }) => sealed)],
    );
  }
}

/** Null where nothing is to be kept, or the body is no JSON. */
function withoutPerson(body: string, names: (text: string) => boolean): string | null {
  let parsed: JsonValue;
  try {
    parsed = JSON.parse(body) as JsonValue;
  } catch {
    return null;
  }
  const left = withoutNamed(parsed, names);
  const text = left === undefined ? null : JSON.stringify(left);
  return text === null || names(text) ? null : text;
}
