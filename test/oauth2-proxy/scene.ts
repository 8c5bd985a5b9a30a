/** Everything around a Pod with oauth2-proxy: the issuer of its callers, the application, and where people log in. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type IncomingMessage, type Server } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import { type AddressInfo, createServer as createTcpServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { exportJWK, generateKeyPair, SignJWT } from 'jose';
import { createFilesSource } from '../../discovery/key-source/files.ts';
import { startDiscovery } from '../../discovery/server.ts';
import { createDevelopmentIssuer, type DevelopmentIssuer } from '../../src/cli/demo/development-issuer.ts';
import { silentLog } from '../../src/log.ts';
import { createMetrics } from '../../src/runtime/metrics.ts';
import { runCommand } from '../run-command.ts';
import type { PodObject } from './container.ts';

export const AUDIENCE = 'https://shop.example.com';
export const WORKER = 'system:serviceaccount:billing:worker';

export interface Scene {
  readonly issuer: string;
  /** PEM. */
  readonly ca: string;
  readonly people: IdentityProvider;
  readonly application: Application;
  /** A token of a ServiceAccount, by default one that is good. */
  mint(claims?: {
    readonly subject?: string;
    readonly audience?: string;
    readonly expirationSeconds?: number;
    readonly issuer?: string;
    readonly signedBy?: DevelopmentIssuer;
  }): Promise<string>;
  /** What podpass makes of a Pod with these annotations, and the port of its oauth2-proxy. */
  mutate(annotations: Readonly<Record<string, string>>): Promise<PodObject>;
  stop(): Promise<void>;
}

export async function setScene(): Promise<Scene> {
  const development = await createDevelopmentIssuer();
  const folder = mkdtempSync(join(tmpdir(), 'podpass-scene-'));
  const keyFile = join(folder, 'key.pub');
  writeFileSync(keyFile, development.publicKey);
  let tellIssuer: (issuer: string) => void = () => {};
  const told = new Promise<string>((fulfil) => {
    tellIssuer = fulfil;
  });
  const source = { sources: [createFilesSource({ paths: [keyFile] })], pollIntervalMs: 60_000, holdDownMs: 0 };
  const discovery = await startDiscovery({
    ...{ address: '127.0.0.1', port: 0, metricsPort: 0, pair: development.server, log: silentLog, clock: Date.now },
    issuers: [{ ...source, issuer: () => told, revoked: [], cacheMaxAgeSeconds: 300 }],
    metrics: createMetrics('discovery'),
  });
  const issuer = `https://localhost:${discovery.port}`;
  tellIssuer(issuer);
  const application = await startApplication();
  const people = await startIdentityProvider(development);
  return {
    issuer,
    ca: development.ca.cert,
    people,
    application,
    mint({ subject = WORKER, audience = AUDIENCE, expirationSeconds = 600, issuer: from = issuer, signedBy } = {}) {
      const [, , namespace = '', serviceAccount = ''] = subject.split(':');
      const request = { issuer: from, namespace, serviceAccount, pod: 'caller', audience, expirationSeconds };
      return (signedBy ?? development).mint(request);
    },
    async mutate(annotations) {
      const own = Object.entries({
        'oauth2-proxy': String(application.port),
        'oauth2-proxy-audiences': AUDIENCE,
        'oauth2-proxy-port': String(await freePort()),
        'oauth2-proxy-ca-config-map': 'issuer-ca',
        ...annotations,
      }).map(([key, value]) => [`podpass.dev/${key}`, value]);
      const pod = {
        apiVersion: 'v1',
        kind: 'Pod',
        metadata: { name: 'web', namespace: 'shop', annotations: Object.fromEntries(own) },
        spec: {
          containers: [{ name: 'web', image: 'web:1', ports: [{ name: 'http', containerPort: application.port }] }],
        },
      };
      const argv = ['mutate', '-f', '-', '-o', 'json', `--oauth2-proxy-issuer=${issuer}`];
      const { code, out, err } = await runCommand(argv, { input: JSON.stringify(pod) });
      if (code !== 0) throw new Error(err);
      return JSON.parse(out) as PodObject;
    },
    async stop() {
      await Promise.all([discovery.stop(0), people.stop(), application.stop()]);
      rmSync(folder, { recursive: true });
    },
  };
}

// ---- the application -------------------------------------------------------------------------------------------------

export interface Application {
  readonly port: number;
  /** What has reached it since it was last asked. */
  requests(): { readonly method: string; readonly path: string; readonly headers: IncomingMessage['headers'] }[];
  stop(): Promise<void>;
}

async function startApplication(): Promise<Application> {
  let seen: ReturnType<Application['requests']> = [];
  const server = createServer((request, response) => {
    seen.push({ method: request.method ?? '', path: request.url ?? '', headers: request.headers });
    response.end('the application');
  });
  return {
    port: await listen(server),
    requests() {
      const those = seen;
      seen = [];
      return those;
    },
    stop: () => close(server),
  };
}

// ---- people ----------------------------------------------------------------------------------------------------------

/** An OpenID provider at which everybody is logged in already, as whoever `email` is. */
export interface IdentityProvider {
  readonly issuer: string;
  email: string;
  stop(): Promise<void>;
}

export const CLIENT = { id: 'shop', secret: 'the-secret-of-shop' };

async function startIdentityProvider({ server: { cert, key } }: DevelopmentIssuer): Promise<IdentityProvider> {
  const { publicKey, privateKey } = await generateKeyPair('RS256');
  const jwk = { ...(await exportJWK(publicKey)), kid: 'people', alg: 'RS256', use: 'sig' };
  const codes = new Map<string, { nonce: string | undefined; email: string }>();
  const provider = { issuer: '', email: 'ann@example.com', stop: () => close(server) };
  const idToken = ({ nonce, email }: { nonce: string | undefined; email: string }) =>
    new SignJWT({ email, email_verified: true, ...(nonce === undefined ? {} : { nonce }) })
      .setProtectedHeader({ alg: 'RS256', kid: 'people' })
      .setIssuer(provider.issuer)
      .setSubject(`id-of-${email}`)
      .setAudience(CLIENT.id)
      .setIssuedAt()
      .setExpirationTime('5m')
      .sign(privateKey);
  const answer = async (request: IncomingMessage): Promise<object | string> => {
    const url = new URL(request.url ?? '/', provider.issuer);
    if (url.pathname === '/.well-known/openid-configuration')
      return {
        issuer: provider.issuer,
        authorization_endpoint: `${provider.issuer}/authorize`,
        token_endpoint: `${provider.issuer}/token`,
        jwks_uri: `${provider.issuer}/keys`,
        response_types_supported: ['code'],
        subject_types_supported: ['public'],
        id_token_signing_alg_values_supported: ['RS256'],
      };
    if (url.pathname === '/keys') return { keys: [jwk] };
    if (url.pathname === '/authorize') {
      const code = `code-${codes.size}`;
      codes.set(code, { nonce: url.searchParams.get('nonce') ?? undefined, email: provider.email });
      const state = url.searchParams.get('state') ?? '';
      return `${url.searchParams.get('redirect_uri')}?${new URLSearchParams({ code, state })}`;
    }
    const form = new URLSearchParams(await text(request));
    const known = codes.get(form.get('code') ?? '');
    const sent = request.headers.authorization ?? `${form.get('client_id')}:${form.get('client_secret')}`;
    const basic = `Basic ${Buffer.from(`${CLIENT.id}:${CLIENT.secret}`).toString('base64')}`;
    if (known === undefined || (sent !== basic && sent !== `${CLIENT.id}:${CLIENT.secret}`))
      return { error: 'invalid_grant' };
    return { access_token: 'opaque', token_type: 'Bearer', expires_in: 300, id_token: await idToken(known) };
  };
  const server = createTlsServer({ cert, key }, (request, response) => {
    void answer(request).then((given) => {
      if (typeof given === 'string') response.writeHead(302, { Location: given }).end();
      else
        response
          .writeHead('error' in given ? 400 : 200, { 'Content-Type': 'application/json' })
          .end(JSON.stringify(given));
    });
  });
  provider.issuer = `https://localhost:${await listen(server)}`;
  return provider;
}

// ---- ports -----------------------------------------------------------------------------------------------------------

async function listen(server: Server): Promise<number> {
  await new Promise<void>((fulfil) => server.listen(0, '127.0.0.1', fulfil));
  return (server.address() as AddressInfo).port;
}

function close(server: Server): Promise<void> {
  return new Promise((fulfil) => {
    server.close(() => fulfil());
    server.closeAllConnections();
  });
}

async function freePort(): Promise<number> {
  const server = createTcpServer();
  await new Promise<void>((fulfil) => server.listen(0, fulfil));
  const { port } = server.address() as AddressInfo;
  await new Promise((fulfil) => server.close(fulfil));
  return port;
}
