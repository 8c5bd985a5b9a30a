// Fills the cache with all that the tests on a real API server and on a whole node build, and prints where it is.
import { controlPlaneBinaries } from './cluster/binaries.ts';
import { nodeBinaries } from './node/binaries.ts';

for (const found of [await controlPlaneBinaries(), await nodeBinaries()]) {
  if ('reason' in found) {
    console.error(found.reason);
    process.exitCode = 1;
    continue;
  }
  for (const [name, path] of Object.entries(found)) {
    if (typeof path === 'string') console.log(`${name} ${path}`);
  }
}
