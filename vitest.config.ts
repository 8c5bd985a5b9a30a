import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    pool: 'forks',
    // Every cluster test file starts servers of its own.
    maxWorkers: 2,
    // Key pairs take seconds on a busy machine.
    testTimeout: 30_000,
    projects: [
      {
        extends: true,
        test: {
          name: 'fast',
          include: ['test/**/*.test.ts'],
          exclude: ['test/cluster/**', 'test/node/**', 'test/oauth2-proxy/**'],
          // Many have real sockets, files and clocks; a second try is printed as one.
          retry: 1,
        },
      },
      {
        extends: true,
        test: {
          name: 'cluster',
          include: ['test/cluster/**/*.test.ts'],
          // In a project of its own, so that only runs with cluster tests wait for the binaries.
          globalSetup: 'test/cluster/vitest-global-setup.ts',
          // They wait for real clocks and processes; a second try is printed as one.
          retry: 1,
          testTimeout: 60_000,
          hookTimeout: 120_000,
        },
      },
      {
        extends: true,
        test: {
          name: 'node',
          include: ['test/node/**/*.test.ts'],
          globalSetup: 'test/node/vitest-global-setup.ts',
          // After the others: a node and what is measured on it need the machine for themselves.
          sequence: { groupOrder: 1 },
          fileParallelism: false,
          testTimeout: 120_000,
          hookTimeout: 180_000,
        },
      },
    ],
  },
});
