/** A file or, without content, a folder of a root file system. */
export interface Entry {
  /** Without a slash at either end. */
  readonly path: string;
  /** The permission bits. */
  readonly mode: number;
  /** In one piece or, where it is long, in several. */
  readonly content?: Uint8Array | readonly Uint8Array[];
}

export const folder = (path: string, mode = 0o755): Entry => ({ path, mode });
export const file = (path: string, content: Uint8Array | readonly Uint8Array[] | string, mode = 0o644): Entry => ({
  path,
  mode,
  content: typeof content === 'string' ? Buffer.from(content) : content,
});

export function piecesOf({ content = [] }: Entry): readonly Uint8Array[] {
  return content instanceof Uint8Array ? [content] : content;
}

/** The entries with all folders above them, each before what is in it, in an order that depends on the paths alone. */
export function inOrder(entries: readonly Entry[]): Entry[] {
  const byPath = new Map<string, Entry>();
  for (const entry of entries) {
    for (let end = entry.path.indexOf('/'); end > 0; end = entry.path.indexOf('/', end + 1)) {
      const above = entry.path.slice(0, end);
      if (!byPath.has(above)) byPath.set(above, folder(above));
    }
    byPath.set(entry.path, entry);
  }
  return [...byPath.values()].sort((a, b) => (a.path < b.path ? -1 : 1));
}
