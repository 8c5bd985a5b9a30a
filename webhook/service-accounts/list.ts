import { setImmediate } from 'node:timers/promises';
import type { KubeClient, KubeStream } from '../../src/runtime/kube-client.ts';
import type { Wanted } from './account.ts';
import { PATH } from './kube-json.ts';
import { ACCEPT, createPageReader, type Page, TooLarge } from './page.ts';
import type { Store } from './store.ts';

// The page size of client-go's pager: https://pkg.go.dev/k8s.io/client-go/tools/pager
const FIRST_PAGE = 500;
// A page costs an API server 1.36 much the same time whether there are 500 or 1,000 objects in it, and some 10 MB where
// there are 5,000. JSON of so many would stop us for too long, so that it depends on what the first page was in.
const COMPACT_PAGE = 5_000;
// Until it begins; then for all of it, though after that it may still go on with pauses that are no longer.
const PAGE_MS = 30_000;
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
  const limits = {
    ...{ connectTimeoutMs: PAGE_MS, lifetimeMs: PAGE_MS, graceMs: PAGE_MS, accept: ACCEPT },
    signal: AbortSignal.any([signal, end.signal]),
  };
  let version: string | undefined;
  try {
    let asked = ask('', FIRST_PAGE);
    for (;;) {
      const follow = (next: string, compact: boolean) =>
        ask(next, compact && version === undefined && asked.limit === FIRST_PAGE ? COMPACT_PAGE : asked.limit);
      let ahead: Asked | undefined;
      // The API server works on the next page while this one comes in.
      const page = await read(asked, (next) => {
        ahead = follow(next, true);
      });
      if (page === 'too-large') {
        if (asked.limit === 1) throw new Error('a ServiceAccount is too large to be read');
        asked = ask(asked.from, Math.ceil(asked.limit / 8));
        continue;
      }
      heard();
      if (page.next === '') {
        await store.sweep(() => setImmediate());
        return version ?? page.version;
      }
      asked = ahead ?? follow(page.next, page.compact);
      // The first page fixes the version of the whole list, and so where the watch has to begin.
      version ??= page.version;
    }
  } finally {
    end.abort();
  }

  function ask(from: string, limit: number): Asked {
    const query = new URLSearchParams({ limit: String(limit), ...(from === '' ? {} : { continue: from }) });
    // The rest of a list is kept for about 5 minutes; after that it fails with 410, and begins again:
    // https://kubernetes.io/docs/reference/using-api/api-concepts/#retrieving-large-results-sets-in-chunks
    const answer = client.stream(`${PATH}?${query}`, limits);
    // It may fail before its turn comes.
    answer.catch(() => undefined);
    return { from, limit, answer };
  }

  /** `goesOn` is told where, if that is known before the end. */
  async function read({ answer }: Asked, goesOn: (next: string) => void): Promise<Page | 'too-large'> {
    const { headers, body } = await answer;
    const reader = createPageReader(headers['content-type'], { wanted, see: store.put });
    let isTold = false;
    let unpaused = 0;
    try {
      for await (const chunk of body) {
        reader.write(chunk);
        if (reader.next && !isTold) {
          isTold = true;
          goesOn(reader.next);
        }
        unpaused += chunk.length;
        if (unpaused < SLICE) continue;
        unpaused = 0;
        await setImmediate();
      }
      return reader.end();
    } catch (error) {
      if (error instanceof TooLarge) return 'too-large';
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
