import { randomUUID } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { inject } from 'vitest';
import { packagePlugin } from '../../scripts/package-wordpress-plugin.js';
import { startApp, type App } from '../../src/app.js';
import { readConfig } from '../../src/config.js';
import type { LoggedEvent } from '../../src/events/event.model.js';
import { createLogger } from '../../src/platform/logger.js';
import { serve } from '../../src/serve.js';
import { createTestDatabase } from './database.js';
import { openWeftDoor, type WeftDoor } from './weft-door.js';
import { startWordPress, type WordPress } from './wordpress.js';

/** Everybody's consent, as the stand-in for the WP Consent API keeps it. */
export const CONSENT = { wp_consent_marketing: 'allow' };

const MAX_EVENTS = 1_000;
const PARTITIONS = Array.from({ length: 16 }, (_, part) => part);

export interface WordPressWorld {
  readonly wordpress: WordPress;
  readonly weft: App;
  /** Between the two. */
  readonly door: WeftDoor;
  /** As the settings page would save them. */
  readonly settings: Readonly<Record<string, unknown>>;
  /** Saves settings, those of the world but for these, and forgets what failed before. */
  configure(changes?: Readonly<Record<string, unknown>>): Promise<void>;
  /** Somebody with a cookie who has done this, as far as Weft knows. */
  aVisitor(...events: string[]): Promise<string>;
  /** A page with this content. */
  aPost(content: string, meta?: Readonly<Record<string, string>>): Promise<string>;
  /** All that the site has told since the last call, once there is as much; the time-out of the test bounds the wait. */
  told(count: number): Promise<LoggedEvent[]>;
  close(): Promise<void>;
}

/**
 * A WordPress with the plugin as it is packaged, and a Weft with segments that pages may know, `vip` (who did `Vip`),
 * `regular` (who did `Regular`) and `writer` (who commented), and one that they may not, `hidden` (who did `Vip`).
 */
export async function createWordPressWorld(core: string): Promise<WordPressWorld> {
  const folder = await mkdtemp(join(tmpdir(), 'weft-wordpress-'));
  const [wordpress, { weft, url, stopWeft }] = await Promise.all([startWordPress(core, folder), startWeft()]);
  const door = await openWeftDoor(url);
  const keys = await makeKeys(weft, wordpress.url);
  const settings = {
    url: door.url,
    write_key: keys.writeKey,
    edge_key: keys.edgeKey,
    signing_secret: keys.signingSecret,
    deadline_ms: 2000,
    content_mode: 'client',
    consent: 'consent_api',
    consent_category: 'marketing',
    track: ['pages', 'products', 'cart', 'orders', 'comments', 'logins'],
    send_email: false,
  };
  await installPlugin(wordpress, folder);
  let toldPos = 0;
  const world: WordPressWorld = {
    wordpress,
    weft,
    door,
    settings,
    configure: async (changes = {}) => {
      const json = JSON.stringify({ ...settings, ...changes }).replaceAll("'", String.raw`\u0027`);
      await wordpress.run(`
        remove_all_filters( 'sanitize_option_weft_options' );
        foreach ( array( 'edge', 'delivery' ) as $name ) { ( new Weft\\Breaker( $name ) )->reset(); }
        return update_option( 'weft_options', json_decode( '${json}', true ) );`);
      door.takeRequests();
    },
    aVisitor: async (...events) => {
      const id = randomUUID();
      const batch = events.map((event) => ({ type: 'track', event, anonymousId: id, messageId: randomUUID() }));
      await post(`${url}/v1/batch`, keys.ownWriteKey, { batch });
      await weft.applied();
      return id;
    },
    aPost: async (content, meta = {}) => {
      const id = await wordpress.run<number>(`return wp_insert_post( array(
        'post_title' => 'A page', 'post_status' => 'publish', 'comment_status' => 'open',
        'post_content' => wp_slash( base64_decode( '${Buffer.from(content).toString('base64')}' ) ),
        'meta_input' => json_decode( '${JSON.stringify(meta)}', true ),
      ) );`);
      return `${wordpress.url}/?p=${String(id)}`;
    },
    told: async (count) => {
      for (;;) {
        const { events, scannedPos } = await weft.engine.log.readBatch({
          afterPos: toldPos,
          parts: PARTITIONS,
          limit: MAX_EVENTS,
          maxBytes: 1_000_000,
        });
        const told = events.filter(({ sourceId }) => sourceId === keys.source);
        if (told.length >= count) {
          toldPos = scannedPos;
          return told;
        }
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
    },
    close: async () => {
      await wordpress.stop();
      await door.close();
      await stopWeft();
      await rm(folder, { recursive: true, force: true });
    },
  };
  await world.configure();
  return world;
}

/** The whole program, on a database of its own. */
async function startWeft(): Promise<{ weft: App; url: string; stopWeft: () => Promise<void> }> {
  const database = await createTestDatabase();
  const config = readConfig({
    WEFT_DATABASE_URL: database.url,
    WEFT_PORT: '0',
    WEFT_SECRET: 'the secret of a world that ends with its test',
  });
  const weft = await startApp({ config, logger: createLogger({ level: 'silent' }), worker: 'yes' });
  const { url } = await serve(weft);
  let isStopped = false;
  return {
    weft,
    url,
    stopWeft: async () => {
      if (isStopped) return;
      isStopped = true;
      await weft.stop();
      await database.drop();
    },
  };
}

async function makeKeys(weft: App, origin: string) {
  const site = await weft.sources.ensure({ key: 'wordpress', kind: 'http' });
  const other = await weft.sources.ensure({ key: 'web', kind: 'http' });
  const write = await weft.keys.create({ name: 'site', scopes: ['ingest'], sourceId: site.id });
  const own = await weft.keys.create({ name: 'test', scopes: ['ingest'], sourceId: other.id });
  const edge = await weft.keys.create({ name: 'pages', scopes: ['edge'], origins: [origin] });
  for (const [key, event, isEdge] of [
    ['vip', 'Vip', true],
    ['regular', 'Regular', true],
    ['writer', 'Comment Posted', true],
    ['hidden', 'Vip', false],
  ] as const) {
    const expression = `performed("${event}")`;
    await weft.engine.services.segments.upsert({ key, name: key, description: '', tags: [], expression, edge: isEdge });
    await weft.engine.services.segments.activate(key);
  }
  return {
    source: site.id,
    writeKey: write.secret,
    ownWriteKey: own.secret,
    edgeKey: edge.secret,
    signingSecret: edge.signingSecret ?? '',
  };
}

/** By WordPress's own way from a zip to a plugin that is active. */
async function installPlugin(wordpress: WordPress, folder: string): Promise<void> {
  const path = join(folder, 'weft.zip');
  await writeFile(path, await packagePlugin());
  const installed = await wordpress.run(`
    require_once ABSPATH . 'wp-admin/includes/class-wp-upgrader.php';
    WP_Filesystem();
    $unzipped = unzip_file( '${path}', WP_PLUGIN_DIR );
    $active   = is_wp_error( $unzipped ) ? $unzipped : activate_plugin( 'weft/weft.php' );
    return is_wp_error( $active ) ? $active->get_error_message() : 'active';`);
  if (installed !== 'active') throw new Error(`the plugin cannot be installed: ${String(installed)}`);
}

async function post(url: string, key: string, body: object): Promise<void> {
  const authorization = `Basic ${Buffer.from(`${key}:`).toString('base64')}`;
  const response = await fetch(url, { method: 'POST', headers: { authorization }, body: JSON.stringify(body) });
  if (!response.ok) throw new Error(`${url} answered ${String(response.status)}`);
}

/** The core of this run; null where there is none, and its suites are skipped. */
export function wordpressCore(): string | null {
  return inject('wordpressCore');
}
