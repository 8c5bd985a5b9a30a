/** RFC 6902 operations; podpass only ever adds. */
export interface AddOperation {
  readonly op: 'add';
  /** A JSON Pointer (RFC 6901). */
  readonly path: string;
  readonly value: unknown;
}

/** A JSON Pointer from its reference tokens: `~` and `/` are escaped (RFC 6901 section 3). */
export function pointer(...tokens: readonly (string | number)[]): string {
  let path = '';
  for (const token of tokens) path += `/${String(token).replaceAll('~', '~0').replaceAll('/', '~1')}`;
  return path;
}

/**
 * Appends items to the list at a pointer. `/-` needs a list that is there, so an absent one is added whole
 * (RFC 6902 section 4.1: the parent must exist); an absent or null list is `undefined` here.
 */
export function append(
  path: string,
  present: readonly unknown[] | undefined,
  items: readonly unknown[],
): AddOperation[] {
  if (items.length === 0) return [];
  if (present === undefined) return [{ op: 'add', path, value: items }];
  return items.map((value) => ({ op: 'add', path: `${path}/-`, value }));
}

/** Sets members of the object at a pointer; an absent object is added whole. */
export function setMembers(
  path: string,
  present: object | undefined,
  members: Readonly<Record<string, unknown>>,
): AddOperation[] {
  if (Object.keys(members).length === 0) return [];
  if (present === undefined) return [{ op: 'add', path, value: members }];
  return Object.entries(members).map(([key, value]) => ({ op: 'add', path: `${path}${pointer(key)}`, value }));
}
