import { readdirSync, readFileSync } from 'node:fs';
import jsonPatch, { type Operation } from 'fast-json-patch';
import { describe, expect, test } from 'vitest';
import { describeAll } from '../src/fault.ts';
import { mutateDebugContainers } from '../webhook/debug-containers.ts';
import { mutatePod } from '../webhook/mutate-pod.ts';
import { type Pod, readPod } from '../webhook/pod.ts';
import { mutationSettings, type WrittenSettings } from './mutation-settings.ts';

/** The README beside the vectors tells what the members mean. */
interface Vector {
  readonly title: string;
  readonly rule: string;
  readonly serviceAccount?: { readonly annotations: Readonly<Record<string, string>> };
  readonly pod: { readonly spec: object };
  readonly debugContainers?: readonly object[];
  readonly settings?: WrittenSettings;
  readonly containerCredentials?: true;
  readonly expect: { readonly pod: unknown } | { readonly denied: readonly string[] } | { readonly unchanged: true };
  readonly warnings?: readonly string[];
}

const folder = new URL('vectors/', import.meta.url);
const vectors = readdirSync(folder)
  .filter((name) => name.endsWith('.json'))
  .map((name) => ({ name, ...(JSON.parse(readFileSync(new URL(name, folder), 'utf8')) as Vector) }));

function deepFreeze<T>(value: T): T {
  if (typeof value === 'object' && value !== null)
    for (const member of Object.values(Object.freeze(value))) deepFreeze(member);
  return value;
}

function read(value: unknown): Pod {
  const reading = readPod(deepFreeze(structuredClone(value)));
  if ('wrong' in reading) throw new TypeError(reading.wrong);
  return reading.pod;
}

/** With `stored`, the value is the Pod of a request for its debug containers. */
function mutate(vector: Vector, value: unknown, stored?: unknown) {
  const pod = read(value);
  const account = {
    namespace: 'shop',
    name: 'app',
    object: 'ServiceAccount shop/app',
    annotations: vector.serviceAccount?.annotations ?? {},
  };
  const settings = mutationSettings(vector.settings, () => vector.containerCredentials === true);
  const object = `Pod shop/${pod.metadata?.name}`;
  if (stored === undefined) return mutatePod(pod, object, deepFreeze(account), settings);
  const request = { stored: read(stored), requested: pod.spec.ephemeralContainers ?? [] };
  return mutateDebugContainers(request, object, deepFreeze(account), settings);
}

/** By a library that is not ours, which checks each operation before it applies it. */
function apply(value: unknown, patch: readonly object[]): unknown {
  return jsonPatch.applyPatch(structuredClone(value), structuredClone(patch) as Operation[], true).newDocument;
}

/** The Pod after its creation, which is not what the vector is about. */
function created(vector: Vector): Vector['pod'] {
  const { patch, problems } = mutate(vector, vector.pod);
  expect(problems).toEqual([]);
  return apply(vector.pod, patch) as Vector['pod'];
}

test('there are vectors, and each has a title of its own', () => {
  expect(vectors.length).toBeGreaterThan(50);
  expect(new Set(vectors.map(({ title }) => title)).size).toBe(vectors.length);
});

describe.each(vectors)('$name', (vector) => {
  test(vector.title, () => {
    const { debugContainers } = vector;
    const stored = debugContainers && created(vector);
    const value = stored ? { ...stored, spec: { ...stored.spec, ephemeralContainers: debugContainers } } : vector.pod;
    const { patch, problems, warnings } = mutate(vector, value, stored);
    const message = problems.length > 0 ? describeAll(problems) : '';
    if ('denied' in vector.expect) {
      for (const text of vector.expect.denied) expect(message).toContain(text);
      expect(message).toContain('accepted: ');
      expect(patch).toEqual([]);
    } else {
      expect(message).toBe('');
      expect(patch.every(({ op }) => op === 'add')).toBe(true);
      const admitted = apply(value, patch);
      if ('unchanged' in vector.expect) expect(patch).toEqual([]);
      else expect(admitted).toStrictEqual(vector.expect.pod);
      expect(mutate(vector, admitted, stored)).toMatchObject({ patch: [], problems: [] });
    }
    for (const text of vector.warnings ?? []) expect(warnings).toContainEqual(expect.stringContaining(text));
    // What else is said of a Pod that is refused does not matter.
    if (!('denied' in vector.expect)) expect(warnings).toHaveLength(vector.warnings?.length ?? 0);
  });
});
