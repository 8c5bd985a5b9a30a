// Bundles the executable: dist/podpass.js, with source maps, and beside it the parts that only some commands load. Why it
// is bundled, and why in parts: docs/decisions/0002-bundle-in-parts.md.
import { chmod, rm } from 'node:fs/promises';
import { build } from 'esbuild';

await rm('dist', { recursive: true, force: true });
await build({
  entryPoints: ['src/cli/podpass.ts'],
  outdir: 'dist',
  chunkNames: 'parts/[name]-[hash]',
  bundle: true,
  platform: 'node',
  target: 'node20.19',
  format: 'esm',
  sourcemap: true,
  splitting: true,
  minify: true,
  sourcesContent: false,
  legalComments: 'linked',
  // CommonJS packages in an ES module bundle call `require` for Node's own modules.
  banner: {
    js: "import { createRequire as __createRequire } from 'node:module';\nconst require = __createRequire(import.meta.url);",
  },
  // A package of the Kubernetes client uses Node's own module of that name, which newer Nodes complain about.
  alias: { punycode: 'punycode/punycode.js' },
  logLevel: 'warning',
  plugins: [
    {
      name: 'kubernetes-client',
      // Its package.json does not say that its modules can be left out where they are not used: half the bundle.
      setup({ onResolve, resolve }) {
        onResolve({ filter: /./ }, async ({ path, pluginData, ...rest }) => {
          const inside = rest.importer.includes('/@kubernetes/client-node/') && path.startsWith('.');
          if (pluginData === 'resolving' || !(inside || path === '@kubernetes/client-node')) return undefined;
          const resolved = await resolve(path, { ...rest, pluginData: 'resolving' });
          return resolved.errors.length > 0 ? resolved : { path: resolved.path, sideEffects: false };
        });
      },
    },
  ],
});
await chmod('dist/podpass.js', 0o755);
