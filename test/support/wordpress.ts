import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { chmod, chown, cp, mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { freePort } from './free-port.js';
import { FIXTURES, hasPhp, runPhp } from './php.js';

const DEBIAN_CORE = '/usr/share/wordpress';
const START_TIMEOUT_MS = 20_000;
/** Requests that the web server answers at once: one may ask itself. */
const WEB_WORKERS = 4;
const COMPILED_ONCE = ['-d', 'opcache.enable_cli=1', '-d', 'opcache.revalidate_freq=0'];
/** Of Debian and macOS alike enough: somebody who owns nothing. */
const NOBODY = 65_534;

/** A WordPress of its own: core, database and web server in one folder, on loopback. */
export interface WordPress {
  /** Without a slash at its end; also the site's origin. */
  readonly url: string;
  /** Runs PHP within it; what that returns, through JSON. */
  run<T = unknown>(code: string): Promise<T>;
  /** Lines of PHP's log that name the plugin. */
  complaints(): Promise<string[]>;
  stop(): Promise<void>;
}

/** The folder of a WordPress core, where PHP and MariaDB are there to run it; else null. */
export function findWordPress(): string | null {
  const core = process.env['WEFT_TEST_WORDPRESS'] ?? DEBIAN_CORE;
  const hasDatabase = spawnSync('mariadbd', ['--version']).status === 0;
  return hasDatabase && hasPhp() && existsSync(join(core, 'wp-load.php')) ? core : null;
}

/**
 * Installs WordPress with an account `admin`, password `secret`, and starts it. Not as root: where the tests run as root, it
 * runs as nobody.
 */
export async function startWordPress(core: string, folder: string): Promise<WordPress> {
  const isRoot = process.getuid?.() === 0;
  const as = isRoot ? { uid: NOBODY, gid: NOBODY } : {};
  const site = join(folder, 'site');
  const socket = join(folder, 'db.sock');
  const url = `http://127.0.0.1:${String(await freePort())}`;
  await copyCore(core, site);
  await mkdir(join(folder, 'db'));
  await writeFile(join(site, 'wp-config.php'), wpConfig(socket, join(folder, 'php.log')));
  if (isRoot) await giveAway(folder);

  const database = startDatabase(folder, socket, as);
  // Of a name that nobody else knows: it does what it is told.
  const runner = `run-${randomUUID()}.php`;
  await cp(`${FIXTURES}run.php`, join(site, runner));
  await eventually('MariaDB', () => canConnect(socket));
  await runPhp([join(site, runner)], INSTALL.replaceAll('URL', url), as);
  const web = spawn('php', [...COMPILED_ONCE, '-S', new URL(url).host, '-t', site], {
    ...as,
    env: { ...process.env, PHP_CLI_SERVER_WORKERS: String(WEB_WORKERS) },
    stdio: 'ignore',
    detached: true,
  });
  await eventually('the web server', async () => (await fetch(url).catch(() => null))?.status === 200);
  return {
    url,
    run: async <T>(code: string) => {
      const response = await fetch(`${url}/${runner}`, { method: 'POST', body: code });
      const output = await response.text();
      if (!response.ok) throw new Error(`WordPress answered ${String(response.status)}: ${output}`);
      return JSON.parse(output.slice(output.lastIndexOf('\n'))) as T;
    },
    complaints: async () => {
      const log = await readFile(join(folder, 'php.log'), 'utf8').catch(() => '');
      return log.split('\n').filter((line) => line.includes('/plugins/weft/'));
    },
    stop: async () => {
      await Promise.all([stopGroup(web), stopGroup(database)]);
    },
  };
}

/** Links are followed: Debian keeps some of its libraries elsewhere. */
async function copyCore(core: string, site: string): Promise<void> {
  const left = new Set(['wp-content', 'wp-config.php', '.htaccess']);
  await mkdir(site);
  const names = (await readdir(core)).filter((name) => !left.has(name));
  await Promise.all(
    names.map((name) => cp(join(core, name), join(site, name), { recursive: true, dereference: true })),
  );
  const content = join(site, 'wp-content');
  for (const name of ['plugins', 'uploads', 'upgrade']) await mkdir(join(content, name), { recursive: true });
  await cp(`${FIXTURES}theme`, join(content, 'themes', 'plain'), { recursive: true });
  await cp(`${FIXTURES}mu-plugins`, join(content, 'mu-plugins'), { recursive: true });
  await cp(`${FIXTURES}advanced-cache.php`, join(content, 'advanced-cache.php'));
}

/** The whole folder to nobody, who has to pass. */
async function giveAway(folder: string): Promise<void> {
  await chmod(folder, 0o711);
  const names = await readdir(folder, { recursive: true });
  for (const name of ['.', ...names]) await chown(join(folder, name), NOBODY, NOBODY);
}

function startDatabase(folder: string, socket: string, as: { uid?: number; gid?: number }): ChildProcess {
  const options = {
    datadir: join(folder, 'db'),
    socket,
    'pid-file': join(folder, 'db.pid'),
    'log-error': join(folder, 'db.log'),
    // Nothing in it outlives the test.
    'innodb-flush-log-at-trx-commit': '0',
    'innodb-buffer-pool-size': '32M',
    'innodb-log-file-size': '8M',
  };
  const flags = Object.entries(options).map(([name, value]) => `--${name}=${value}`);
  // Reached by its socket alone, which only its folder's owner sees: nobody has to be let in by a password.
  const bare = ['--no-defaults', '--skip-networking', '--skip-grant-tables', '--skip-log-bin'];
  return spawn('mariadbd', [...bare, ...flags], { ...as, stdio: 'ignore', detached: true });
}

async function canConnect(socket: string): Promise<boolean> {
  const code = `mysqli_report(MYSQLI_REPORT_OFF); echo @mysqli_connect(null, 'root', '', '', 0, '${socket}') ? 1 : 0;`;
  return existsSync(socket) && (await runPhp(['-r', code])) === '1';
}

async function eventually(what: string, isThere: () => Promise<boolean>): Promise<void> {
  const endMs = Date.now() + START_TIMEOUT_MS;
  while (!(await isThere())) {
    if (Date.now() > endMs) throw new Error(`${what} did not start`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

/** The process and those that it has started. */
async function stopGroup(child: ChildProcess): Promise<void> {
  if (child.pid === undefined || child.exitCode !== null) return;
  const exited = once(child, 'exit');
  process.kill(-child.pid, 'SIGTERM');
  await exited;
}

function wpConfig(socket: string, log: string): string {
  const constants = {
    DB_NAME: 'wordpress',
    DB_USER: 'root',
    DB_PASSWORD: '',
    DB_HOST: `localhost:${socket}`,
    DB_CHARSET: 'utf8mb4',
    DB_COLLATE: '',
    WP_DEBUG: true,
    WP_DEBUG_LOG: log,
    WP_DEBUG_DISPLAY: false,
    // The tests say when it runs.
    DISABLE_WP_CRON: true,
    // Nobody but this machine is asked for anything.
    WP_HTTP_BLOCK_EXTERNAL: true,
    WP_ACCESSIBLE_HOSTS: '127.0.0.1',
    FS_METHOD: 'direct',
    WP_CACHE: true,
    ...Object.fromEntries(['AUTH', 'SECURE_AUTH', 'LOGGED_IN', 'NONCE'].flatMap(keyAndSalt)),
  };
  const lines = Object.entries(constants).map(([name, value]) => `define( '${name}', ${php(value)} );`);
  return `<?php
mysqli_query( mysqli_connect( null, 'root', '', '', 0, '${socket}' ), 'CREATE DATABASE IF NOT EXISTS wordpress' );
${lines.join('\n')}
$table_prefix = 'wp_';
defined( 'ABSPATH' ) || define( 'ABSPATH', __DIR__ . '/' );
require_once ABSPATH . 'wp-settings.php';
`;
}

function keyAndSalt(name: string): [string, string][] {
  return [
    [`${name}_KEY`, `key of ${name}`],
    [`${name}_SALT`, `salt of ${name}`],
  ];
}

function php(value: string | boolean): string {
  return typeof value === 'boolean' ? String(value) : `'${value}'`;
}

const INSTALL = `
  require_once ABSPATH . 'wp-admin/includes/upgrade.php';
  wp_install( 'Shop', 'admin', 'admin@example.org', true, '', 'secret' );
  update_option( 'siteurl', 'URL' );
  update_option( 'home', 'URL' );
  update_option( 'comment_previously_approved', '0' );
  switch_theme( 'plain' );
  return null;
`;
