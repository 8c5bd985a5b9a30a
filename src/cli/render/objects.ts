import { type Facts, nameOf } from './facts.ts';

/** The metadata of an object of Kubernetes. */
export function metadataOf(facts: Facts): { readonly name: string; readonly namespace?: string } {
  const { namespace } = facts.options;
  return { name: nameOf(facts), ...(namespace === undefined ? {} : { namespace }) };
}
