import { DOCUMENT_PATHS, type DocumentPath, issuerBase } from '../src/issuer-paths.ts';
import { cacheControl, type Documents } from './document.ts';

/** An issuer as it is served. */
export interface ServedIssuer {
  readonly issuer: string;
  /** Asked at every request; must not wait for anything. */
  readonly documents: () => Documents | undefined;
  readonly cacheMaxAgeSeconds: number;
}

export interface Route {
  readonly path: DocumentPath;
  readonly documents: () => Documents | undefined;
  readonly cacheControl: string;
}

/** The issuer and its document at a path. The host as clients write it, with or without a port; one that is none is nobody's. */
export type Routes = (path: string, host: () => string | undefined) => Route | undefined;

/**
 * `https://h/p/` → `/p/openid/v1/jwks` and the others, each as clients that append it to the issuer ask for it. Where only
 * one issuer has a path, the host does not matter: proxies and port forwards have others. Where several have it, the host
 * decides, and its port only between issuers with one host name.
 */
export function createRoutes(issuers: readonly ServedIssuer[]): Routes {
  const byPath = new Map<string, { readonly url: URL; readonly route: Route }[]>();
  for (const { issuer, documents, cacheMaxAgeSeconds } of issuers) {
    const url = new URL(issuer);
    const base = issuerBase(url.pathname);
    const cache = cacheControl(cacheMaxAgeSeconds);
    for (const path of Object.keys(DOCUMENT_PATHS) as DocumentPath[]) {
      const there = byPath.get(base + path) ?? [];
      byPath.set(base + path, [...there, { url, route: { path, documents, cacheControl: cache } }]);
    }
  }
  return (path, host) => {
    const there = byPath.get(path);
    if (there === undefined || there.length < 2) return there?.[0]?.route;
    const asked = hostUrl(host());
    if (asked === undefined) return undefined;
    const named = there.filter(({ url }) => hostnameOf(url) === hostnameOf(asked));
    const found = named.length === 1 ? named[0] : named.find(({ url }) => url.port === asked.port);
    return found?.route;
  };
}

/** A Host field has a host and perhaps a port, and nothing else that a URL may have: RFC 9110 section 7.2. */
function hostUrl(host = ''): URL | undefined {
  const asked = `https://${host}`;
  return /[/?#@\\]/.test(host) || !URL.canParse(asked) ? undefined : new URL(asked);
}

/** The dot at the end of an absolute name says only that it is one: RFC 1034 section 3.1. */
function hostnameOf({ hostname }: URL): string {
  return hostname.replace(/\.$/, '');
}
