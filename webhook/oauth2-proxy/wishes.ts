import type { PlainKey } from '../../src/catalog/annotations.ts';
import { type Codec, issuerUrl, listItems, objectName } from '../../src/codec.ts';
import type { Problem } from '../../src/fault.ts';
import { type BrokenRule, brokenRules, callerName, oauth2ProxyImage, proxyPort } from '../../src/oauth2-proxy/rules.ts';
import type { ProxyWishes } from '../../src/oauth2-proxy/wishes.ts';
import { type At, checkAudience, type Effective, parseWritten, problemAt } from '../effective-annotations.ts';
import { CA, CALLERS } from './container.ts';
import { type Resources, readResources } from './resources.ts';
import type { ProxySettings } from './settings.ts';

type ProxyKey = Extract<PlainKey, `oauth2-proxy${string}`>;

/** What annotations say, but for the port that is protected. */
export interface AskedProxy {
  /** Where oauth2-proxy listens, and who says so. */
  readonly own: { readonly at: At; readonly port: number };
  /** The Secret of people's logins. */
  readonly people: string | undefined;
  /** Absent where too little is known. */
  readonly details: ProxyDetails | undefined;
}

interface ProxyDetails {
  readonly wishes: Omit<ProxyWishes, 'upstream'>;
  readonly image: string;
  readonly resources: Resources;
  /** The callers of a list, sorted. */
  readonly allowed: readonly string[] | undefined;
  /** The ConfigMap of the callers. */
  readonly configMap: string | undefined;
  readonly caConfigMap: string | undefined;
}

export interface WishContext {
  /** How messages name the Pod. */
  readonly object: string;
  readonly prefix: string;
  readonly reserved: ReadonlySet<string>;
  readonly settings: ProxySettings | undefined;
}

const DEFAULT_PORT = 4180;

/**
 * Who may write a ServiceAccount need not be able to create Pods. What runs in a Pod sees its ServiceAccount's token, and
 * where people log in gets the Secret's `client-secret`.
 */
const POD_ONLY: readonly (readonly [ProxyKey, string, string])[] = [
  ['oauth2-proxy-image', 'what runs in a Pod is chosen by who creates it', ', or --oauth2-proxy-image'],
  ['oauth2-proxy-sso', 'who creates a Pod chooses the Secrets that it reads', ''],
  ['oauth2-proxy-sso-issuer', 'who creates a Pod chooses where its Secret goes', ''],
];

/** Reads the annotations, and adds a problem for each thing that is wrong with them. */
export function readWishes(effective: Effective, context: WishContext, problems: Problem[]): AskedProxy {
  const { object, prefix, reserved, settings } = context;
  const at = (key: ProxyKey): At => effective.get(key) ?? { object, key: `${prefix}/${key}`, value: '' };
  const read = <T>(key: ProxyKey, codec: Codec<T>) => parseWritten(effective.get(key), codec, problems);
  const items = (key: ProxyKey) => listItems(effective.get(key)?.value ?? '');

  const port = read('oauth2-proxy-port', proxyPort) ?? DEFAULT_PORT;
  const ownAt = effective.get('oauth2-proxy-port') ?? { ...at('oauth2-proxy-port'), value: String(port) };
  const image = read('oauth2-proxy-image', oauth2ProxyImage) ?? settings?.image;
  for (const [key, why, accepted] of POD_ONLY) {
    const written = effective.get(key);
    if (written?.on !== 'ServiceAccount') continue;
    problems.push(problemAt(written, `stands on a ServiceAccount, and ${why}`, `${written.key} on the Pod${accepted}`));
  }
  const resources = readResources(effective.get('oauth2-proxy-resources'), problems);
  const caConfigMap = read('oauth2-proxy-ca-config-map', objectName) ?? settings?.caConfigMap;
  const audiences = items('oauth2-proxy-audiences');
  for (const value of audiences) checkAudience({ ...at('oauth2-proxy-audiences'), value }, reserved, problems);
  const callers = readCallers(effective, at, problems);
  const people = readPeople(effective, at, problems);
  const issuer = settings?.issuer;
  if (issuer === undefined) {
    const wrong = "is not set, and the API server has not told the issuer of the cluster's tokens";
    problems.push({ object: 'podpass', key: '--oauth2-proxy-issuer', wrong, accepted: issuerUrl.accepted });
  }
  const own = { at: ownAt, port };
  if (issuer === undefined || image === undefined) return { own, people: people?.secret, details: undefined };

  const wishes = {
    issuer,
    audiences,
    callers: callers.who,
    port,
    skipPaths: items('oauth2-proxy-skip-paths'),
    ...(people === undefined ? {} : { people: people.wishes }),
    ...(caConfigMap === undefined ? {} : { caFile: `${CA.folder}/${CA.file}` }),
  };
  for (const broken of brokenRules({ ...wishes, upstream: 'http://127.0.0.1' })) problems.push(problemFor(broken, at));
  const { allowed, configMap } = callers;
  return { own, people: people?.secret, details: { wishes, image, resources, allowed, configMap, caConfigMap } };
}

/** The annotation, or the setting, that says a member of the wishes. */
const KEYS: Readonly<Partial<Record<BrokenRule['of'], ProxyKey>>> = {
  audiences: 'oauth2-proxy-audiences',
  callers: 'oauth2-proxy-callers',
  port: 'oauth2-proxy-port',
  skipPaths: 'oauth2-proxy-skip-paths',
  'people.issuer': 'oauth2-proxy-sso-issuer',
  'people.emailDomains': 'oauth2-proxy-sso-email-domains',
  'people.redirectUrl': 'oauth2-proxy-sso-redirect-url',
};

function problemFor({ of, value, wrong, accepted }: BrokenRule, at: (key: ProxyKey) => At): Problem {
  const written = KEYS[of];
  const { object, key } = written === undefined ? { object: 'podpass', key: '--oauth2-proxy-issuer' } : at(written);
  return { object, key, ...(value === undefined ? {} : { value }), wrong, accepted };
}

const MAX_CALLERS = 1000;

function readCallers(
  effective: Effective,
  at: (key: ProxyKey) => At,
  problems: Problem[],
): { who: ProxyWishes['callers']; allowed?: readonly string[]; configMap?: string } {
  const list = effective.get('oauth2-proxy-callers');
  const configMap = effective.get('oauth2-proxy-callers-config-map');
  const file = `${CALLERS.folder}/${CALLERS.file}`;
  const names = listItems(list?.value ?? '');
  if (list !== undefined && configMap !== undefined) {
    const wrong = `is written beside ${list.key} of ${list.object}`;
    problems.push(problemAt(configMap, wrong, 'one of the two'));
  }
  if (list === undefined && configMap === undefined) {
    const wrong = 'is not written, so that nobody could come in';
    const accepted = `${callerName.accepted}, several with commas, "*" for every ServiceAccount, or ${at('oauth2-proxy-callers-config-map').key}`;
    const { object, key } = at('oauth2-proxy-callers');
    problems.push({ object, key, wrong, accepted });
  }
  if (configMap !== undefined) {
    const name = parseWritten(configMap, objectName, problems);
    return { who: { file, hasPeople: true }, ...(name === undefined ? {} : { configMap: name }) };
  }
  if (list !== undefined && names.includes('*')) {
    if (names.length > 1) problems.push(problemAt(list, 'has "*" and names', '"*" alone, or names alone'));
    return { who: '*' };
  }
  if (list !== undefined && names.length > MAX_CALLERS) {
    const wrong = `has ${names.length} callers`;
    problems.push(problemAt(list, wrong, `at most ${MAX_CALLERS}, or a ConfigMap`));
  } else for (const value of names) parseWritten({ ...at('oauth2-proxy-callers'), value }, callerName, problems);
  return { who: { file, hasPeople: false }, allowed: names.sort() };
}

const PEOPLE_KEYS = [
  'oauth2-proxy-sso-issuer',
  'oauth2-proxy-sso-redirect-url',
  'oauth2-proxy-sso-email-domains',
] as const;

function readPeople(
  effective: Effective,
  at: (key: ProxyKey) => At,
  problems: Problem[],
): { secret: string | undefined; wishes: NonNullable<ProxyWishes['people']> } | undefined {
  const sso = effective.get('oauth2-proxy-sso');
  if (sso === undefined) {
    for (const key of PEOPLE_KEYS) {
      const entry = effective.get(key);
      if (entry?.on === 'Pod')
        problems.push(problemAt(entry, 'does nothing alone', `the Secret in ${at('oauth2-proxy-sso').key}, too`));
    }
    return undefined;
  }
  const secret = parseWritten(sso, objectName, problems);
  const issuer = effective.get('oauth2-proxy-sso-issuer');
  // What is not written is told with the other rules.
  const readable = issuer === undefined ? '' : parseWritten(issuer, issuerUrl, problems);
  const redirectUrl = effective.get('oauth2-proxy-sso-redirect-url')?.value ?? '';
  const emailDomains = listItems(effective.get('oauth2-proxy-sso-email-domains')?.value ?? '');
  // An issuer that cannot be read is a problem already, and one that nobody has.
  return { secret, wishes: { issuer: readable ?? 'https://invalid', redirectUrl, emailDomains } };
}
