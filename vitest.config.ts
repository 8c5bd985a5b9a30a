import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    pool: 'forks',
    // Every cluster test file starts servers of its own.
    maxWorkers: 2,
    // Key pairs take seconds on a busy machine.
    testTimeout: 30_000,
    projects: [
      { extends: true, test: { name: 'fast', include: ['test/**/*.test.ts'], exclude: ['test/cluster/**'] } },
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
    ],
  },
});
