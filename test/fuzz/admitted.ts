import jsonPatch, { type Operation } from 'fast-json-patch';
import { hold } from './target.ts';

/** The value after a patch. Fails where the patch does not apply, is not made of additions, or takes something away. */
export function admitted(before: unknown, patch: readonly { readonly op: string; readonly path: string }[]): unknown {
  for (const { op, path } of patch) hold(op === 'add', `the patch has the operation ${op} at ${path}`);
  let after: unknown;
  try {
    after = jsonPatch.applyPatch(
      structuredClone(before) as object,
      structuredClone(patch) as unknown as Operation[],
      true,
    ).newDocument;
  } catch (error) {
    throw new Error(`the patch does not apply: ${(error as Error).name}`);
  }
  // What replaces a value does it at a place that an operation names.
  const replaced = new Set(patch.map(({ path }) => path).filter((path) => REPLACED.test(path)));
  const lost = missing(before, after, '', replaced);
  hold(lost === undefined, `the patch takes away or changes ${lost}`);
  return after;
}

/** The mark of podpass, the name of the port that oauth2-proxy takes over, and what leads to that port by its name. */
const REPLACED =
  /^(\/metadata\/annotations\/[^/]+~1injected|\/spec\/(initContainers|containers)\/\d+\/(ports\/\d+\/name|(livenessProbe|readinessProbe|startupProbe|lifecycle\/\w+)\/\w+\/port))$/;

/** The first place at which the value before is not in the value after; null may become anything. */
function missing(before: unknown, after: unknown, at: string, replaced: ReadonlySet<string>): string | undefined {
  if (before === null || replaced.has(at)) return undefined;
  if (typeof before !== 'object') return Object.is(before, after) ? undefined : at;
  if (typeof after !== 'object' || after === null || Array.isArray(before) !== Array.isArray(after)) return at;
  for (const key of Object.keys(before)) {
    const place = `${at}/${key.replaceAll('~', '~0').replaceAll('/', '~1')}`;
    if (!Object.hasOwn(after, key)) return place;
    const lost = missing((before as never)[key], (after as never)[key], place, replaced);
    if (lost !== undefined) return lost;
  }
  return undefined;
}
