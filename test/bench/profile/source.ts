/** Functions of dist by the places that they have in our TypeScript. */
import { existsSync, readFileSync } from 'node:fs';
import { SourceMap } from 'node:module';
import { dirname, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { CpuProfile } from './self-time.ts';

const checkout = fileURLToPath(new URL('../../..', import.meta.url));

export interface Place {
  readonly name: string;
  /** From the checkout or from its node_modules, a module of Node, or what V8 calls by no file. */
  readonly file: string;
  /** The file, or the package, whose files are not ours to change. */
  readonly group: string;
  readonly line: number | undefined;
}

type Frame = CpuProfile['nodes'][number]['callFrame'];

export function sourceOf({ functionName, url, lineNumber, columnNumber }: Frame): Place {
  const name = functionName || '(anonymous)';
  // Of V8 and of Node's own C++.
  if (url === '') return { name, ...whole(name.startsWith('(') ? name : '(native)'), line: undefined };
  if (!url.startsWith('file:')) return { name, ...whole(url), line: lineNumber + 1 };
  const file = fileURLToPath(url);
  // Its columns are counted from 0, as those of the profile.
  const entry = mapOf(file)?.findEntry(lineNumber, columnNumber);
  if (entry === undefined || !('originalSource' in entry)) return { name, ...short(file), line: lineNumber + 1 };
  const { originalSource, originalLine } = entry;
  const source = resolve(dirname(file), originalSource);
  return { name, ...short(source), line: originalLine + 1 };
}

const whole = (file: string) => ({ file, group: file });

function short(path: string): Pick<Place, 'file' | 'group'> {
  const [own = '', inPackage] = relative(checkout, path).split(/node_modules\/(?!.*node_modules\/)/);
  if (inPackage === undefined) return whole(own);
  return { file: inPackage, group: /^(?:@[^/]+\/)?[^/]+/.exec(inPackage)?.[0] ?? inPackage };
}

const maps = new Map<string, SourceMap | undefined>();

function mapOf(file: string): SourceMap | undefined {
  if (!maps.has(file)) {
    const map = `${file}.map`;
    maps.set(file, existsSync(map) ? new SourceMap(JSON.parse(readFileSync(map, 'utf8'))) : undefined);
  }
  return maps.get(file);
}
