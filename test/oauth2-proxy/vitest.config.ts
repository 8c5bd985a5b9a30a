import { defineConfig } from 'vitest/config';

// Not among the projects of the whole run: it needs a binary that nothing here builds.
export default defineConfig({
  test: {
    name: 'oauth2-proxy',
    include: ['test/oauth2-proxy/**/*.test.ts'],
    globalSetup: 'test/oauth2-proxy/global-setup.ts',
    pool: 'forks',
    fileParallelism: false,
    testTimeout: 30_000,
    hookTimeout: 60_000,
  },
});
