import { editDistance } from './edit-distance.ts';

/**
 * Every annotation under the prefix: one row per key. The parser's keys, the warnings for unknown ones and the README's
 * table come from this list; how a value is read stands in webhook/annotations.ts.
 */
export interface AnnotationRow {
  /** The key's name part; with `named`, the part before the dot. */
  readonly key: string;
  /** `<key>.<name>`: an option of the one token called `<name>`. */
  readonly named: boolean;
  /** Where it may be written; `podpass` itself writes the last ones. */
  readonly on: 'Pod, ServiceAccount' | 'Pod' | 'Pod, by podpass';
  readonly value: string;
  /** The value is a list; one without items counts as empty. */
  readonly list?: true;
  readonly meaning: string;
  readonly example: string;
}

const onBoth = 'Pod, ServiceAccount';
const byPodpass = 'Pod, by podpass';

export const annotationRows = [
  {
    key: 'audiences',
    named: false,
    on: onBoth,
    value: 'a list of audiences',
    list: true,
    meaning: 'one token each, in a file named after the audience',
    example: 'https://api.example.com, vault',
  },
  {
    key: 'audience',
    named: true,
    on: onBoth,
    value: 'one audience',
    meaning: 'one token, in the file `<name>`',
    example: 'https://api.example.com/v1',
  },
  {
    key: 'expiration',
    named: false,
    on: onBoth,
    value: 'a duration, 600 s to 2^32 s',
    meaning: 'lifetime of all tokens',
    example: '1h',
  },
  {
    key: 'expiration',
    named: true,
    on: onBoth,
    value: 'a duration, 600 s to 2^32 s',
    meaning: 'lifetime of this token',
    example: '10m',
  },
  {
    key: 'env',
    named: true,
    on: onBoth,
    value: 'the name of an environment variable',
    meaning: "the variable that gets the path of this token's file",
    example: 'API_TOKEN_FILE',
  },
  {
    key: 'containers',
    named: false,
    on: onBoth,
    value: 'a list of containers',
    list: true,
    meaning: 'only these containers see the tokens',
    example: 'web, migrate',
  },
  {
    key: 'containers',
    named: true,
    on: onBoth,
    value: 'a list of containers',
    list: true,
    meaning: 'only these containers see this token; replaces `containers` for it',
    example: 'web',
  },
  {
    key: 'skip-containers',
    named: false,
    on: onBoth,
    value: 'a list of containers',
    list: true,
    meaning: 'these containers see no token, whatever else is written',
    example: 'log-shipper',
  },
  {
    key: 'mount-path',
    named: false,
    on: onBoth,
    value: 'an absolute path',
    meaning: 'the folder in which the token files appear',
    example: '/var/run/secrets/tokens',
  },
  {
    key: 'inject',
    named: false,
    on: onBoth,
    value: '`"true"` or `"false"`',
    meaning: '`"false"` leaves the Pod alone; nothing else is read',
    example: 'false',
  },
  {
    key: 'injected',
    named: false,
    on: byPodpass,
    value: 'a list of tokens, presets and `oauth2-proxy`',
    meaning:
      'written by podpass: the tokens that the Pod got, the presets that gave it something, and `oauth2-proxy` where it was added; empty on a Pod that has to wait for podpass by a label, and gets nothing',
    example: 'api,vault,aws',
  },
  {
    key: 'oauth2-proxy',
    named: false,
    on: onBoth,
    value: 'a port of a container: its name or its number',
    meaning:
      'oauth2-proxy runs beside the containers and lets callers through to this port; a name is taken over, for a number Services have to change',
    example: 'http',
  },
  {
    key: 'oauth2-proxy-audiences',
    named: false,
    on: onBoth,
    value: 'a list of audiences',
    list: true,
    meaning: 'the token of a caller must have one of them (required)',
    example: 'https://shop.example.com',
  },
  {
    key: 'oauth2-proxy-callers',
    named: false,
    on: onBoth,
    value: 'a list of `system:serviceaccount:<namespace>:<name>`, or `*`',
    list: true,
    meaning: 'only these ServiceAccounts come in; `*` is every one of the cluster (required, or the next one)',
    example: 'system:serviceaccount:billing:worker',
  },
  {
    key: 'oauth2-proxy-callers-config-map',
    named: false,
    on: onBoth,
    value: 'the name of a ConfigMap',
    meaning:
      'its key `callers` has one caller in each line, and e-mail addresses where people log in; a change counts within minutes',
    example: 'shop-callers',
  },
  {
    key: 'oauth2-proxy-skip-paths',
    named: false,
    on: onBoth,
    value: 'a list of whole paths',
    list: true,
    meaning: 'anyone may GET them; no patterns',
    example: '/healthz, /version',
  },
  {
    key: 'oauth2-proxy-port',
    named: false,
    on: onBoth,
    value: 'a port from 1 to 65535',
    meaning: 'where oauth2-proxy listens; without it 4180',
    example: '8180',
  },
  {
    key: 'oauth2-proxy-ca-config-map',
    named: false,
    on: onBoth,
    value: 'the name of a ConfigMap',
    meaning: 'its key `ca.crt` has the CA of the issuer; else `--oauth2-proxy-ca-config-map`',
    example: 'issuer-ca',
  },
  {
    key: 'oauth2-proxy-image',
    named: false,
    on: 'Pod',
    value: 'an image with a version as its tag',
    meaning: 'else `--oauth2-proxy-image`; nothing older than v7.15.3',
    example: 'registry.example.com/oauth2-proxy:v7.15.3',
  },
  {
    key: 'oauth2-proxy-resources',
    named: false,
    on: onBoth,
    value: 'a list of `requests.cpu=…`, `limits.memory=…` and so on',
    list: true,
    meaning: 'without it `requests.cpu=10m, requests.memory=32Mi, limits.memory=128Mi`',
    example: 'requests.cpu=50m, limits.cpu=1',
  },
  {
    key: 'oauth2-proxy-sso',
    named: false,
    on: 'Pod',
    value: 'the name of a Secret',
    meaning:
      'people log in, too; it has the keys `client-id`, `client-secret` and `cookie-secret` (16, 24 or 32 bytes)',
    example: 'shop-sso',
  },
  {
    key: 'oauth2-proxy-sso-issuer',
    named: false,
    on: 'Pod',
    value: 'an https URL',
    meaning: 'where people log in (required with the Secret)',
    example: 'https://login.example.com/realms/staff',
  },
  {
    key: 'oauth2-proxy-sso-redirect-url',
    named: false,
    on: onBoth,
    value: 'an https URL',
    meaning: 'where people come back from it, as it is registered there (required with the Secret)',
    example: 'https://shop.example.com/oauth2/callback',
  },
  {
    key: 'oauth2-proxy-sso-email-domains',
    named: false,
    on: onBoth,
    value: 'a list of domains',
    list: true,
    meaning: 'people with an e-mail address of these come in (required with a list of callers)',
    example: 'example.com',
  },
  {
    key: 'oauth2-proxy-allowed',
    named: false,
    on: byPodpass,
    value: 'one caller in each line',
    meaning: 'written by podpass: the list of callers as oauth2-proxy reads it, from a file that follows it',
    example: 'system:serviceaccount:billing:worker',
  },
] as const satisfies readonly AnnotationRow[];

type Row = (typeof annotationRows)[number];
type NamedRow = Extract<Row, { named: true }>;

/** Keys that stand alone. */
export type PlainKey = Exclude<Row, NamedRow>['key'];
/** Keys that are followed by a dot and the name of a token. */
export type NamedKey = NamedRow['key'];

/** A key under the prefix, taken apart; `undefined` where no row has it. */
export type AnnotationKey =
  | { readonly key: PlainKey; readonly name?: undefined }
  | { readonly key: NamedKey; readonly name: string };

// Read for each annotation of each Pod.
const ROWS: readonly (AnnotationRow & Row)[] = annotationRows;
const PLAIN: ReadonlyMap<string, AnnotationKey> = new Map(
  ROWS.flatMap((row) => (row.named ? [] : [[row.key, { key: row.key }]])),
);
const NAMED: ReadonlyMap<string, NamedKey> = new Map(ROWS.flatMap((row) => (row.named ? [[row.key, row.key]] : [])));
const LISTS = { plain: keysOf((row) => !row.named && row.list), named: keysOf((row) => row.named && row.list) };
const OURS = keysOf((row) => row.on === byPodpass);

function keysOf(isWanted: (row: AnnotationRow) => boolean | undefined): ReadonlySet<string> {
  return new Set(ROWS.flatMap((row) => (isWanted(row) ? [row.key] : [])));
}

/** Takes `expiration.api` apart into its row's key and the token's name. */
export function annotationKey(written: string): AnnotationKey | undefined {
  const plain = PLAIN.get(written);
  if (plain !== undefined) return plain;
  const dot = written.indexOf('.');
  const named = NAMED.get(written.slice(0, dot));
  return dot < 0 || named === undefined ? undefined : { key: named, name: written.slice(dot + 1) };
}

/** True where the value of such an annotation is a list. */
export function isList({ key, name }: AnnotationKey): boolean {
  return (name === undefined ? LISTS.plain : LISTS.named).has(key);
}

/** True where podpass writes it, so that it means nothing on a ServiceAccount. */
export function isOurs({ key }: AnnotationKey): boolean {
  return OURS.has(key);
}

/** The known key that is least unlike an unknown one, with the token's name kept: `expiry.api` → `expiration.api`. */
export function nearestAnnotation(written: string): string {
  const dot = written.indexOf('.');
  const [whole, name] = dot < 0 ? [written, undefined] : [written.slice(0, dot), written.slice(dot + 1)];
  // No name part is longer in a cluster: apimachinery/pkg/util/validation, IsQualifiedName.
  const head = whole.slice(0, 63);
  const candidates = annotationRows
    .filter((row) => row.on !== byPodpass)
    .map((row) => ({ row, distance: editDistance(head, row.key) + (row.named === (name !== undefined) ? 0 : 1) }));
  const nearest = candidates.reduce((a, b) => (b.distance < a.distance ? b : a)).row;
  return nearest.named ? `${nearest.key}.${name || '<name>'}` : nearest.key;
}
