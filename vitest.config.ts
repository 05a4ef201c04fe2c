import { defineConfig } from 'vitest/config';
import { SummaryReporter } from './test/support/summary-reporter.js';

/** Files share a process: the program is imported once. What a test changes of the process, it puts back. */
const TOGETHER = { isolate: false };

const shared = {
  // One copy of graphql: without the alias, its CommonJS and ESM builds are both loaded and refuse each other's types.
  resolve: { alias: { graphql: 'graphql/index.js' } },
  oxc: { decorator: { legacy: true } },
};

export default defineConfig({
  ...shared,
  test: {
    reporters: ['default', new SummaryReporter()],
    pool: 'forks',
    maxWorkers: 2,
    projects: [
      {
        ...shared,
        test: {
          ...TOGETHER,
          name: 'unit',
          include: ['src/**/*.test.ts', 'seeds/**/*.test.ts', 'sdk/js/src/**/*.test.ts'],
          testTimeout: 20_000,
        },
      },
      {
        ...shared,
        test: {
          ...TOGETHER,
          name: 'services',
          include: ['test/**/*.test.ts', 'sdk/js/test/**/*.test.ts'],
          globalSetup: ['test/support/global-setup.ts'],
          testTimeout: 60_000,
          hookTimeout: 60_000,
          // What a test waits for comes when it comes; a machine that is busy is no reason to fail.
          expect: { poll: { timeout: 20_000 } },
        },
      },
    ],
  },
});
