import { Failure } from '../../src/fault.ts';
import type { Documents } from '../document.ts';
import type { PublicKey } from '../public-key.ts';
import { publicKeysFromJwkSet } from '../read-keys.ts';
import { FILE_ORDER, filesOf, JWKS_FILE } from './files.ts';
import { isMarked, MARK_FILE, markOf, type Owner } from './owner.ts';
import { plan, type Step } from './plan.ts';
import { Conflict, type StoredFile, type Target } from './target.ts';

/** The keys that a target publishes now; unreadable where something else is at the place of its JWK Set. */
export type PublishedKeys = readonly PublicKey[] | 'unreadable';

export interface PublishRequest extends Owner {
  readonly cacheControl: string;
  /** What to publish in the place of these keys. Throws a Failure where they must not be replaced. */
  readonly decide: (published: PublishedKeys) => Documents;
}

/** Writers that are in each other's way agree after a try or two. */
const TRIES = 5;

/**
 * Makes the target's documents ours: the mark first, then the JWK Set and its aliases, read back, then the metadata; what
 * is the same is left alone. Resolves with the paths that were written. Throws a Failure with the reason; what was
 * written before it is still in order for verifiers.
 */
export async function publishTo(target: Target, request: PublishRequest, signal: AbortSignal): Promise<string[]> {
  const written = new Set<string>();
  for (let left = TRIES; ; left -= 1) {
    try {
      for (const step of await look(target, request, signal)) await take(step, target, signal, written);
      return [...written];
    } catch (error) {
      if (!(error instanceof Conflict)) throw error;
      if (left === 1) throw new Failure(`${target.name}: ${error.message}, ${TRIES} times`, { cause: error });
    }
  }
}

async function look(target: Target, request: PublishRequest, signal: AbortSignal): Promise<Step[]> {
  const stored = new Map<string, StoredFile>();
  // A mark that was not there is looked for again: another publisher may have begun while the documents were read.
  for (const path of [MARK_FILE, ...FILE_ORDER, MARK_FILE]) {
    if (stored.has(path)) continue;
    signal.throwIfAborted();
    const file = await target.read(path, signal);
    if (file !== undefined) stored.set(path, file);
  }
  const mark = isMarked(request, stored, target.name) ? [] : [markOf(request)];
  const documents = request.decide(keysOf(stored.get(JWKS_FILE)));
  return plan([...mark, ...filesOf(documents, request.cacheControl)], stored);
}

function keysOf(stored: StoredFile | undefined): PublishedKeys {
  if (stored === undefined) return [];
  try {
    return publicKeysFromJwkSet(stored.bytes.toString('utf8'), JWKS_FILE).keys;
  } catch (error) {
    if (!(error instanceof Failure)) throw error;
    return 'unreadable';
  }
}

async function take(step: Step, target: Target, signal: AbortSignal, written: Set<string>): Promise<void> {
  signal.throwIfAborted();
  const { file } = step;
  if (step.kind === 'write') {
    await target.write(file, step.before, signal);
    written.add(file.path);
    return;
  }
  const back = await target.read(file.path, signal);
  if (back === undefined || !back.bytes.equals(file.bytes)) throw new Conflict(file.path);
}
