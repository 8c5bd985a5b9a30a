/** Traefik itself runs what `podpass render traefik -o file` prints: who gets in, and what the service is told. */
import { afterAll, afterEach, beforeAll, expect, it } from 'vitest';
import { CALLER, CLAIMED, GOOD, REFUSED, REFUSED_AT, rootsIn, TOKENS } from '../http/oauth2-proxy-callers.ts';
import { oauth2Proxy, type Recorder, recorder } from '../http/oauth2-proxy-double.ts';
import { requestTo } from '../oauth2-proxy/request.ts';
import { outputOf, sampleFacts } from '../render-facts.ts';
import { Traefik } from '../traefik.ts';
import { clusterBinaries, describeCluster } from './suite.ts';

const start = (authUrl: string, serviceUrl: string, more: { readonly aliasHeadersStrategy?: 'delete' } = {}) =>
  Traefik.start({
    program: clusterBinaries().traefik,
    rendered: outputOf('traefik', 'file', sampleFacts({ options: { authUrl, serviceUrl } })),
    middleware: 'podpass',
    serviceUrl,
    ...more,
  });

describeCluster('Traefik with what render prints', () => {
  let verifier: Recorder;
  let service: Recorder;
  let front: Traefik;
  const ask = (path: string, headers: Record<string, string> = {}, method = 'GET') =>
    requestTo(front.port, path, headers, method);

  beforeAll(async () => {
    verifier = await oauth2Proxy(TOKENS);
    service = await recorder(() => ({ status: 200, body: 'from the service' }));
    front = await start(verifier.url, service.url, { aliasHeadersStrategy: 'delete' });
  });
  afterEach(() => {
    verifier.seen.length = 0;
    service.seen.length = 0;
  });
  afterAll(async () => {
    await front?.stop();
    await Promise.all([verifier?.close(), service?.close()]);
  });

  it('lets a caller with a token in, and tells the service who it is', async () => {
    expect(await ask('/a/b?c=%20', GOOD)).toMatchObject({ status: 200, body: 'from the service' });
    expect(service.seen).toMatchObject([{ url: '/a/b?c=%20', headers: { 'x-auth-request-user': CALLER } }]);
  });

  it('shows the service neither the token nor who the client claims to be', async () => {
    await ask('/', { ...CLAIMED, X_Forwarded_User: 'root', X_Auth_Request_User: 'root', ...GOOD });
    expect(service.seen.length).toBe(1);
    const { headers } = service.seen[0] ?? {};
    expect(rootsIn(headers)).toEqual([]);
    expect(headers).toMatchObject({ 'x-auth-request-user': CALLER, 'x-auth-request-email': CALLER });
    expect(JSON.stringify(headers)).not.toContain('good');
  });

  it.each(REFUSED)('refuses a request with %s', async (_, headers, status) => {
    for (const path of REFUSED_AT) {
      const reply = await ask(path, headers);
      expect([path, reply.status, reply.headers.location]).toEqual([path, status, undefined]);
    }
    expect(service.seen).toEqual([]);
    expect(verifier.seen.length).toBe(REFUSED_AT.length);
    for (const { url } of verifier.seen) expect(url).toContain(`/oauth2/auth?allowed_emails=${CALLER},`);
  });

  it('asks about the request as Traefik saw it, and sends the token alone', async () => {
    const spoofed = { 'X-Forwarded-Uri': '/ping', 'X-Forwarded-For': '10.0.0.1', 'X-Forwarded-Method': 'OPTIONS' };
    const host = { 'X-Forwarded-Host': 'elsewhere', 'X-Forwarded-Proto': 'gopher', 'X-Real-IP': '10.0.0.1' };
    await ask('/orders', { ...GOOD, ...CLAIMED, ...spoofed, ...host, Cookie: 'a=b' }, 'DELETE');
    const [{ method, headers = {}, body } = {}] = verifier.seen;
    expect([method, body]).toEqual(['GET', '']);
    expect(headers).toMatchObject({
      ...{ 'x-forwarded-uri': '/orders', 'x-forwarded-method': 'DELETE', 'x-forwarded-for': '127.0.0.1' },
      ...{ 'x-forwarded-proto': 'http', 'x-forwarded-host': `127.0.0.1:${front.port}`, authorization: 'Bearer good' },
    });
    expect(headers.cookie).toBeUndefined();
    expect(headers['x-real-ip']).not.toBe('10.0.0.1');
    expect(rootsIn(headers)).toEqual([]);
  });

  it('without aliasHeadersStrategy lets names with an underscore through, as the check says', async () => {
    const plain = await start(verifier.url, service.url);
    try {
      await requestTo(plain.port, '/', { ...GOOD, X_Auth_Request_User: 'root' });
      expect(rootsIn(service.seen.at(-1)?.headers)).toEqual([['x_auth_request_user', 'root']]);
    } finally {
      await plain.stop();
    }
  });
});

describeCluster('Traefik where oauth2-proxy is wrong', () => {
  it.each([
    ['sends to a login page', 302, 302],
    ['answers 404', 404, 404],
    ['fails', 500, 500],
    ['is not there', undefined, 500],
  ] as const)('lets nobody in when it %s', async (_, status, answered) => {
    const verifier = await recorder(() => ({ status: status ?? 202, headers: { location: 'http://login' } }));
    if (status === undefined) await verifier.close();
    const service = await recorder(() => ({ status: 200 }));
    const front = await start(verifier.url, service.url);
    try {
      expect((await requestTo(front.port, '/', GOOD)).status).toBe(answered);
      expect(service.seen).toEqual([]);
    } finally {
      await front.stop();
      await service.close();
      if (status !== undefined) await verifier.close();
    }
  });
});
