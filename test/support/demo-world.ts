import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { gunzipSync } from 'node:zlib';
import { parseSeedSources, type SeedSource } from '../../seeds/seed-definitions.js';
import { IdentityDecisionReader } from '../../src/identity/identity-decision.reader.js';
import { parseFeatures } from '../../src/features/parse-features.js';
import { parseManifest } from '../../src/scoring/parse-manifest.js';
import { parseSegments } from '../../src/segments/parse-segments.js';
import { LoadService } from '../../src/sources/load.service.js';
import { LoadStore } from '../../src/sources/load.store.js';
import { parseMapping } from '../../src/sources/parse-mapping.js';
import { createApiWorld, type ApiWorld } from './api-world.js';
import { HOUR_MS, START_MS } from './world.js';
import { NO_REVERTER } from './no-reverter.js';

/** When the demo of this world is first started. */
export const DEMO_START_MS = Date.UTC(2026, 10, 22, 12);

const SEEDS = new URL('../../seeds/', import.meta.url);
const MODELS = ['purchase_intent', 'rfm_clusters'];
/** Whoever a page names has all of their rows here; of the others some, and of each event at least one. */
const MAX_OTHER_ROWS = 20;

/** A world with the definitions of the demo and part of its data, loaded as the demo loads it. */
export async function createDemoWorld(people: readonly string[]): Promise<ApiWorld> {
  const world = await createApiWorld();
  world.clock.advance(DEMO_START_MS - START_MS);
  const { features, segments, models } = { ...world.engine.services, models: world.services.models };
  await features.apply(parseFeatures(await seed('features.yaml'), 'features.yaml'));
  for (const key of MODELS) {
    const bytes = await readFile(new URL(`models/${key}.onnx`, SEEDS));
    const { model } = await models.register(bytes, parseManifest(await seed(`models/${key}.manifest.yaml`)));
    await models.promote(key, model.version);
  }
  for (const segment of parseSegments(await seed('segments.yaml'), 'segments.yaml')) {
    await segments.upsert(segment);
    await segments.activate(segment.key);
  }
  const folder = await mkdtemp(join(tmpdir(), 'weft-demo-world-'));
  try {
    for (const source of parseSeedSources(await seed('sources.yaml')).sources) {
      await loadSome(world, source, people, folder);
    }
  } finally {
    await rm(folder, { recursive: true });
  }
  await world.drain();
  world.clock.advance(1);
  await world.drain();
  return world;
}

function seed(path: string): Promise<string> {
  return readFile(new URL(path, SEEDS), 'utf8');
}

async function loadSome(
  { engine, db, clock, services }: ApiWorld,
  source: SeedSource,
  people: readonly string[],
  folder: string,
): Promise<void> {
  const lines = gunzipSync(await readFile(new URL(source.file, SEEDS)))
    .toString()
    .split('\n');
  const file = join(folder, source.file.replace(/^.*\//, '').replace(/\.gz$/, ''));
  await writeFile(file, someOf(lines, people).join('\n'));
  const loads = new LoadService({
    sources: services.sources,
    loads: new LoadStore(db),
    acceptor: engine.accept,
    checker: engine.accept,
    deadLetters: engine.deadLetters,
    identities: new IdentityDecisionReader(),
    db,
    clock,
    sleep: () => Promise.resolve(),
    reverter: NO_REVERTER,
    stdin: Readable.from([]),
  });
  const { outcome } = await loads.load({
    file,
    mapping: parseMapping(await seed(source.mapping), source.mapping),
    timeShiftMs: DEMO_START_MS - HOUR_MS - source.lastEventMs,
  });
  if (outcome !== 'loaded') throw new Error(`${source.key} ended as ${outcome}`);
}

/** The header if there is one, all rows of these people, a row of each event, and the first of the others. */
function someOf([first = '', ...rows]: readonly string[], people: readonly string[]): string[] {
  const events = new Set<string>();
  let others = 0;
  const some = rows.filter((row) => {
    const [, type = '', name = ''] = row.split(',');
    const event = /^[a-z_]+$/.test(type) ? name : '';
    const isNew = !events.has(event);
    events.add(event);
    return people.some((person) => row.includes(person)) || isNew || others++ < MAX_OTHER_ROWS;
  });
  return [first, ...some];
}
