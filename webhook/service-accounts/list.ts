import { setImmediate } from 'node:timers/promises';
import type { KubeClient } from '../../src/runtime/kube-client.ts';
import type { Wanted } from './account.ts';
import { codeOf, MAX_BYTES, PATH } from './kube-json.ts';
import { ACCEPT, type Page, readPage } from './page.ts';
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
  let limit = FIRST_PAGE;
  let version: string | undefined;
  let next = '';
  for (;;) {
    const query = new URLSearchParams({ limit: String(limit), ...(next === '' ? {} : { continue: next }) });
    const page = await ask(`${PATH}?${query}`);
    if (page === 'too-large' && limit === 1) throw new Error('a ServiceAccount is too large to be read');
    if (page === 'too-large') {
      limit = Math.ceil(limit / 8);
      continue;
    }
    if (version === undefined && page.compact && limit === FIRST_PAGE) limit = COMPACT_PAGE;
    // The first page fixes the version of the whole list, and so where the watch has to begin.
    version ??= page.version;
    next = page.next;
    heard();
    if (next === '') break;
  }
  await store.sweep(() => setImmediate());
  return version;

  async function ask(path: string): Promise<Page | 'too-large'> {
    try {
      const limits = { timeoutMs: PAGE_TIMEOUT_MS, maxBytes: MAX_BYTES, accept: ACCEPT, signal };
      const { status, headers, body } = await client.get(path, limits);
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
