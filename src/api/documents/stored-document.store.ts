import type { Queryable, Transaction } from '../../platform/postgres.js';
import type { StoredDocument } from './stored-document.model.js';

/** Rows of `stored_documents`. Every change is told to all processes by a version. */
export class StoredDocumentStore {
  /** All, by id. */
  async list(db: Queryable): Promise<StoredDocument[]> {
    return this.page(db, null, null);
  }

  /** By id, those after one. @param limit null: all */
  async page(db: Queryable, afterId: string | null, limit: number | null): Promise<StoredDocument[]> {
    const rows = await db.query<{ id: string; name: string; text: string; created_at: number }>(
      `SELECT encode(id, 'hex') AS id, name, text, created_at FROM stored_documents
       WHERE $1::text IS NULL OR id > decode($1, 'hex') ORDER BY id LIMIT $2`,
      [afterId, limit],
    );
    return rows.map((row) => ({
      id: row.id,
      name: row.name,
      text: row.text,
      isStandard: false,
      createdAt: row.created_at,
    }));
  }

  /** The first statement of a change: others wait until it is done. */
  async touch(tx: Transaction): Promise<void> {
    await tx.query('UPDATE installation SET documents_version = documents_version + 1');
  }

  async count(tx: Transaction): Promise<number> {
    const [row] = await tx.query<{ count: number }>('SELECT count(*)::int4 AS count FROM stored_documents');
    return row?.count ?? 0;
  }

  async insert(tx: Transaction, { id, name, text }: StoredDocument, nowMs: number): Promise<void> {
    await tx.query(
      `INSERT INTO stored_documents (id, name, text, created_at) VALUES (decode($1, 'hex'), $2, $3, $4)
       ON CONFLICT (id) DO NOTHING`,
      [id, name, text, nowMs],
    );
  }

  /** @returns false where there is none */
  async remove(tx: Transaction, id: string): Promise<boolean> {
    const rows = await tx.query(`DELETE FROM stored_documents WHERE id = decode($1, 'hex') RETURNING 1 AS one`, [id]);
    return rows.length > 0;
  }
}
