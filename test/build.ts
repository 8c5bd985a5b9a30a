// Fills the cache with all that the tests on a real API server and on a whole node build, and prints where it is.
import { controlPlaneBinaries } from './cluster/binaries.ts';
import { nodeBinaries } from './node/binaries.ts';

for (const found of [await controlPlaneBinaries(), await nodeBinaries()]) {
  if (found.ok) {
    const { ok: _, ...paths } = found;
    for (const [name, path] of Object.entries(paths)) console.log(`${name} ${path}`);
  } else {
    console.error(found.reason);
    process.exitCode = 1;
  }
}
