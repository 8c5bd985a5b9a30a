import { setImmediate } from 'node:timers/promises';
import type { KubeClient, KubeResponse } from '../../src/runtime/kube-client.ts';
import type { Wanted } from './account.ts';
import { codeOf, MAX_BYTES, PATH } from './kube-json.ts';
import { ACCEPT, nextOf, type Page, readPage } from './page.ts';
import type { Store } from './store.ts';

// The page size of client-go's pager: https://pkg.go.dev/k8s.io/client-go/tools/pager
const FIRST_PAGE = 500;
// Of 100,000 objects a page costs an API server 1.36 much the same time, 500 or 1,000 of them. JSON of so many would stop
// us for too long, so that it depends on what the first page was in.
const COMPACT_PAGE = 1_000;
const PAGE_TIMEOUT_MS = 30_000;

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
  }: { client: Pick<KubeClient, 'get'>; store: Store; wanted: Wanted; heard: () => void },
  signal: AbortSignal,
): Promise<string> {
  store.beginRound();
  let asked = ask('', FIRST_PAGE);
  let version: string | undefined;
  for (;;) {
    const follow = (next: string, compact: boolean) =>
      ask(next, compact && version === undefined && asked.limit === FIRST_PAGE ? COMPACT_PAGE : asked.limit);
    // The API server works on a page while the rest of the one before comes in and is read.
    const next = await asked.goesOn;
    const ahead = next ? follow(next, true) : undefined;
    const page = await read(asked);
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
    asked = ahead?.from === page.next ? ahead : follow(page.next, page.compact);
    // The first page fixes the version of the whole list, and so where the watch has to begin.
    version ??= page.version;
  }

  function ask(from: string, limit: number): Asked {
    const query = new URLSearchParams({ limit: String(limit), ...(from === '' ? {} : { continue: from }) });
    let tell: (next?: string) => void = () => undefined;
    const goesOn = new Promise<string | undefined>((resolve) => {
      tell = resolve;
    });
    const answer = client.get(`${PATH}?${query}`, {
      ...{ timeoutMs: PAGE_TIMEOUT_MS, maxBytes: MAX_BYTES, accept: ACCEPT, signal },
      onBegun: ({ status, headers, body }) => tell(status === 200 ? nextOf(body, headers['content-type']) : undefined),
    });
    // One that was asked for too early fails without anybody who waits for it.
    answer.then(
      () => tell(),
      () => tell(),
    );
    return { from, limit, goesOn, answer };
  }

  async function read({ answer }: Asked): Promise<Page | 'too-large'> {
    try {
      const { status, headers, body } = await answer;
      // The rest of a list is kept for about 5 minutes; begin again after that:
      // https://kubernetes.io/docs/reference/using-api/api-concepts/#retrieving-large-results-sets-in-chunks
      if (status !== 200) throw new Error(`listing ServiceAccounts was answered with HTTP ${status}`);
      return await readPage(body, headers['content-type'], { wanted, see: store.put, pause: () => setImmediate() });
    } catch (error) {
      if (codeOf(error) === 'too-large') return 'too-large';
      throw error;
    }
  }
}

/** A page that was asked for. */
interface Asked {
  /** The continue token; empty for the first page. */
  readonly from: string;
  readonly limit: number;
  /** The next page's continue token, as soon as it is known; undefined where only the whole page tells. */
  readonly goesOn: Promise<string | undefined>;
  readonly answer: Promise<KubeResponse>;
}
