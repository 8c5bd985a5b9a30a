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
  /** Where it may be written; `podpass` itself writes `injected`. */
  readonly on: 'Pod, ServiceAccount' | 'Pod, by podpass';
  readonly value: string;
  /** The value is a list; one without items counts as empty. */
  readonly list?: true;
  readonly meaning: string;
  readonly example: string;
}

const onBoth = 'Pod, ServiceAccount';

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
    on: 'Pod, by podpass',
    value: 'a list of tokens and presets',
    meaning:
      'written by podpass: the tokens that the Pod got, and the presets that gave it something; empty on a Pod that has to wait for podpass by a label, and gets nothing',
    example: 'api,vault,aws',
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

/** Takes `expiration.api` apart into its row's key and the token's name. */
export function annotationKey(written: string): AnnotationKey | undefined {
  const plain = annotationRows.find((row) => !row.named && row.key === written);
  if (plain !== undefined) return { key: plain.key as PlainKey };
  const dot = written.indexOf('.');
  const named = annotationRows.find((row) => row.named && row.key === written.slice(0, dot));
  return dot < 0 || named === undefined ? undefined : { key: named.key as NamedKey, name: written.slice(dot + 1) };
}

/** True where the value of such an annotation is a list. */
export function isList({ key, name }: AnnotationKey): boolean {
  const rows: readonly AnnotationRow[] = annotationRows;
  return rows.some((row) => row.key === key && row.named === (name !== undefined) && row.list === true);
}

/** The known key that is least unlike an unknown one, with the token's name kept: `expiry.api` → `expiration.api`. */
export function nearestAnnotation(written: string): string {
  const dot = written.indexOf('.');
  const [whole, name] = dot < 0 ? [written, undefined] : [written.slice(0, dot), written.slice(dot + 1)];
  // No name part is longer in a cluster: apimachinery/pkg/util/validation, IsQualifiedName.
  const head = whole.slice(0, 63);
  const candidates = annotationRows
    .filter((row) => row.on === onBoth)
    .map((row) => ({ row, distance: editDistance(head, row.key) + (row.named === (name !== undefined) ? 0 : 1) }));
  const nearest = candidates.reduce((a, b) => (b.distance < a.distance ? b : a)).row;
  return nearest.named ? `${nearest.key}.${name || '<name>'}` : nearest.key;
}
