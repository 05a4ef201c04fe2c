import { existsSync } from 'node:fs';
import { chromium, type Browser } from 'playwright-core';
import { inject } from 'vitest';

/** Where Debian, Ubuntu and macOS put it. */
const PATHS = [
  '/usr/bin/chromium',
  '/usr/bin/chromium-browser',
  '/usr/bin/google-chrome',
  '/Applications/Chromium.app/Contents/MacOS/Chromium',
  '/Applications/Google Chrome.app/Contents/MacOS/Google Chrome',
];

/** The browser of `WEFT_TEST_CHROMIUM`, else one that is installed; null where there is none. */
export function findChromium(): string | null {
  return process.env['WEFT_TEST_CHROMIUM'] ?? PATHS.find((path) => existsSync(path)) ?? null;
}

/** The browser of this run; null where there is none, and its suites are skipped. */
export function chromiumPath(): string | null {
  return inject('chromiumPath');
}

/** A headless browser that talks to nobody but the pages it is shown. */
export function startBrowser(executablePath: string): Promise<Browser> {
  return chromium.launch({
    executablePath,
    args: [
      // Without a sandbox of its own: as root, in a container, it cannot make one.
      '--no-sandbox',
      '--disable-gpu',
      '--disable-quic',
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-sync',
      '--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost',
    ],
  });
}
