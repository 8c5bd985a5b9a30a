import type { CommandSettings } from './catalog/commands.ts';
import { flagOf, type SettingKey } from './catalog/settings.ts';
import { HTTPS_URL } from './checks.ts';
import { isUnsafeIssuer } from './codec.ts';
import { issuerPlace } from './issuer-paths.ts';

/** What makes an issuer: the settings that decide whose keys are published under which name. */
export const identity = ['issuer', 'keySource', 'kubeconfig', 'context', 'keys', 'jwksUrl'] as const;

/** The settings of one issuer, as far as they could be parsed. */
export type IssuerSettings = Partial<Pick<CommandSettings<'discovery'>, (typeof identity)[number] | 'allowHttpIssuer'>>;

type KeySourceKind = CommandSettings<'discovery'>['keySource'][number];

/** A problem of one issuer, by the setting's name; its caller knows whether that is a flag or an item of the list. */
export interface IssuerProblem {
  readonly key: SettingKey;
  readonly value?: string;
  readonly wrong: string;
  readonly accepted: string;
}

/** Where the keys come from: what was asked for, or what the other settings imply. */
export function keySourcesOf(settings: IssuerSettings): readonly KeySourceKind[] {
  const { keySource = [], kubeconfig, context, keys = [], jwksUrl } = settings;
  if (keySource.length > 0) return keySource;
  const implied: KeySourceKind[] = [];
  if (kubeconfig !== undefined || context !== undefined) implied.push('cluster');
  if (keys.length > 0) implied.push('files');
  if (jwksUrl !== undefined) implied.push('url');
  return implied.length === 0 ? ['cluster'] : implied;
}

/** The settings of one issuer that are right by themselves and wrong together. */
export function issuerProblems(settings: IssuerSettings): IssuerProblem[] {
  const { issuer, keys = [], jwksUrl, allowHttpIssuer } = settings;
  const problems: IssuerProblem[] = [];
  const add = (key: SettingKey, wrong: string, accepted: string, value?: string) =>
    problems.push({ key, wrong, accepted, ...(value === undefined ? {} : { value }) });
  const kinds = keySourcesOf(settings);
  if (issuer === undefined && !kinds.includes('cluster')) {
    add('issuer', 'is missing', 'an issuer, or the cluster as a key source');
  }
  for (const [key, url] of Object.entries({ issuer, jwksUrl } as const)) {
    if (url === undefined || !isUnsafeIssuer(url) || allowHttpIssuer) continue;
    add(key as SettingKey, 'is not https', `${HTTPS_URL}, or with ${flagOf('allowHttpIssuer')}`, url);
  }
  for (const { kind, key, given, what } of [
    { kind: 'files', key: 'keys', given: keys.length > 0, what: 'files or folders with keys' },
    { kind: 'url', key: 'jwksUrl', given: jwksUrl !== undefined, what: 'the address of a JWK Set' },
  ] as const) {
    if (kinds.includes(kind) && !given) add(key, 'is missing', `${what}, as ${kind} is a key source`);
    if (kinds.includes(kind) || !given) continue;
    add('keySource', `leaves out ${flagOf(key)}`, [...kinds, kind].join(','), kinds.join(','));
  }
  return problems;
}

/**
 * The settings of an issuer of the list without what it would inherit of other key sources. One that names a source, or
 * what a source is found by, has no other: keys of one cluster under the name of another would let the one speak for the
 * other. `own` are the settings of its own; one that is named nowhere is implied.
 */
export function withoutOthersSources<S extends IssuerSettings>(settings: S, own: ReadonlySet<SettingKey>): S {
  const { keySource = [] } = settings;
  const names = identity.some((key) => key !== 'issuer' && own.has(key));
  if (!names || (keySource.length > 0 && !own.has('keySource'))) return settings;
  const takes = (kind: KeySourceKind) => own.has('keySource') && keySource.includes(kind);
  return {
    ...settings,
    keys: own.has('keys') || takes('files') ? settings.keys : [],
    jwksUrl: own.has('jwksUrl') || takes('url') ? settings.jwksUrl : undefined,
    ...(own.has('kubeconfig') || own.has('context') || takes('cluster')
      ? {}
      : { kubeconfig: undefined, context: undefined }),
  };
}

/** Issuers of a list that have the host and path of one before them: by their index, with the index of that one. */
export function samePlaces(issuers: readonly (string | undefined)[]): ReadonlyMap<number, number> {
  const first = new Map<string, number>();
  const same = new Map<number, number>();
  for (const [index, issuer] of issuers.entries()) {
    if (issuer === undefined) continue;
    const place = issuerPlace(issuer);
    const before = first.get(place);
    if (before === undefined) first.set(place, index);
    else same.set(index, before);
  }
  return same;
}

/** Where an issuer of a list would write over the documents of one before it; a bucket is known by its endpoint too. */
export function sameTargets(
  issuers: readonly { readonly targets?: readonly string[] | undefined; readonly s3Endpoint?: string | undefined }[],
): readonly { readonly index: number; readonly before: number; readonly value: string }[] {
  const first = new Map<string, number>();
  return issuers.flatMap(({ targets = [], s3Endpoint = '' }, index) =>
    targets.flatMap((value) => {
      const place = (value.startsWith('s3://') ? `${s3Endpoint} ` : '') + value.replace(/\/+$/, '');
      const before = first.get(place);
      if (before === undefined) first.set(place, index);
      return before === undefined || before === index ? [] : [{ index, before, value }];
    }),
  );
}
