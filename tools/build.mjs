// Writes the executable, the folder dist.
import { mkdir, rm, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { bundle } from './bundle.mjs';

const { files } = await bundle();
await rm('dist', { recursive: true, force: true });
for (const { path, contents } of files) {
  await mkdir(dirname(`dist/${path}`), { recursive: true });
  await writeFile(`dist/${path}`, contents, { mode: path === 'podpass.js' ? 0o755 : 0o644 });
}
