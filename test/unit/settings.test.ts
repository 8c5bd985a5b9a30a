import { describe, expect, test } from 'vitest';
import type { CommandName } from '../../src/catalog/commands.ts';
import { describeSetting } from '../../src/cli/help.ts';
import { describe as describeProblem } from '../../src/fault.ts';
import { keySourcesOf } from '../../src/issuers.ts';
import { parseSettings, type SettingsInput } from '../../src/settings.ts';

const TLS = ['--tls-cert', 'c.pem', '--tls-key', 'k.pem'];

interface Given {
  readonly env?: Record<string, string>;
  /** The text of the file podpass.yaml. */
  readonly file?: string;
}

function parse<C extends CommandName>(command: C, argv: readonly string[], { env = {}, file }: Given = {}) {
  const readFile: SettingsInput['readFile'] = (path) => {
    if (path === 'podpass.yaml' && file !== undefined) return file;
    throw Object.assign(new Error('no such file'), { code: 'ENOENT' });
  };
  return parseSettings(command, { argv, env, readFile });
}

/** The settings of a webhook with a certificate. */
function settings(argv: readonly string[], given?: Given) {
  const parsed = parse('webhook', [...TLS, ...argv], given);
  if (!parsed.ok) throw new Error(parsed.problems.map(describeProblem).join('\n'));
  return parsed.settings;
}

function problems(command: CommandName, argv: readonly string[], given?: Given): string[] {
  const parsed = parse(command, argv, given);
  return parsed.ok ? [] : parsed.problems.map(describeProblem);
}

const CONFIG = ['--config', 'podpass.yaml'];

describe('key sources', () => {
  const kinds = (...argv: string[]) => {
    const parsed = parse('discovery', ['--issuer', 'https://a.example', ...argv]);
    return parsed.ok ? keySourcesOf(parsed.settings) : parsed.problems.map(describeProblem);
  };
  const URL = 'https://keys.example/jwks';

  test('are what the other settings imply, in one order, else the cluster', () => {
    expect(kinds()).toEqual(['cluster']);
    expect(kinds('--kubeconfig', 'k')).toEqual(['cluster']);
    expect(kinds('--keys', 'f')).toEqual(['files']);
    expect(kinds('--jwks-url', URL)).toEqual(['url']);
    expect(kinds('--jwks-url', URL, '--keys', 'f', '--kubeconfig', 'k')).toEqual(['cluster', 'files', 'url']);
  });

  test('that are named are the only ones, and none of them may be left out or without its own setting', () => {
    expect(kinds('--key-source', 'url,files', '--jwks-url', URL, '--keys', 'f')).toEqual(['url', 'files']);
    expect(kinds('--key-source', 'url')).toEqual([expect.stringContaining('--jwks-url: is missing')]);
    expect(kinds('--key-source', 'cluster', '--jwks-url', URL, '--keys', 'f')).toEqual([
      expect.stringMatching(/--key-source: "cluster" leaves out --keys.*accepted: cluster,files$/),
    ]);
    expect(kinds('--key-source', 'cluster', '--jwks-url', URL)).toEqual([
      expect.stringMatching(/--key-source: "cluster" leaves out --jwks-url.*accepted: cluster,url$/),
    ]);
  });

  test('on the web are https, or http under the rules of an issuer', () => {
    for (const url of [URL, 'http://127.0.0.1:1/x', 'http://localhost/?a=b', 'HTTPS://h']) {
      expect(kinds('--jwks-url', url)).toEqual(['url']);
    }
    for (const url of ['http://keys.example/', 'HTTP://keys.example']) {
      expect(kinds('--jwks-url', url)).toEqual([expect.stringContaining('is not https')]);
      expect(kinds('--jwks-url', url, '--allow-http-issuer')).toEqual(['url']);
    }
    for (const url of [
      '',
      'ftp://h/',
      'file:///x',
      'https://u@h/',
      'https://:p@h/',
      'https://h/#x',
      '/x',
      ' https://h',
    ])
      expect(kinds('--jwks-url', url)).toEqual([expect.stringContaining('--jwks-url')]);
  });
});

describe('several issuers', () => {
  const issuers = (file: string, argv: readonly string[] = [], env: Record<string, string> = {}) => {
    const parsed = parse('discovery', [...CONFIG, ...argv], { file, env });
    return parsed.ok ? parsed.issuers : parsed.problems.map(describeProblem);
  };
  const A = 'https://a.example';

  test('without the list there is one, with the settings as they are', () => {
    const parsed = parse('discovery', ['--issuer', A]);
    expect(parsed.ok && parsed.issuers).toEqual([parsed.ok && parsed.settings]);
  });

  test('have the top of the file as their default, the default below it and flags above', () => {
    const file = `
holdDown: 1h
pollInterval: 30s
cacheMaxAge: 1m
issuers:
- issuer: ${A}
  keys: [a.pem, b.pem]
  holdDown: 2h
  revoke: x
- issuer: https://b.example/p
  jwksUrl: https://keys.example
  cacheMaxAge: 2m
- context: hub
`;
    expect(issuers(file, ['--cache-max-age', '3m'], { PODPASS_POLL_INTERVAL: '5s' })).toMatchObject([
      { issuer: A, keys: ['a.pem', 'b.pem'], holdDown: 7200, revoke: ['x'], pollInterval: 5, cacheMaxAge: 180 },
      { jwksUrl: 'https://keys.example', keys: [], holdDown: 3600, revoke: [], cacheMaxAge: 180 },
      { issuer: undefined, context: 'hub', keys: [], holdDown: 3600 },
    ]);
  });

  test('have their own key sources, or those of the top where they name none', () => {
    const file = `
kubeconfig: k
jwksUrl: https://keys.example
issuers:
- issuer: https://a.example
- issuer: https://b.example
  keys: b.pem
- issuer: https://c.example
  context: c
- issuer: https://d.example
  keySource: [url, cluster]
`;
    const found = issuers(file);
    expect(found.map((each) => typeof each === 'object' && keySourcesOf(each))).toEqual([
      ['cluster', 'url'],
      ['files'],
      ['cluster'],
      ['url', 'cluster'],
    ]);
    expect(found).toMatchObject([
      { kubeconfig: 'k', jwksUrl: 'https://keys.example' },
      { kubeconfig: undefined, jwksUrl: undefined, keys: ['b.pem'] },
      { kubeconfig: 'k', context: 'c', jwksUrl: undefined },
      { kubeconfig: 'k', jwksUrl: 'https://keys.example' },
    ]);
  });

  test('all problems are told at once, each with its place in the list', () => {
    const file = `
issuers:
- issuer: http://a.example
  keySource: vault
- keys: b.pem
  keySource: [files, url]
  port: 1
- issuer: https://c.example?x
  pollInterval: [1s, 2s]
  colour: blue
`;
    expect(issuers(file)).toEqual([
      expect.stringContaining('podpass.yaml: issuers[1].port: "1" is not a setting of one issuer'),
      expect.stringContaining('podpass.yaml: issuers[2].pollInterval: '),
      expect.stringContaining('podpass.yaml: issuers[2].colour: '),
      expect.stringContaining('podpass.yaml: issuers[0].keySource: "vault" is not one of them'),
      expect.stringContaining('podpass.yaml: issuers[2].issuer: "https://c.example?x" has a query'),
      expect.stringContaining('podpass.yaml: issuers[0].issuer: "http://a.example" is not https'),
      expect.stringContaining('podpass.yaml: issuers[1].issuer: is missing'),
      expect.stringContaining('podpass.yaml: issuers[1].jwksUrl: is missing'),
    ]);
  });

  test('no two have one host and path, whatever their schemes, cases and slashes', () => {
    const file = (...names: string[]) => `issuers: [${names.map((issuer) => `{issuer: "${issuer}", keys: k}`)}]`;
    for (const same of ['https://A.example/p', 'https://a.example:443/p/', 'https://a.example/p/']) {
      expect(issuers(file('https://b.example/p', 'https://a.example/p', same))).toEqual([
        expect.stringMatching(/issuers\[2\]\.issuer: .* has the host and path of issuers\[1\]\.issuer/),
      ]);
    }
    expect(issuers(file(A, `${A}/p`, `${A}/P`, 'https://a.example:8443'))).toHaveLength(4);
  });

  test('no two have one place for their documents', () => {
    const file = (...more: string[]) =>
      `issuers: [${more.map((each, index) => `{issuer: "https://${index}.example", keys: k, ${each}}`)}]`;
    expect(issuers(file('publishTo: a/', 'publishTo: [c, b]', 'publishTo: [b, a]'))).toEqual([
      expect.stringMatching(/issuers\[2\]\.publishTo: "b" has the documents of issuers\[1\]; accepted: a folder or/),
    ]);
    const s3 = 'publishTo: "s3://bucket/a"';
    expect(issuers(file(s3, s3))).toEqual([expect.stringContaining('issuers[1].publishTo: "s3://bucket/a" has the')]);
    expect(issuers(file(s3, `${s3}, s3Endpoint: "https://s3.example"`))).toHaveLength(2);
    expect(issuers(file('publishTo: [a, a]', 'publishTo: a/b'))).toHaveLength(2);
  });

  test('a flag or a variable that names one is refused beside an item that says otherwise', () => {
    const file = `issuers: [{issuer: ${A}, keys: a.pem}]`;
    expect(issuers(file, ['--keys', 'b.pem'], { PODPASS_ISSUER: A })).toEqual([
      expect.stringContaining(`environment: PODPASS_ISSUER: "${A}" stands beside issuers[0].issuer in podpass.yaml`),
      expect.stringContaining(
        '--keys: "b.pem" stands beside issuers[0].keys in podpass.yaml; accepted: one of the two',
      ),
    ]);
    // Where no item says anything, it is for all.
    expect(issuers(`issuers: [{issuer: ${A}}]`, ['--keys', 'b.pem'])).toMatchObject([{ issuer: A, keys: ['b.pem'] }]);
  });

  test('must be a list of mappings with something in it, and only where a command takes it', () => {
    expect(issuers('issuers: []')).toEqual([expect.stringContaining('issuers: "[]" is empty')]);
    expect(issuers('issuers: &a {again: *a}')).toEqual([
      expect.stringContaining('"a value with itself in it" is not a'),
    ]);
    expect(issuers(`issuers: ${A}`)).toEqual([expect.stringContaining('is not a list')]);
    expect(issuers(`issuers: {issuer: ${A}}`)).toEqual([expect.stringContaining('is not a list')]);
    expect(issuers(`issuers: [{issuer: ${A}}, ${A}]`)).toEqual([expect.stringContaining('issuers[1]: ')]);
    expect(problems('webhook', [...TLS, ...CONFIG], { file: 'issuers: []' })).toEqual([
      expect.stringContaining('is not a setting of podpass webhook'),
    ]);
  });
});

describe('places and times', () => {
  test('of a state: a file, or a ConfigMap by a name that it can have', () => {
    const state = (value: string) => {
      const parsed = parse('keys', ['--state', value]);
      return parsed.ok ? parsed.settings.state : parsed.problems.map(describeProblem);
    };
    expect(state('/var/lib/podpass/state.json')).toEqual({ file: '/var/lib/podpass/state.json' });
    expect(state('configmap/podpass-keys')).toEqual({ configMap: 'podpass-keys' });
    for (const wrong of ['configmap/', 'configmap/a/b', 'configmap/../secrets/x', 'configmap/A', '']) {
      expect(state(wrong)).toEqual([expect.stringContaining('--state')]);
    }
  });

  test('of a rotation: with a zone', () => {
    const at = (value: string) => {
      const parsed = parse('keys', ['--rotated-at', value]);
      return parsed.ok ? parsed.settings.rotatedAt : 'refused';
    };
    expect(at('2026-01-31T18:00:00Z')).toBe(Date.UTC(2026, 0, 31, 18));
    expect(at('2026-01-31T18:00+02:00')).toBe(Date.UTC(2026, 0, 31, 16));
    for (const wrong of ['2026-01-31', '2026-01-31T18:00:00', '2026-13-31T18:00:00Z', 'now', '1700000000', '']) {
      expect(at(wrong)).toBe('refused');
    }
  });
});

describe('precedence', () => {
  test('is flag over environment over config file over default', () => {
    const file = 'port: 4\nmetricsPort: 4\nlogLevel: debug\n';
    const env = { PODPASS_PORT: '3', PODPASS_METRICS_PORT: '3' };
    expect(settings(['--port', '2', ...CONFIG], { env, file })).toMatchObject({
      port: 2,
      metricsPort: 3,
      logLevel: 'debug',
      tokenExpiration: 3600,
    });
  });

  test('the defaults are those of the documentation', () => {
    const { help, ...rest } = settings([]);
    expect(help).toBeFalsy();
    expect(rest).toEqual({
      config: undefined,
      kubeconfig: undefined,
      bindAddress: '::',
      port: 8443,
      metricsPort: 9090,
      tlsMode: 'files',
      tlsCert: 'c.pem',
      tlsKey: 'k.pem',
      namespace: undefined,
      tlsSecret: 'podpass-webhook-tls',
      tlsService: ['podpass-webhook', 'podpass-webhook-a', 'podpass-webhook-b'],
      tlsName: [],
      tlsCertLifetime: 7 * 86_400,
      tlsCaLifetime: 365 * 86_400,
      webhookConfiguration: ['podpass'],
      annotationPrefix: 'podpass.dev',
      mountPath: '/var/run/secrets/podpass.dev/tokens',
      tokenExpiration: 3600,
      reservedAudiences: [],
      ephemeralContainers: false,
      presets: ['aws'],
      awsAnnotationPrefix: 'eks.amazonaws.com',
      awsTokenAudience: 'sts.amazonaws.com',
      awsTokenExpiration: 86_400,
      awsMountPath: '/var/run/secrets/eks.amazonaws.com/serviceaccount',
      awsDefaultRegion: undefined,
      awsStsRegionalEndpoint: false,
      awsContainerCredentialsConfig: undefined,
      awsContainerCredentialsAudience: 'pods.eks.amazonaws.com',
      awsContainerCredentialsMountPath: '/var/run/secrets/pods.eks.amazonaws.com/serviceaccount',
      awsContainerCredentialsFullUri: 'http://169.254.170.23/v1/credentials',
      azureTenantId: undefined,
      azureAuthorityHost: 'https://login.microsoftonline.com/',
      azureTokenAudience: 'api://AzureADTokenExchange',
      azureTokenExpiration: 3600,
      gcpAnnotationPrefix: 'cloud.google.com',
      gcpTokenAudience: 'sts.googleapis.com',
      gcpTokenExpiration: 86_400,
      gcpDefaultRegion: undefined,
      oauth2ProxyIssuer: undefined,
      oauth2ProxyCaConfigMap: undefined,
      oauth2ProxyImage: 'quay.io/oauth2-proxy/oauth2-proxy:v7.15.3',
      oauth2ProxyMode: 'auto',
      serviceAccountLookupTimeout: 1,
      shutdownDelay: 6,
      logLevel: 'info',
    });
    const discovery = parse('discovery', ['--issuer', 'https://a.example']);
    expect(discovery.ok && discovery.settings).toMatchObject({
      port: 8080,
      metricsPort: 9091,
      pollInterval: 60,
      holdDown: 900,
      cacheMaxAge: 300,
      bindAddress: '::',
    });
  });

  test('the config file may be named in the environment', () => {
    expect(settings([], { env: { PODPASS_CONFIG: 'podpass.yaml' }, file: 'port: 4' }).port).toBe(4);
  });

  test('a list of a stronger source replaces that of a weaker one', () => {
    const file = 'reservedAudiences: [a, b]';
    expect(settings(CONFIG, { file }).reservedAudiences).toEqual(['a', 'b']);
    expect(settings(CONFIG, { file, env: { PODPASS_RESERVED_AUDIENCES: 'c' } }).reservedAudiences).toEqual(['c']);
    expect(settings([...CONFIG, '--reserved-audiences', 'd'], { file }).reservedAudiences).toEqual(['d']);
  });
});

describe('flags', () => {
  test('take their value after a space or an equals sign', () => {
    expect(settings(['--port=1', '--mount-path', '/srv']).port).toBe(1);
    expect(settings(['--reserved-audiences=a=b']).reservedAudiences).toEqual(['a=b']);
  });

  test('of one letter', () => {
    const outputs = [
      ['-f', '-', '-o', 'json'],
      ['-f-', '-ojson'],
      ['--file=-', '--output=json'],
    ].map((argv) => {
      const parsed = parse('mutate', argv);
      return parsed.ok && [parsed.settings.file, parsed.settings.output];
    });
    expect(outputs).toEqual([
      ['-', 'json'],
      ['-', 'json'],
      ['-', 'json'],
    ]);
  });

  test('repeatable ones take one value each', () => {
    expect(
      settings(['--reserved-audiences', 'a,b', '--reserved-audiences=c', '--reserved-audiences', 'c'])
        .reservedAudiences,
    ).toEqual(['a,b', 'c']);
  });

  test('whose value was forgotten do not take the flag that follows as theirs', () => {
    expect(problems('webhook', ['--tls-cert', '--tls-key', 'x'])).toEqual([
      expect.stringContaining('--tls-cert: has no value'),
    ]);
    expect(problems('mutate', ['-f', '-o', 'json'])).toEqual([expect.stringContaining('--file: has no value')]);
    expect(parse('mutate', ['-f', '-']).ok).toBe(true);
  });

  test('that are wrong together are told beside those that are wrong by themselves', () => {
    expect(problems('verify', ['x', '--issuer', 'http://a.example', '--audience', ''])).toEqual([
      expect.stringContaining('--audience: "" is empty'),
      expect.stringContaining('--issuer: "http://a.example" is not https'),
    ]);
  });

  test('of an installation take no namespace of the cluster, and no issuer that discovery would refuse', () => {
    expect(problems('manifests', ['--namespace', 'kube-system', '--issuer', 'http://a.example'])).toEqual([
      expect.stringContaining('--namespace: "kube-system" belongs to the cluster'),
      expect.stringContaining('--issuer: "http://a.example" is not https'),
    ]);
    expect(problems('manifests', ['--namespace', 'identity', '--issuer', 'http://127.0.0.1:8080'])).toEqual([]);
  });

  test('of key sources may also be separated by commas', () => {
    for (const argv of [
      ['--key-source', 'cluster,files'],
      ['--key-source=cluster', '--key-source', 'files'],
    ]) {
      const parsed = parse('discovery', [...argv, '--keys', '/keys']);
      expect(parsed.ok && parsed.settings.keySource).toEqual(['cluster', 'files']);
    }
  });

  test('of presets may be an empty list, in each source', () => {
    expect(settings(['--presets', 'gcp,aws', '--presets=aws']).presets).toEqual(['gcp', 'aws']);
    expect(settings(['--presets=']).presets).toEqual([]);
    expect(settings(['--presets', '']).presets).toEqual([]);
    expect(settings([], { env: { PODPASS_PRESETS: '' } }).presets).toEqual([]);
    expect(settings([], { env: { PODPASS_PRESETS: 'azure, gcp,' } }).presets).toEqual(['azure', 'gcp']);
    expect(settings(CONFIG, { file: 'presets: []' }).presets).toEqual([]);
    expect(settings(CONFIG, { file: 'presets: ""' }).presets).toEqual([]);
    expect(settings(CONFIG, { file: 'presets: [azure]' }).presets).toEqual(['azure']);
    expect(problems('webhook', ['--tls-cert=c', '--tls-key=k', '--presets', 'aws,ibm'])).toEqual([
      expect.stringContaining('--presets: "ibm" is not one of them; accepted: aws, azure, gcp'),
    ]);
    // Only there an empty list means something.
    expect(problems('discovery', ['--key-source='])).toEqual([expect.stringContaining('--key-source: ""')]);
  });

  test('of presets whose annotations would be the same are refused', () => {
    const told = (...argv: string[]) => problems('mutate', ['-f', '-', ...argv]);
    expect(told('--aws-annotation-prefix=podpass.dev')).toEqual([
      expect.stringContaining('--aws-annotation-prefix: "podpass.dev" is the prefix of --annotation-prefix too'),
    ]);
    expect(told('--presets=', '--aws-annotation-prefix=podpass.dev')).toEqual([]);
    const both = ['--presets=azure,gcp', '--gcp-annotation-prefix=azure.workload.identity'];
    expect(told(...both)).toEqual([expect.stringContaining('is the prefix of azure too')]);
    expect(problems('webhook', ['--tls-cert=c', '--tls-key=k', ...both])).toHaveLength(1);
  });

  test('the Azure tenant is also read from the variable that the cloud has for it', () => {
    const env = { AZURE_TENANT_ID: 'b' };
    expect(settings([], { env }).azureTenantId).toBe('b');
    expect(settings([], { env: { ...env, PODPASS_AZURE_TENANT_ID: 'a' } }).azureTenantId).toBe('a');
    expect(settings(['--azure-tenant-id=c'], { env }).azureTenantId).toBe('c');
    expect(settings(CONFIG, { env, file: 'azureTenantId: d' }).azureTenantId).toBe('b');
    expect(settings([], { env: { AZURE_TENANT_ID: '' } }).azureTenantId).toBeUndefined();
  });

  test('without a value are booleans', () => {
    const once = (...argv: string[]) => {
      const parsed = parse('demo', argv);
      return parsed.ok ? parsed.settings.once : undefined;
    };
    expect([
      once(),
      once('--once'),
      once('--once=true'),
      once('--once=false'),
      once('--once=maybe'),
      once('--once='),
    ]).toEqual([false, true, true, false, undefined, undefined]);
  });

  test('with a wrong value, none, an unknown name or a second value are faults', () => {
    expect(problems('webhook', [...TLS, '--port', 'http'])).toEqual([expect.stringContaining('--port: "http"')]);
    expect(problems('webhook', [...TLS, '--port'])).toEqual([expect.stringContaining('--port: has no value')]);
    expect(problems('webhook', [...TLS, '--port='])).toEqual([expect.stringContaining('--port: ""')]);
    expect(problems('webhook', [...TLS, '--prot', '1'])).toEqual([expect.stringContaining('"--prot"')]);
    expect(problems('webhook', [...TLS, '--no-port'])).toHaveLength(1);
    expect(problems('webhook', [...TLS, '-p', '1'])).toEqual([expect.stringContaining('"-p"')]);
    expect(problems('webhook', [...TLS, '--tlsCert', 'x'])).toHaveLength(1);
    expect(problems('webhook', [...TLS, '--port', '1', '--port', '2'])).toEqual([
      expect.stringContaining('--port: "2"'),
    ]);
    expect(problems('webhook', [...TLS, '--once'])).toHaveLength(1);
    expect(problems('webhook', [...TLS, '--__proto__', 'x'])).toHaveLength(1);
    expect(problems('webhook', [...TLS, '--file', 'x'])).toHaveLength(1);
  });

  test('are all that a command without an argument takes', () => {
    expect(problems('webhook', [...TLS, 'stray', '--', '--port'])).toEqual([
      expect.stringContaining('"stray"'),
      expect.stringContaining('"--port"'),
    ]);
    const parsed = parse('verify', ['--issuer', 'https://a.example', '--audience', 'x', '-']);
    expect(parsed.ok && parsed.argument).toBe('-');
    expect(problems('verify', ['--issuer', 'https://a.example', '--audience', 'x'])).toEqual([
      expect.stringContaining('TOKEN|-: is missing'),
    ]);
    expect(problems('verify', ['--issuer', 'https://a.example', '--audience', 'x', 'a', 'b'])).toEqual([
      expect.stringContaining('"b"'),
    ]);
  });

  test('with help, the rest is not checked', () => {
    for (const argv of [
      ['--help'],
      ['-h'],
      ['--port', 'x', '--help', '--bogus', 'stray'],
      ['--config', 'missing', '-h'],
    ]) {
      expect(parse('webhook', argv, { env: { PODPASS_PORT: 'x' } })).toMatchObject({ ok: true, help: true });
    }
    expect(parse('webhook', TLS)).toMatchObject({ ok: true, help: false });
  });
});

describe('the environment', () => {
  test('holds lists with commas', () => {
    expect(settings([], { env: { PODPASS_RESERVED_AUDIENCES: ' a, b,,c ' } }).reservedAudiences).toEqual([
      'a',
      'b',
      'c',
    ]);
  });

  test('an empty variable is as good as none', () => {
    expect(
      settings([], { env: { PODPASS_PORT: '', PODPASS_RESERVED_AUDIENCES: '', PODPASS_LOG_LEVEL: '' } }),
    ).toMatchObject({ port: 8443, reservedAudiences: [], logLevel: 'info' });
  });

  test('what Kubernetes writes for a Service called podpass is none of ours', () => {
    const env = {
      PODPASS_PORT: 'tcp://10.96.0.1:443',
      PODPASS_SERVICE_HOST: '10.96.0.1',
      PODPASS_SERVICE_PORT: '443',
      PODPASS_PORT_443_TCP: 'tcp://10.96.0.1:443',
      PODPASS_PORT_443_TCP_ADDR: '10.96.0.1',
      PODPASS_METRICS_PORT: 'udp://10.96.0.2:53',
    };
    expect(settings([], { env })).toMatchObject({ port: 8443, metricsPort: 9090 });
  });

  test('a wrong value is a fault that names the variable', () => {
    expect(problems('webhook', TLS, { env: { PODPASS_PORT: 'http' } })).toEqual([
      expect.stringContaining('PODPASS_PORT: "http"'),
    ]);
    expect(problems('webhook', [...TLS, '--port', '1'], { env: { PODPASS_PORT: 'http' } })).toEqual([]);
  });

  test('fills in what is required, and nothing that is only for the command line', () => {
    expect(parse('webhook', [], { env: { PODPASS_TLS_CERT: 'c', PODPASS_TLS_KEY: 'k' } })).toMatchObject({
      ok: true,
      settings: { tlsCert: 'c', tlsKey: 'k' },
    });
    expect(
      parse('mutate', ['-f', 'x'], { env: { PODPASS_FILE: 'y', PODPASS_OUTPUT: 'json', PODPASS_HELP: 'true' } }),
    ).toMatchObject({ ok: true, help: false, settings: { file: 'x', output: 'yaml' } });
  });
});

describe('the config file', () => {
  test('has values as they are usually written', () => {
    const file = 'tokenExpiration: 7200\nmountPath: "/srv"\nreservedAudiences: one\nshutdownDelay: 5s\n# a comment\n';
    expect(settings(CONFIG, { file })).toMatchObject({
      tokenExpiration: 7200,
      mountPath: '/srv',
      reservedAudiences: ['one'],
      shutdownDelay: 5,
    });
    const discovery = parse('discovery', ['--issuer', 'http://a.example', ...CONFIG], {
      file: 'allowHttpIssuer: true\nkeySource: [files, cluster]\nkeys: /keys\nrevoke:\n- 12\n- abc\n',
    });
    expect(discovery.ok && discovery.settings).toMatchObject({
      allowHttpIssuer: true,
      keySource: ['files', 'cluster'],
      revoke: ['12', 'abc'],
    });
  });

  test.each(['', '# nothing\n', '{}', '---\n'])('may be empty: %j', (file) => {
    expect(settings(CONFIG, { file }).port).toBe(8443);
  });

  test('unknown keys are faults, all of them', () => {
    const file = 'prot: 1\nport: 1\nbind-address: "::"\nfile: x\nconfig: y\nonce: true\n';
    const found = problems('webhook', [...TLS, ...CONFIG], { file });
    expect(found).toHaveLength(5);
    for (const key of ['prot', 'bind-address', 'file', 'config', 'once'])
      expect(found).toContainEqual(expect.stringMatching(`^podpass.yaml: ${key}: `));
  });

  test('a wrong value is a fault that names the file and the key', () => {
    const file =
      'port: http\nlogLevel: [info]\nmountPath: {a: b}\nreservedAudiences: [a, [b]]\ntokenExpiration: 1.5h\nbindAddress: yes\n';
    const found = problems('webhook', [...TLS, ...CONFIG], { file });
    for (const key of ['port', 'logLevel', 'mountPath', 'reservedAudiences', 'tokenExpiration', 'bindAddress'])
      expect(found).toContainEqual(expect.stringMatching(`^podpass.yaml: ${key}: `));
    expect(found).toHaveLength(6);
  });

  test.each([
    ['no YAML', 'port: [1'],
    ['a list', '- port'],
    ['a text', 'port'],
    ['a key twice', 'port: 1\nport: 2'],
    ['two documents', 'port: 1\n---\nport: 2'],
    ['an alias of nothing', 'port: *there'],
    [
      'aliases without end',
      `a: &a [x, x, x, x, x, x, x, x, x, x]\n${[...'bcdefgh'].map((key, i) => `${key}: &${key} [${Array(10).fill(`*${'abcdefgh'[i]}`).join()}]`).join('\n')}\n`,
    ],
    ['a NUL', 'port: "\0"'],
  ])('that is %s is a fault, not a crash', (_, file) => {
    const found = problems('webhook', [...TLS, ...CONFIG], { file });
    expect(found.length).toBeGreaterThan(0);
    expect(found.every((text) => text.startsWith('podpass.yaml: '))).toBe(true);
  });

  test('that cannot be read is a fault that names who asked for it', () => {
    expect(problems('webhook', [...TLS, '--config', 'missing.yaml'])).toEqual([
      expect.stringMatching(/--config: "missing.yaml" does not exist/),
    ]);
    expect(problems('webhook', TLS, { env: { PODPASS_CONFIG: 'missing.yaml' } })).toEqual([
      expect.stringMatching(/environment: PODPASS_CONFIG: "missing.yaml"/),
    ]);
  });
});

test('all faults of all sources come at once, each with what is accepted', () => {
  const env = { PODPASS_METRICS_PORT: '-1' };
  const file = 'logLevel: loud\nnonsense: 1\n';
  const found = problems(
    'webhook',
    ['--port', 'x', '--bogus=1', 'stray', '--mount-path', 'etc', '--tls-key', 'k', ...CONFIG],
    { env, file },
  );
  for (const text of [
    '--port: "x"',
    '"--bogus"',
    '"stray"',
    '--mount-path: "etc"',
    '--tls-cert: is missing',
    'PODPASS_METRICS_PORT: "-1"',
    'logLevel: "loud"',
    'nonsense',
  ])
    expect(found).toContainEqual(expect.stringContaining(text));
  expect(found).toHaveLength(8);
  for (const text of found) expect(text).toMatch(/; accepted: ./);
});

test('a missing setting names every way to give it', () => {
  const found = problems('webhook', []);
  expect(found).toHaveLength(2);
  for (const text of ['--tls-cert', 'PODPASS_TLS_CERT', 'tlsCert']) expect(found[0]).toContain(text);
});

describe('a mode', () => {
  const managed = ['--tls-mode', 'managed'];

  test('has settings of its own', () => {
    const parsed = parse('webhook', [
      ...managed,
      '--tls-name',
      '::1',
      '--webhook-configuration',
      'a',
      '--tls-cert-lifetime',
      '10',
    ]);
    expect(parsed.ok && parsed.settings).toMatchObject({
      tlsMode: 'managed',
      tlsCert: undefined,
      tlsName: ['::1'],
      tlsCertLifetime: 10,
      webhookConfiguration: ['a'],
    });
  });

  test('refuses those of another one, all at once and where they were written', () => {
    const env = { PODPASS_TLS_KEY: 'k' };
    const found = problems('webhook', [...managed, '--tls-cert', 'c'], { env });
    expect(found).toEqual([
      expect.stringContaining('--tls-cert: is only for --tls-mode files'),
      expect.stringContaining('environment: PODPASS_TLS_KEY: is only for --tls-mode files'),
    ]);
    expect(problems('webhook', [...TLS, '--tls-secret', 's'])).toEqual([
      expect.stringContaining('--tls-secret: is only for --tls-mode managed'),
    ]);
  });

  test('has lifetimes that go together', () => {
    const check = (...argv: string[]) => problems('webhook', [...managed, ...argv]);
    expect(check()).toEqual([]);
    expect(check('--tls-cert-lifetime', '20', '--tls-ca-lifetime', '60')).toEqual([]);
    expect(check('--tls-cert-lifetime', '21', '--tls-ca-lifetime', '60')).toEqual([
      expect.stringContaining('accepted: at least 63s'),
    ]);
  });

  test('is named in the help of what belongs to it', () => {
    expect(describeSetting('webhook', 'tlsCert')).toContain('(required with --tls-mode files)');
    expect(describeSetting('webhook', 'tlsName')).toContain('(repeatable, only with --tls-mode managed)');
    expect(describeSetting('discovery', 'tlsCert')).not.toContain('mode');
  });

  test('that is not known is the only fault', () => {
    expect(problems('webhook', ['--tls-mode', 'magic'])).toEqual([expect.stringContaining('--tls-mode: "magic"')]);
  });

  test.each([
    ['--tls-name', 'a b'],
    ['--tls-name', '1.2.3'],
    ['--tls-name', 'Host'],
    ['--tls-service', 'a.b'],
    ['--namespace', 'A'],
    ['--tls-secret', '-a'],
    ['--webhook-configuration', `${'a'.repeat(254)}`],
    ['--tls-cert-lifetime', '9s'],
    ['--tls-ca-lifetime', '29s'],
  ])('%s %s is refused', (flag, value) => {
    expect(problems('webhook', [...managed, flag, value])).toEqual([
      expect.stringContaining(`${flag}: "${value.slice(0, 60)}`),
    ]);
  });
});
