import type { Metafile } from 'esbuild';

export function bundle(checkout?: string): Promise<{
  readonly files: readonly { readonly path: string; readonly contents: Uint8Array }[];
  readonly metafile: Metafile;
}>;
