import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';

const place = (kind: 'corpus' | 'findings', target: string) => new URL(`../${kind}/${target}/`, import.meta.url);

export interface Input {
  /** The file's name. */
  readonly name: string;
  readonly bytes: Buffer;
}

/** In the order of their names, which is the same everywhere. */
export function readInputs(kind: 'corpus' | 'findings', target: string): Input[] {
  const folder = place(kind, target);
  if (!existsSync(folder)) return [];
  return readdirSync(folder)
    .sort()
    .map((name) => ({ name, bytes: readFileSync(new URL(name, folder)) }));
}

/** Under a name that comes from the bytes, which is returned. */
export function writeInput(kind: 'corpus' | 'findings', target: string, bytes: Buffer): string {
  const folder = place(kind, target);
  const name = createHash('sha256').update(bytes).digest('hex').slice(0, 16);
  mkdirSync(folder, { recursive: true });
  writeFileSync(new URL(name, folder), bytes);
  return name;
}

/** The corpus is these inputs and no others. */
export function replaceCorpus(target: string, inputs: readonly Buffer[]): void {
  rmSync(place('corpus', target), { recursive: true, force: true });
  for (const bytes of inputs) writeInput('corpus', target, bytes);
}
