import { oauth2ProxyFlags } from '../../../oauth2-proxy/flags.ts';
import type { ProxyWishes } from '../../../oauth2-proxy/wishes.ts';
import { toYaml } from '../../manifests/text.ts';
import { audiencesOf, type Facts } from '../facts.ts';
import { trustedIssuers } from '../issuers.ts';
import type { Consumer } from '../registry.ts';
import { shellWord } from '../syntax/shell.ts';
import { tomlLine } from '../syntax/toml.ts';

const CALLERS_FILE = '/etc/oauth2-proxy/callers';
const CA_FILE = '/etc/oauth2-proxy/ca.crt';
const PORT = 4180;

const checks = (facts: Facts): string[] => [
  `${CALLERS_FILE} has what podpass render oauth2-proxy -o callers prints; it is read again when it changes.`,
  ...(facts.ca === undefined ? [] : [`${CA_FILE} has the certificates of --ca.`]),
  'OAUTH2_PROXY_COOKIE_SECRET has 16, 24 or 32 bytes: openssl rand -hex 16. oauth2-proxy does not start without, and needs it for nothing else here.',
  'The issuer answers when oauth2-proxy starts, or it ends with exit code 1.',
  'oauth2-proxy is v7.15.3 or later; older ones let in requests without a token.',
  ...(facts.options.serviceUrl === undefined
    ? [
        'There is no --service-url: it is for a proxy that asks it (podpass render nginx, traefik, istio, envoy, …), and answers 200 itself, or 202 at /oauth2/auth.',
      ]
    : ['The service gets the token too, in Authorization: nothing here takes it out.']),
  '/ping, /ready and /robots.txt answer everybody. "bearer" in lower case is no token.',
  ...(facts.options.otherCaller === undefined || facts.options.otherCaller.length === 0
    ? []
    : ['Every issuer may name every caller of the file: trust none in which somebody can choose a "sub".']),
];

/** Behind a proxy that asks there is no service: 200 is what Envoy takes for a yes. */
const ASKED_ONLY = 'static://200';
const upstreamOf = ({ options }: Facts) => options.serviceUrl ?? ASKED_ONLY;

const wishesOf = (facts: Facts): ProxyWishes => ({
  issuer: facts.issuer,
  audiences: audiencesOf(facts),
  callers: { file: CALLERS_FILE, hasPeople: false },
  upstream: upstreamOf(facts),
  port: PORT,
  skipPaths: [],
  ...(facts.ca === undefined ? {} : { caFile: CA_FILE }),
});

/** The other issuers, each with each audience. */
function othersOf(facts: Facts): string[] {
  const [, ...others] = trustedIssuers(facts);
  return others.flatMap(({ issuer, audiences }) => audiences.map((audience) => `${issuer}=${audience}`));
}

function flagsOf(facts: Facts): string[] {
  return [
    ...oauth2ProxyFlags(wishesOf(facts)),
    ...othersOf(facts).map((each) => `--extra-jwt-issuers=${item(each)}`),
    ...(facts.options.serviceUrl === undefined ? ['--set-xauthrequest=true'] : []),
  ];
}

/** What a flag is called in a file, where it is a list: pkg/apis/options, the tags `cfg`. */
const LISTS: Readonly<Record<string, string>> = {
  upstream: 'upstreams',
  'oidc-extra-audience': 'oidc_extra_audiences',
  'extra-jwt-issuers': 'extra_jwt_issuers',
  'provider-ca-file': 'provider_ca_files',
};

const SWITCHES: ReadonlySet<string> = new Set([
  'skip-jwt-bearer-tokens',
  'bearer-token-login-fallback',
  'set-xauthrequest',
]);

/** The same settings as in a file. A flag's list is a line of values with commas (RFC 4180), a file's is not. */
function toml(flags: readonly string[]): string {
  const settings = new Map<string, string | boolean | string[]>();
  for (const flag of flags) {
    const [, name = '', value = ''] = /^--([^=]+)=([\s\S]*)$/.exec(flag) ?? [];
    const list = LISTS[name];
    if (list !== undefined) {
      const before = settings.get(list);
      settings.set(list, [...(Array.isArray(before) ? before : []), plain(value)]);
    } else settings.set(name.replaceAll('-', '_'), SWITCHES.has(name) ? value === 'true' : value);
  }
  return [...settings].map(([key, value]) => tomlLine(key, value)).join('');
}

/** What the alpha configuration has its own place for. */
const ALPHA =
  /^--(provider|oidc-[a-z-]+|client-id|client-secret|upstream|http-address|provider-ca-file|set-xauthrequest)=/;

const alphaUpstream = ({ options: { serviceUrl } }: Facts) =>
  serviceUrl === undefined ? { static: true, staticCode: 200 } : { uri: serviceUrl };

/** A header for each claim, in the form of v7.14 and later. */
const headersOf = (prefix: string, claims: Readonly<Record<string, string>>) =>
  Object.entries(claims).map(([claim, name]) => ({ name: `${prefix}-${name}`, values: [{ claimSource: { claim } }] }));

/** What --set-xauthrequest adds. */
const CALLER_HEADERS = headersOf('X-Auth-Request', { user: 'User', email: 'Email' });

/**
 * What --pass-user-headers sets by itself, and --alpha-config does not. A header that is set here, if to nothing, is taken
 * out of the request first: without these the service would believe what a caller says of itself.
 */
const SERVICE_HEADERS = headersOf('X-Forwarded', {
  ...{ user: 'User', email: 'Email', groups: 'Groups', preferred_username: 'Preferred-Username' },
});

export const oauth2Proxy: Consumer<'oauth2-proxy'> = {
  flags: (facts) => ({
    text: `exec oauth2-proxy ${flagsOf(facts).map(shellWord).join(' \\\n  ')}\n`,
    checks: checks(facts),
  }),
  toml: (facts) => ({ text: toml(flagsOf(facts)), checks: checks(facts) }),
  alpha: (facts) => {
    const [clientID = '', ...extraAudiences] = audiencesOf(facts);
    const provider = {
      ...{ id: 'podpass', provider: 'oidc', clientID, clientSecret: 'unused' },
      ...(facts.ca === undefined ? {} : { caFiles: [CA_FILE] }),
      oidcConfig: {
        issuerURL: facts.issuer,
        ...{ audienceClaims: ['aud'], extraAudiences, emailClaim: 'email', groupsClaim: 'groups' },
      },
    };
    return {
      text: toYaml([
        {
          providers: [provider],
          upstreamConfig: { upstreams: [{ id: 'service', path: '/', ...alphaUpstream(facts) }] },
          ...(facts.options.serviceUrl === undefined
            ? { injectResponseHeaders: CALLER_HEADERS }
            : { injectRequestHeaders: SERVICE_HEADERS }),
          server: { bindAddress: `:${PORT}` },
        },
      ]),
      checks: ['The other settings have no place here: podpass render oauth2-proxy -o alpha-toml.', ...checks(facts)],
    };
  },
  'alpha-toml': (facts) => ({
    text: toml(flagsOf(facts).filter((flag) => !ALPHA.test(flag))),
    checks: ['It goes with podpass render oauth2-proxy -o alpha (--alpha-config).', ...checks(facts)],
  }),
  callers: (facts) => ({
    text: trustedIssuers(facts)
      .flatMap(({ subjects }) => subjects.map((subject) => `${item(subject)}\n`))
      .join(''),
    checks: [`It is the file ${CALLERS_FILE}; a ConfigMap will do.`, 'Upper and lower case are the same here.'],
  }),
};

/** One value of a line with commas (RFC 4180). A line that begins with "#" is a comment. */
function item(value: string): string {
  return /[",#]/.test(value) ? `"${value.replaceAll('"', '""')}"` : value;
}

function plain(text: string): string {
  return text.startsWith('"') ? text.slice(1, -1).replaceAll('""', '"') : text;
}
