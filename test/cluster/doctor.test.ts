import { createPrivateKey, createPublicKey } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:https';
import { join } from 'node:path';
import { decodeJwt, decodeProtectedHeader, SignJWT } from 'jose';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { targetNames } from '../../src/catalog/targets.ts';
import type { Finding } from '../../src/cli/doctor/rule.ts';
import { allObjects } from '../../src/cli/manifests/installation.ts';
import type { KubeObject } from '../../src/cli/manifests/object.ts';
import { rsaKey, serverCertificate, testCa } from '../unit/tls-material.ts';
import { type AuditLog, createAuditLog } from './audit.ts';
import { type ControlPlane, serviceAccountKeyPair, startControlPlane } from './control-plane.ts';
import { type Podpass, podpass, startDiscovery, startWebhook, until } from './podpass.ts';
import { freePort } from './servers.ts';
import { clusterBinaries, describeCluster } from './suite.ts';

const CONFIGURATIONS = '/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations';
const JSON_PATCH = { contentType: 'application/json-patch+json' };
const MERGE_PATCH = { contentType: 'application/merge-patch+json' };

describeCluster('podpass doctor', () => {
  const first = serviceAccountKeyPair('rsa');
  let cluster: ControlPlane;
  let discovery: Podpass;
  let webhook: Podpass;
  let audit: AuditLog;
  let port: number;
  let issuer: string;

  beforeAll(async () => {
    port = await freePort();
    issuer = `https://127.0.0.1:${port}`;
    audit = await createAuditLog();
    cluster = await startControlPlane({
      binaries: clusterBinaries(),
      issuer,
      keys: { signing: first.privatePem, files: [first.publicPem] },
      extraArgs: [...audit.args, '--service-account-max-token-expiration=1h'],
    });
    const keyFile = join(cluster.folder, 'published.pem');
    writeFileSync(keyFile, first.publicPem);
    // From a file, so that it stays behind when the API server gets another key.
    const flags = ['--issuer', issuer, '--key-source', 'files', '--keys', keyFile, '--port', String(port)];
    discovery = await startDiscovery(cluster, flags);
    webhook = await startWebhook(cluster);
    await cluster.createServiceAccount('default', 'default');
    await install();
  });
  afterAll(async () => {
    await webhook?.stop();
    await discovery?.stop();
    await cluster?.stop();
    audit?.remove();
  });

  /** The installation's own registration and policy; no Service leads anywhere here, so it has an address. */
  async function install() {
    const objects = allObjects({ namespace: 'podpass', image: 'podpass:1.2.3', tls: 'managed' });
    const caBundle = Buffer.from(webhook.files.ca.pem).toString('base64');
    const clientConfig = { url: `${webhook.url}/mutate`, caBundle };
    for (const object of objects) {
      const { kind } = object;
      if (!/^(MutatingWebhookConfiguration|ValidatingAdmissionPolicy(Binding)?)$/.test(kind)) continue;
      const plural = `${kind.toLowerCase()}s`.replace('policys', 'policies');
      const { webhooks } = object as KubeObject & { webhooks?: object[] };
      const entries = webhooks?.map((entry) => ({ ...entry, clientConfig }));
      const path = `/apis/admissionregistration.k8s.io/v1/${plural}`;
      await cluster.expect('POST', path, entries ? { ...object, webhooks: entries } : object);
    }
    await until(
      'a Pod with its token',
      async () => !(await examine()).errors.some((code) => code.startsWith('webhook-')),
    );
  }

  async function examine(
    argv: readonly string[] = [],
    { kubeconfig = cluster.kubeconfigPath, ca = '', input = '' } = {},
  ) {
    const trust = ['--ca', ca || discovery.files.caFile];
    const flags = ['doctor', '--kubeconfig', kubeconfig, ...trust, '-o', 'json', ...argv];
    const { code, stdout, stderr } = await podpass(flags, input);
    expect(stderr).toBe('');
    const { findings } = JSON.parse(stdout) as { findings: Finding[] };
    const errors = findings.filter(({ severity }) => severity === 'error').map((finding) => finding.code);
    expect(code).toBe(errors.length > 0 ? 1 : 0);
    expect(stdout).not.toMatch(/eyJ/);
    return { findings, errors, codes: findings.map((finding) => finding.code) };
  }

  it('finds no error in a healthy installation, and tells what it saw', async () => {
    const { errors, findings, codes } = await examine();
    expect(errors).toEqual([]);
    expect(codes).toEqual(expect.arrayContaining(['token-verified', 'token-shortened', 'tls-private-ca']));
    const here = ['address-private', 'tls-private-ca'];
    const warnings = findings.filter(({ severity }) => severity === 'warning').map(({ code }) => code);
    expect(warnings.filter((code) => !here.includes(code))).toEqual([]);
    expect(findings.find(({ code }) => code === 'token-shortened')?.seen).toMatch(/86400 s .* 3600 s/);
  });

  it('is for people without -o json', async () => {
    const flags = ['doctor', '--kubeconfig', cluster.kubeconfigPath, '--ca', discovery.files.caFile];
    const { code, stdout } = await podpass(flags);
    expect(code).toBe(0);
    expect(stdout).toMatch(/^token-verified: a new token of ServiceAccount default\/default$/m);
    expect(stdout).toMatch(/\n0 errors, \d+ warnings, \d+ notes for https:\/\/127\.0\.0\.1:\d+\n$/);
  });

  it('changes nothing, and says what it may not see', async () => {
    await cluster.createServiceAccount('default', 'visitor');
    const kubeconfig = await cluster.kubeconfigFor({ namespace: 'default', serviceAccount: 'visitor' });
    const { errors, findings } = await examine([], { kubeconfig });
    expect(errors).toEqual([]);
    const missing = findings.filter(({ code }) => code === 'rights-missing').map(({ seen }) => seen);
    expect(missing).toEqual(
      expect.arrayContaining([
        'may not get mutatingwebhookconfigurations/podpass',
        'may not create serviceaccounts/token in default',
        'may not create pods in default',
      ]),
    );
    const all = [{ verbs: ['*'], apiGroups: ['*'], resources: ['*'] }];
    await cluster.grant('default', 'visitor', all);
    expect((await examine([], { kubeconfig })).codes).toContain('token-verified');
    const asked = audit.events().filter(({ user }) => user.username === 'system:serviceaccount:default:visitor');
    const written = asked
      .filter(({ verb }) => verb !== 'get')
      .map(({ objectRef, requestURI }) => {
        const { resource = '', subresource } = objectRef ?? {};
        return requestURI.includes('dryRun=All')
          ? `${resource} as a dry run`
          : [resource, subresource].filter(Boolean).join('/');
      });
    expect([...new Set(written)].sort()).toEqual(['pods as a dry run', 'selfsubjectreviews', 'serviceaccounts/token']);
  });

  it('names a wrong issuer', async () => {
    const { errors, findings } = await examine(['--issuer', `${issuer}/`]);
    expect(errors).toEqual(expect.arrayContaining(['issuer-mismatch', 'cluster-issuer-mismatch', 'token-issuer']));
    expect(findings.find(({ code }) => code === 'issuer-mismatch')?.seen).toContain('the slash at the end');
  });

  it('names a stale token', async () => {
    const live = await cluster.requestToken('default', 'default', { audiences: ['api'] });
    const { alg = '', kid = '' } = decodeProtectedHeader(live);
    const now = Math.floor(Date.now() / 1000);
    const stale = await new SignJWT({ ...decodeJwt(live), iat: now - 900, nbf: now - 900, exp: now - 300 })
      .setProtectedHeader({ alg, kid })
      .sign(createPrivateKey(first.privatePem));
    const given = (input: string) => examine(['--token', '-', '--audience', 'api'], { input });
    expect((await given(live)).errors).toEqual([]);
    const { findings, errors } = await given(stale);
    expect(errors).toEqual(['token-expired']);
    expect(findings[0]).toMatchObject({ subject: 'the token given', seen: expect.stringContaining(' ago') });
  });

  it('finds nothing for any target, but what is true of this machine', async () => {
    const targets = targetNames.flatMap((name) => ['--target', name]);
    const { findings } = await examine(targets);
    const bad = findings.filter(({ severity }) => severity !== 'info').map(({ code }) => code);
    expect([...new Set(bad)].sort()).toEqual(['address-private', 'issuer-port', 'tls-private-ca']);
  });

  it('names each change of the registration and the policy, and nothing else', async () => {
    const here = ['address-private', 'tls-private-ca'];
    const changed = async (path: string, patch: readonly object[], ...codes: string[]) => {
      const { metadata: _, ...before } = await cluster.expect<KubeObject>('GET', path);
      await cluster.expect('PATCH', path, patch, JSON_PATCH);
      const seen = async () => {
        const { findings } = await examine();
        const bad = findings.filter(({ severity }) => severity !== 'info').map(({ code }) => code);
        return [...new Set(bad)].filter((code) => !here.includes(code)).sort();
      };
      const expected = JSON.stringify(codes.sort());
      await until(expected, async () => JSON.stringify(await seen()) === expected);
      const restored = Object.keys(before).filter((key) => !['apiVersion', 'kind', 'status'].includes(key));
      const undo = restored.map((key) => ({ op: 'replace', path: `/${key}`, value: before[key] }));
      await cluster.expect('PATCH', path, undo, JSON_PATCH);
      await until('health', async () => (await seen()).length === 0);
    };
    const registration = `${CONFIGURATIONS}/podpass`;
    const { webhooks } = await cluster.expect<{ webhooks: { name: string }[] }>('GET', registration);
    expect(webhooks.map(({ name }) => name.split('.')[0])).toEqual(['all', 'again', 'annotated', 'labelled']);
    const policy = (index: number, value: string) => [
      { op: 'replace', path: `/webhooks/${index}/failurePolicy`, value },
    ];
    await changed(registration, [{ op: 'remove', path: '/webhooks/0' }], 'webhook-entry-missing');
    await changed(registration, [{ op: 'remove', path: '/webhooks/1' }], 'webhook-entry-missing');
    await changed(registration, [{ op: 'remove', path: '/webhooks/3' }], 'webhook-entry-missing', 'webhook-fails-open');
    await changed(registration, policy(0, 'Fail'), 'failure-policy-changed');
    await changed(registration, policy(3, 'Ignore'), 'webhook-fails-open');
    const other = Buffer.from(testCa().cert).toString('base64');
    const foreign = webhooks.map((_, index) => ({
      op: 'replace',
      path: `/webhooks/${index}/clientConfig/caBundle`,
      value: other,
    }));
    await changed(registration, foreign, 'ca-bundle-mismatch');
    const binding = '/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicybindings';
    const bound = await cluster.expect<KubeObject>('GET', `${binding}/podpass`);
    await cluster.expect('DELETE', `${binding}/podpass`);
    expect((await examine()).codes).toContain('policy-missing');
    const { name, labels } = bound.metadata;
    const again = { ...bound, metadata: { name, ...(labels ? { labels } : {}) } };
    await cluster.expect('POST', binding, again);
    await until('the policy', async () => !(await examine()).codes.includes('policy-missing'));
  }, 180_000);

  it('compares its own version with those that run', async () => {
    await cluster.createNamespace('podpass');
    const { version } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8'));
    const path = '/apis/apps/v1/namespaces/podpass/deployments';
    const names = ['podpass-webhook-a', 'podpass-webhook-b', 'podpass-discovery'];
    const running = async (...images: string[]) => {
      for (const [index, name] of names.entries()) {
        const labels = { app: name };
        const containers = [{ name: 'podpass', image: images[index] ?? images[0] }];
        const template = { metadata: { labels }, spec: { containers } };
        const object = { metadata: { name }, spec: { replicas: 1, selector: { matchLabels: labels }, template } };
        await cluster.request('DELETE', `${path}/${name}`);
        await cluster.expect('POST', path, object);
        const status = { replicas: 1, readyReplicas: 1, availableReplicas: 1 };
        await cluster.expect('PATCH', `${path}/${name}/status`, { status }, MERGE_PATCH);
      }
      const { findings } = await examine();
      return findings
        .filter(({ code }) => /version|deployment/.test(code))
        .map(({ code, severity, subject }) => `${severity} ${code}: ${subject.split('/').at(-1)}`);
    };
    expect(await running(`registry.example.com:5000/podpass:${version}`)).toEqual([]);
    expect(await running('podpass:latest')).toEqual([]);
    expect(await running('podpass:99.1.2')).toEqual(names.map((name) => `warning cli-version: ${name}`));
    const patch = `${version.split('.').slice(0, 2).join('.')}.99`;
    expect(await running(`podpass:${version}`, `podpass:${version}`, `podpass:${patch}`)).toEqual([
      'warning version-skew: Deployments',
      'info cli-version: podpass-discovery',
    ]);
    for (const name of names) await cluster.expect('DELETE', `${path}/${name}`);
  });

  it('names a wiped caBundle, and a webhook that is down', async () => {
    const path = `${CONFIGURATIONS}/podpass`;
    const before = await cluster.expect<{ webhooks: { clientConfig: { caBundle: string } }[] }>('GET', path);
    const places = before.webhooks.map((_, index) => `/webhooks/${index}/clientConfig/caBundle`);
    const wiped = places.map((each) => ({ op: 'remove', path: each }));
    await cluster.expect('PATCH', path, wiped, JSON_PATCH);
    await until('the API server to see it', async () => (await examine()).errors.includes('ca-bundle-mismatch'));
    const { errors, findings } = await examine();
    expect(errors.sort()).toEqual(['ca-bundle-mismatch', ...places.map(() => 'ca-bundle-missing')]);
    expect(findings.find(({ code }) => code === 'ca-bundle-mismatch')?.seen).toContain('x509');

    const value = before.webhooks[0]?.clientConfig.caBundle;
    const restored = wiped.map((each) => ({ ...each, op: 'add', value }));
    await cluster.expect('PATCH', path, restored, JSON_PATCH);
    await until('the API server to see it', async () => (await examine()).errors.length === 0);
    await webhook.stop();
    const down = await examine();
    expect(down.errors).toEqual(['webhook-unreachable']);
    expect(down.findings[0]?.seen).toContain('connection refused');
    await cluster.expect('DELETE', path);
    expect((await examine()).codes).toContain('webhook-not-registered');
  }, 120_000);

  it('names a key that is not published after a rotation', async () => {
    const second = serviceAccountKeyPair('rsa');
    await cluster.restartApiServer({ addKeyFiles: [second.publicPem], signingKey: second.privatePem });
    const { errors, findings } = await examine();
    expect(errors).toEqual(expect.arrayContaining(['keys-missing', 'token-key-unknown']));
    expect(findings.find(({ code }) => code === 'token-key-unknown')?.subject).toMatch(/^a new token of/);
  }, 120_000);

  it('names an expired certificate and a private jwks_uri of what stands in front', async () => {
    await discovery.stop();
    const ca = testCa();
    const caFile = join(cluster.folder, 'front-ca.pem');
    writeFileSync(caFile, ca.cert);
    const key = rsaKey();
    const publicMembers = (publicPem: string) => createPublicKey(publicPem).export({ format: 'jwk' });
    const behind = async (
      certificate: { cert: string; key: string },
      jwksUri: string,
      published = (all: readonly object[]) => all,
    ) => {
      const own = await cluster.expect<{ keys: object[] }>('GET', '/openid/v1/jwks');
      const keys = { keys: published(own.keys) };
      const document = {
        ...(await cluster.expect<object>('GET', '/.well-known/openid-configuration')),
        jwks_uri: jwksUri,
      };
      const server = createServer(certificate, (request, response) => {
        response.setHeader('content-type', 'application/json');
        response.end(JSON.stringify(request.url === '/openid/v1/jwks' ? keys : document));
      });
      await new Promise<void>((fulfil) => server.listen(port, '127.0.0.1', fulfil));
      try {
        return await examine([], { ca: caFile });
      } finally {
        server.closeAllConnections();
        await new Promise((fulfil) => server.close(fulfil));
      }
    };
    const expired = await behind(serverCertificate(ca, key, Date.now() - 1000), `${issuer}/openid/v1/jwks`);
    expect(expired.errors).toEqual(['tls-expired']);
    const stranger = serviceAccountKeyPair('rsa').publicPem;
    const replaced = (keys: readonly object[]) => keys.map((each) => ({ ...each, ...publicMembers(stranger) }));
    const differ = await behind(serverCertificate(ca, key), `${issuer}/openid/v1/jwks`, replaced);
    expect(differ.errors).toEqual(['keys-differ', 'token-signature']);
    const hidden = await behind(serverCertificate(ca, key), 'https://10.255.255.1:6443/openid/v1/jwks');
    expect(hidden.errors).toEqual(['jwks-uri-private']);
    const own = await behind(serverCertificate(ca, key), `${cluster.url}/openid/v1/jwks`);
    expect(own.codes).toEqual(expect.arrayContaining(['jwks-uri-api-server', 'jwks-uri-other-host']));
    expect(own.errors).toEqual(expect.arrayContaining(['status-not-200']));
  }, 120_000);

  it('says that the API server is away', async () => {
    await cluster.killApiServer();
    const { errors } = await examine(['--issuer', issuer], { ca: cluster.caFile });
    expect(errors).toEqual(['api-server-no-answer', 'no-answer']);
  });
});
