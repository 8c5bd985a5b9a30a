/** podpass render with what a real cluster says, and what promtool says of what it prints for Prometheus. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { parse } from 'yaml';
import { outputOf, sampleFacts } from '../render-facts.ts';
import { type ControlPlane, serviceAccountKeyPair, startControlPlane } from './control-plane.ts';
import { podpass, runProgram } from './podpass.ts';
import { clusterBinaries, describeCluster } from './suite.ts';

const ISSUER = 'https://k8s.example.com/green';
const ACCOUNT = 'system:serviceaccount:shop:web';

describeCluster('podpass render, from a cluster whose keys are on a curve', () => {
  let cluster: ControlPlane;

  beforeAll(async () => {
    const { privatePem, publicPem } = serviceAccountKeyPair('ec');
    cluster = await startControlPlane({
      binaries: clusterBinaries(),
      issuer: ISSUER,
      keys: { signing: privatePem, files: [publicPem] },
    });
    await cluster.createNamespace('shop');
    await cluster.createServiceAccount('shop', 'web', {
      'podpass.dev/audiences': 'vault, https://metrics.example.com',
      'podpass.dev/containers': 'app',
      'eks.amazonaws.com/role-arn': 'arn:aws:iam::123456789012:role/web',
    });
    await cluster.createServiceAccount('shop', 'none', {});
    await cluster.createServiceAccount('shop', 'wrong', {
      'podpass.dev/audiences': 'a',
      'podpass.dev/expiration': '5m',
    });
    const { status } = await cluster.createPod('shop', {
      metadata: {
        name: 'web',
        annotations: {
          'podpass.dev/audience.realm': 'https://sso.example.com/realms/main',
          'podpass.dev/expiration.realm': '2h',
          'podpass.dev/mount-path': '/tokens',
        },
      },
      spec: { serviceAccountName: 'web', containers: [{ name: 'app', image: 'example' }] },
    });
    expect(status).toBe(201);
  });
  afterAll(() => cluster?.stop());

  const render = (...argv: string[]) => podpass(['render', ...argv, '--kubeconfig', cluster.kubeconfigPath]);

  it('takes issuer, algorithms, caller and audiences from a ServiceAccount', async () => {
    const { code, stdout, stderr } = await render('vault', '--from-service-account', 'shop/web');
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    const [config, role] = stdout
      .split("<<'EOF'\n")
      .slice(1)
      .map((each) => JSON.parse(each.split('\nEOF')[0] ?? ''));
    expect(config).toEqual({ oidc_discovery_url: ISSUER, bound_issuer: ISSUER, jwt_supported_algs: ['ES256'] });
    expect(role).toMatchObject({
      bound_audiences: ['https://metrics.example.com', 'vault'],
      bound_claims: { sub: [ACCOUNT] },
    });
  });

  it("takes files and lifetimes from a Pod, whose annotations win over its ServiceAccount's", async () => {
    const prometheus = ['prometheus', '--service-url', 'https://metrics.example.com', '--from-pod', 'shop/web'];
    const several = await render(...prometheus);
    expect(several.code).toBe(2);
    expect(several.stderr).toContain('are several; accepted: one of them');
    const { code, stdout } = await render(...prometheus, '--audience', 'https://metrics.example.com');
    expect(code).toBe(0);
    expect(parse(stdout).scrape_configs[0].authorization.credentials_file).toBe('/tokens/metrics.example.com');
    const foreign = await render(...prometheus, '--audience', 'https://elsewhere.example.com');
    expect(foreign.stderr).toContain('is not one that it asks for; accepted: one of https://metrics.example.com');
    const keycloak = await render(
      'keycloak',
      '--from-pod',
      'shop/web',
      '--audience',
      'https://sso.example.com/realms/main',
    );
    expect(keycloak.stderr).toContain('"7200s" is the lifetime of the token for https://sso.example.com/realms/main');
  });

  it("takes the tokens of the consumer's own preset", async () => {
    const { code, stdout } = await render('aws', '--from-service-account', 'shop/web', '--account', '123456789012');
    expect(code).toBe(0);
    const [{ Condition }] = JSON.parse(stdout).Statement;
    expect(Condition.StringEquals).toEqual({
      'k8s.example.com/green:aud': ['sts.amazonaws.com'],
      'k8s.example.com/green:sub': [ACCOUNT],
    });
  });

  it('refuses Entra, which takes RSA alone', async () => {
    const { code, stdout, stderr } = await render('azure', '--service-account', 'shop/web');
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
    expect(stderr).toContain('"ES256" are the algorithms of the keys; only RS256 is taken');
  });

  it('writes the keys of the cluster where they are asked for', async () => {
    const { stdout } = await render('istio', '--from-service-account', 'shop/web', '--inline-keys');
    const { jwks } = parse(stdout.split('---\n')[0] ?? '').spec.jwtRules[0];
    expect(JSON.parse(jwks)).toEqual(await cluster.expect('GET', '/openid/v1/jwks'));
  });

  it.each([
    ['--from-service-account', 'shop/none', 'ServiceAccount shop/none gets no token'],
    ['--from-service-account', 'shop/wrong', 'is too short; accepted: a whole number of seconds'],
    ['--from-service-account', 'shop/nobody', 'ServiceAccount shop/nobody was not found'],
    ['--from-pod', 'shop/nothing', 'Pod shop/nothing cannot be read: HTTP 404'],
  ])('%s %s is refused', async (flag, name, words) => {
    const { code, stdout, stderr } = await render('vault', flag, name);
    expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
    expect(stderr).toContain(words);
  });
});

describeCluster('podpass render prometheus, judged by promtool', () => {
  const folder = mkdtempSync(join(tmpdir(), 'podpass-prometheus-'));
  afterAll(() => rmSync(folder, { recursive: true, force: true }));
  // promtool looks whether the file of the token is there.
  const token = join(folder, 'token');
  writeFileSync(token, 'x');
  const facts = (serviceUrl: string) =>
    sampleFacts({ tokens: [{ audience: 'metrics', file: token, lifetime: 3600 }], options: { serviceUrl } });
  const urls = [
    'https://metrics.example.com',
    'http://metrics.example.com:9090/a/b?',
    'https://metrics.example.com/{{a}}"\'#: x',
  ];
  const outputs = [
    ['prometheus', 'scrape'],
    ['prometheus', 'remote-write'],
    ['prometheus', 'oauth2'],
  ] as const;

  async function check(text: string) {
    const file = join(folder, 'prometheus.yml');
    writeFileSync(file, text);
    return runProgram(clusterBinaries().promtool, ['check', 'config', '--lint=all', '--lint-fatal', file]);
  }

  it.each(
    outputs.flatMap(([consumer, format]) => urls.map((url) => [consumer, format, url.replace(/ /g, '')] as const)),
  )('%s -o %s for %s', async (consumer, format, url) => {
    const { code, stderr } = await check(outputOf(consumer, format, facts(url)));
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  });

  it('promtool tells of what is wrong', async () => {
    const text = outputOf('prometheus', 'oauth2', facts(urls[0] ?? ''));
    expect((await check(text.replace('client_secret_file', 'client_secrets_file'))).code).not.toBe(0);
    expect((await check(text.replace(/^ *token_url: .*\n/m, ''))).code).not.toBe(0);
  });
});
