import { stringify } from 'yaml';
import type { KubeObject } from './object.ts';

/** Objects as YAML documents. Version 1.1, as Kubernetes reads it: a `no` would have to be quoted. */
export function toYaml(objects: readonly unknown[]): string {
  const write = { version: '1.1', lineWidth: 0, indentSeq: false, aliasDuplicateObjects: false } as const;
  return objects.map((object) => stringify(object, write)).join('---\n');
}

/** `webhook/Deployment/podpass-webhook`; what a message calls an object. */
export function idOf({ kind, metadata: { name, namespace } }: KubeObject): string {
  return [kind, namespace, name].filter((part) => part !== undefined).join('/');
}
