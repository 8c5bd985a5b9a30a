import { createHash } from 'node:crypto';

/** The same items in an order that only the seed decides. */
export function shuffled<T extends { readonly name: string }>(items: readonly T[], seed: number): T[] {
  const place = ({ name }: T) => createHash('sha256').update(`${seed} ${name}`).digest('hex');
  return items.toSorted((one, other) => (place(one) < place(other) ? -1 : 1));
}
