import type { App } from '../../src/app.js';
import { readLinkageModel, writeLinkageModel } from '../../src/identity/linkage/read-linkage-model.js';
import type { ServerOptions } from './server-process.js';

const COLUMNS = ['first_name', 'last_name', 'postcode'] as const;
const ACTOR = 'bench';

/** Whoever shares a surname or a postcode is compared. */
const MODEL = {
  format: 'weft-linkage-1',
  prior: 0.001,
  comparisons: COLUMNS.map((name) => ({
    name,
    levels: [
      { when: `${name}_l IS NULL OR ${name}_r IS NULL`, isNull: true },
      { when: `${name}_l = ${name}_r`, m: 0.9, u: 0.01 },
      { when: 'ELSE', m: 0.1, u: 0.99 },
    ],
  })),
  blocking: [{ on: ['last_name'] }, { on: ['postcode'] }],
};

/** Has facts found out about events of the source `web`, or people compared by a model. */
export async function addBeside({ sources, engine, db }: App, beside: ServerOptions['beside']): Promise<void> {
  if (beside === 'enrichment') {
    await sources.ensure({ key: 'web', kind: 'http' });
    const facts = ['device', 'referrer'] as const;
    await sources.update('web', { enrichment: { facts, internalDomains: [], zone: null, texts: [] } });
  }
  if (beside !== 'linking') return;
  const text = writeLinkageModel(readLinkageModel(JSON.stringify(MODEL), 'model'));
  const { version } = await engine.matching.models.add({ text, file: 'model', name: 'people' }, ACTOR);
  // A model may only read what events have said: those of the bench are yet to come.
  await db.query(
    `INSERT INTO seen_names (event, field) SELECT 'identify', 'traits.' || name FROM unnest($1::text[]) AS c (name)
     ON CONFLICT DO NOTHING`,
    [COLUMNS],
  );
  const mapping = Object.fromEntries(COLUMNS.map((name) => [name, { kind: 'trait' as const, name }]));
  await engine.matching.models.activate(version, { mapping }, ACTOR);
}
