/** Functions of dist by the names and places that they have in our TypeScript. */
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
  const { originalSource, originalLine, originalColumn } = entry;
  const source = resolve(dirname(file), originalSource);
  return { name: nameAt(source, originalLine, originalColumn) ?? name, ...short(source), line: originalLine + 1 };
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

const sources = new Map<string, readonly string[]>();

/** What is declared there: a map has the names of variables, but not those that functions have by being assigned. */
function nameAt(file: string, line: number, column: number): string | undefined {
  if (!sources.has(file)) sources.set(file, existsSync(file) ? readFileSync(file, 'utf8').split('\n') : []);
  const text = sources.get(file)?.[line] ?? '';
  const [before, after] = [text.slice(0, column), text.slice(column)];
  const assigned = /([\w$#]+)\s*[:=]\s*(?:async\s*)?(?:function\s*)?$/.exec(before)?.[1];
  const called = /([\w$#]+)\s*$/.exec(before)?.[1];
  const declared = /^(?:async\s+)?(?:function\s*\*?\s*)?([\w$#]+)\s*\(/.exec(after)?.[1];
  return assigned ?? declared ?? (called === 'async' || called === 'function' ? undefined : called);
}
