// Bundles the executable, in memory: dist/podpass.js, with source maps, and beside it the parts that only some commands
// load. Why it is bundled, and why in parts: docs/decisions/0002-bundle-in-parts.md.
import { existsSync } from 'node:fs';
import { join, relative } from 'node:path';
import { build } from 'esbuild';

/**
 * The files of dist and what they are made of: `{ files: [{ path: 'podpass.js', contents }], metafile }`. Paths in the
 * source maps and in esbuild's metafile are relative to the checkout. Throws where the sources cannot be bundled.
 */
export async function bundle(checkout = process.cwd()) {
  const { outputFiles, metafile } = await build({
    absWorkingDir: checkout,
    entryPoints: ['src/cli/podpass.ts'],
    outdir: 'dist',
    chunkNames: 'parts/[name]-[hash]',
    bundle: true,
    write: false,
    metafile: true,
    platform: 'node',
    target: 'node20.19',
    format: 'esm',
    sourcemap: true,
    splitting: true,
    sourcesContent: false,
    legalComments: 'linked',
    // Comments and space are kept in memory as long as the code. Names and lines are left for stacks.
    minifyWhitespace: true,
    lineLimit: 160,
    // CommonJS packages in an ES module bundle call `require` for Node's own modules.
    banner: {
      js: "import { createRequire as __createRequire } from 'node:module';\nconst require = __createRequire(import.meta.url);",
    },
    // For Nodes without a URL of their own; its tables take 5 MiB.
    alias: { 'whatwg-url': 'node:url' },
    logLevel: 'warning',
    plugins: [
      {
        name: 'required',
        // An import of it makes Node 24 and later load its WebSocket, fetch and HTTP/2: 12 MiB and 25 ms. `require` does not.
        setup({ onResolve, onLoad }) {
          onResolve({ filter: /^(node:)?http$/ }, ({ namespace }) =>
            namespace === 'required'
              ? { path: 'node:http', external: true }
              : { path: 'node:http', namespace: 'required' },
          );
          onLoad({ filter: /^/, namespace: 'required' }, ({ path }) => ({
            contents: `module.exports = require(${JSON.stringify(path)});`,
          }));
        },
      },
      {
        name: 'kubernetes-client',
        // Its package.json does not say that its modules can be left out where they are not used: half the bundle.
        setup({ onResolve, resolve }) {
          const inside = /\/@kubernetes\/client-node\//;
          onResolve({ filter: /^\./ }, ({ path, importer, resolveDir }) => {
            // Its own imports have their extension, and need no search: esbuild's, asked from here, takes 10 s for them.
            const file = join(resolveDir, path);
            return inside.test(importer) && existsSync(file) && file.endsWith('.js')
              ? { path: file, sideEffects: false }
              : undefined;
          });
          onResolve({ filter: /^@kubernetes\/client-node$/ }, async ({ path, pluginData, ...rest }) => {
            if (pluginData === 'resolving') return undefined;
            const resolved = await resolve(path, { ...rest, pluginData: 'resolving' });
            return resolved.errors.length > 0 ? resolved : { path: resolved.path, sideEffects: false };
          });
        },
      },
    ],
  });
  const files = outputFiles.map(({ path, contents }) => ({ path: relative(join(checkout, 'dist'), path), contents }));
  return { files, metafile };
}
