import { setImmediate } from 'node:timers/promises';
import type { KubeClient, KubeStream } from '../../src/runtime/kube-client.ts';
import type { Wanted } from './account.ts';
import { codeOf, PATH } from './kube-json.ts';
import { ACCEPT, createPageReader, type Page, TooLarge } from './page.ts';
import type { Store } from './store.ts';

// The page size of client-go's pager: https://pkg.go.dev/k8s.io/client-go/tools/pager
const FIRST_PAGE = 500;
// A page costs an API server 1.36 much the same time whether there are 500 or 1,000 objects in it, and some 10 MB where
// there are 5,000. JSON of so many would stop us for too long, so that it depends on what the first page was in.
const COMPACT_PAGE = 5_000;
const BEGIN_MS = 30_000;
// All of a page should have come after this time from the first look at it. Where it has not, it may still go on, with
// pauses that are no longer than the second one.
const [PAGE_MS, PAUSE_MS] = [20_000, 10_000];
// So many bytes are read in about a millisecond; requests are answered between two slices.
const SLICE = 128 * 1024;

/**
 * Reads everything, page by page, into the store, and removes from it what is no longer there once the list is complete.
 * Returns the version from which to watch. Calls `heard` for each page.
 */
export async function list(
  {
    client,
    store,
    wanted,
    heard,
  }: { client: Pick<KubeClient, 'stream'>; store: Store; wanted: Wanted; heard: () => void },
  signal: AbortSignal,
): Promise<string> {
  store.beginRound();
  const end = new AbortController();
  const stop = () => end.abort();
  if (signal.aborted) stop();
  signal.addEventListener('abort', stop, { once: true });
  let version: string | undefined;
  let hasFailed = false;
  try {
    let asked = ask('', FIRST_PAGE);
    for (;;) {
      const follow = (next: string, compact: boolean) =>
        ask(next, compact && version === undefined && asked.limit === FIRST_PAGE ? COMPACT_PAGE : asked.limit);
      let ahead: Asked | undefined;
      const page = await read(asked, (next) => {
        // The API server works on the next page while this one comes in.
        if (!hasFailed) ahead ??= follow(next, true);
      });
      if (page === 'too large') {
        if (asked.limit === 1) throw new Error('a ServiceAccount is too large to be read');
        asked = ask(asked.from, Math.ceil(asked.limit / 8));
        continue;
      }
      if (page === 'broken off') {
        // Where it is too slow for a large one, or cut by someone on the way, small ones may come through.
        hasFailed = true;
        asked = ask(asked.from, Math.min(asked.limit, FIRST_PAGE));
        continue;
      }
      heard();
      if (page.next === '') {
        await store.sweep(() => setImmediate());
        return version ?? page.version;
      }
      asked = ahead?.from === page.next ? ahead : follow(page.next, page.compact && !hasFailed);
      // The first page fixes the version of the whole list, and so where the watch has to begin.
      version ??= page.version;
    }
  } finally {
    signal.removeEventListener('abort', stop);
    end.abort();
  }

  function ask(from: string, limit: number): Asked {
    const query = new URLSearchParams({ limit: String(limit), ...(from === '' ? {} : { continue: from }) });
    // The rest of a list is kept for about 5 minutes; after that it fails with 410, and begins again:
    // https://kubernetes.io/docs/reference/using-api/api-concepts/#retrieving-large-results-sets-in-chunks
    const limits = { connectTimeoutMs: BEGIN_MS, lifetimeMs: PAGE_MS, graceMs: PAUSE_MS };
    const answer = client.stream(`${PATH}?${query}`, { ...limits, accept: ACCEPT, signal: end.signal });
    // It may fail before its turn comes.
    answer.catch(() => undefined);
    return { from, limit, answer };
  }

  /** `goesOn` is told where, as soon as that is known and again with each further piece. */
  async function read({ answer }: Asked, goesOn: (next: string) => void): Promise<Page | 'too large' | 'broken off'> {
    const { headers, body } = await answer;
    const reader = createPageReader(headers['content-type'], { wanted, see: store.put });
    let unpaused = 0;
    try {
      for await (const chunk of body) {
        reader.write(chunk);
        if (reader.next) goesOn(reader.next);
        unpaused += chunk.length;
        if (unpaused < SLICE) continue;
        unpaused = 0;
        await setImmediate();
      }
      return reader.end();
    } catch (error) {
      if (error instanceof TooLarge) return 'too large';
      if (!hasFailed && ['timeout', 'unreachable'].includes(codeOf(error) ?? '')) return 'broken off';
      throw error;
    }
  }
}

/** A page that was asked for. */
interface Asked {
  /** The continue token; empty for the first page. */
  readonly from: string;
  readonly limit: number;
  readonly answer: Promise<KubeStream>;
}
