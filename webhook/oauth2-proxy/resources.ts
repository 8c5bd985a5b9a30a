import { listItems } from '../../src/codec.ts';
import type { Problem } from '../../src/fault.ts';
import { type At, problemAt } from '../effective-annotations.ts';

export type Resources = Readonly<Partial<Record<'requests' | 'limits', Readonly<Record<string, string>>>>>;

/** Enough for hundreds of requests a second; a limit of CPU would only make them wait. */
const DEFAULTS = ['requests.cpu=10m', 'requests.memory=32Mi', 'limits.memory=128Mi'];

const ITEM = /^(requests|limits)\.(cpu|memory|ephemeral-storage)=(\d{1,12}(?:\.\d{1,9})?(?:m|k|M|G|Ki|Mi|Gi)?)$/;
const ACCEPTED = `items such as ${DEFAULTS.join(', ')}: requests or limits, of cpu, memory or ephemeral-storage, each once`;

/** The defaults of a resource count where nothing is written of it: half of it might not fit the other half. */
export function readResources(at: At | undefined, problems: Problem[]): Resources {
  const written = new Map<string, { kind: 'requests' | 'limits'; resource: string; quantity: string }>();
  for (const item of listItems(at?.value ?? '')) {
    const parts = parse(item);
    if (at !== undefined && parts === undefined)
      problems.push(problemAt({ ...at, value: item }, 'is no such item', ACCEPTED));
    if (parts === undefined) continue;
    const name = `${parts.kind}.${parts.resource}`;
    if (at !== undefined && written.has(name))
      problems.push(problemAt({ ...at, value: item }, 'is there twice', ACCEPTED));
    written.set(name, parts);
  }
  const mentioned = new Set([...written.values()].map(({ resource }) => resource));
  const byDefault = DEFAULTS.flatMap((item) => parse(item) ?? []).filter(({ resource }) => !mentioned.has(resource));
  const resources: { requests?: Record<string, string>; limits?: Record<string, string> } = {};
  for (const { kind, resource, quantity } of [...byDefault, ...written.values()])
    resources[kind] = { ...resources[kind], [resource]: quantity };
  return resources;
}

function parse(item: string) {
  const [, kind, resource, quantity] = ITEM.exec(item) ?? [];
  if (resource === undefined || quantity === undefined) return undefined;
  return { kind: kind === 'requests' ? ('requests' as const) : ('limits' as const), resource, quantity };
}
