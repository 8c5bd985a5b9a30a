/** nginx itself runs what `podpass render nginx -o auth-request` prints: who gets in, and what the service is told. */
import { mkdtempSync, writeFileSync } from 'node:fs';
import { type IncomingHttpHeaders, request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { freePort, Guardian, Server } from '../cluster/servers.ts';
import { findNginx } from '../nginx.ts';
import { outputOf, sampleFacts } from '../render-facts.ts';
import { CALLER, CLAIMED, GOOD, REFUSED, REFUSED_AT, rootsIn, TOKENS } from './oauth2-proxy-callers.ts';
import { oauth2Proxy, type Recorder, recorder } from './oauth2-proxy-double.ts';

const nginx = findNginx();
if (typeof nginx !== 'string') console.log(`skipped: ${nginx.missing}`);

interface Reply {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
}

class Front {
  readonly #url: string;
  readonly #server: Server;
  readonly #guardian: Guardian;

  private constructor(url: string, server: Server, guardian: Guardian) {
    this.#url = url;
    this.#server = server;
    this.#guardian = guardian;
  }

  /** nginx with what is printed, on a port of its own. */
  static async start(program: string, authUrl: string, serviceUrl: string): Promise<Front> {
    const folder = mkdtempSync(join(tmpdir(), 'podpass-nginx-'));
    const guardian = new Guardian(folder);
    const port = await freePort();
    const printed = outputOf('nginx', 'auth-request', sampleFacts({ options: { authUrl, serviceUrl } }));
    const server = printed.replace('listen 8080;', `listen 127.0.0.1:${port};`);
    expect(server).not.toBe(printed);
    // Else they are where the package puts them.
    const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi']
      .map((name) => `${name}_temp_path ${folder}/temporary;\n`)
      .join('');
    const file = join(folder, 'nginx.conf');
    writeFileSync(
      file,
      `daemon off;\nmaster_process off;\npid ${folder}/pid;\nerror_log stderr;\nevents {}\nhttp {\naccess_log off;\n${temporary}${server}}\n`,
    );
    const running = new Server(guardian, 'nginx', program, ['-p', folder, '-c', file], join(folder, 'nginx.log'));
    const front = new Front(`http://127.0.0.1:${port}`, running, guardian);
    await running.ready(async () => (await front.ask('/podpass-auth')).status > 0, 20_000);
    return front;
  }

  ask(path: string, headers: Record<string, string> = {}, body?: string): Promise<Reply> {
    return new Promise((resolve, reject) => {
      const method = body === undefined ? 'GET' : 'POST';
      const outgoing = request(this.#url + path, { method, headers, agent: false }, (incoming) => {
        const { statusCode = 0, headers: received } = incoming;
        text(incoming).then((told) => resolve({ status: statusCode, headers: received, body: told }), reject);
      });
      outgoing.on('error', reject);
      outgoing.end(body);
    });
  }

  async stop(): Promise<void> {
    await this.#server.end('SIGKILL');
    await this.#guardian.end();
  }
}

describe.skipIf(typeof nginx !== 'string')('nginx with what render prints', () => {
  let verifier: Recorder;
  let service: Recorder;
  let front: Front;

  beforeAll(async () => {
    verifier = await oauth2Proxy(TOKENS);
    service = await recorder(() => ({ status: 200, body: 'from the service' }));
    front = await Front.start(String(nginx), verifier.url, service.url);
  });
  afterEach(() => {
    verifier.seen.length = 0;
    service.seen.length = 0;
  });
  afterAll(async () => {
    await front?.stop();
    await Promise.all([verifier?.close(), service?.close()]);
  });

  test('a caller with a token gets in, and the service is told who it is', async () => {
    expect(await front.ask('/a%2Fb/c?d=%20', GOOD)).toMatchObject({ status: 200, body: 'from the service' });
    expect(service.seen).toMatchObject([{ url: '/a%2Fb/c?d=%20', headers: { 'x-forwarded-user': CALLER } }]);
  });

  test('the service sees neither the token nor who the client claims to be', async () => {
    await front.ask('/', { ...CLAIMED, X_Forwarded_User: 'root', X_Auth_Request_User: 'root', ...GOOD });
    expect(service.seen.length).toBe(1);
    const { headers } = service.seen[0] ?? {};
    expect(rootsIn(headers)).toEqual([]);
    expect(headers).toMatchObject({ 'x-forwarded-user': CALLER });
    expect(JSON.stringify(headers)).not.toContain('good');
  });

  test.each(REFUSED)('a request with %s does not get in', async (_, headers, status) => {
    for (const path of REFUSED_AT) {
      const reply = await front.ask(path, headers);
      expect([path, reply.status, reply.headers.location]).toEqual([path, status, undefined]);
    }
    expect(service.seen).toEqual([]);
    expect(verifier.seen.length).toBe(REFUSED_AT.length);
    for (const { url } of verifier.seen) expect(url).toContain(`/oauth2/auth?allowed_emails=${CALLER},`);
  });

  test('the question is about the request as nginx saw it, and has no body', async () => {
    const spoofed = { 'X-Forwarded-Uri': '/ping', 'X-Forwarded-For': '10.0.0.1', 'X-Forwarded-Method': 'OPTIONS' };
    const host = { 'X-Forwarded-Host': 'elsewhere', 'X-Forwarded-Proto': 'gopher', 'X-Real-IP': '10.0.0.1' };
    await front.ask('/orders', { ...GOOD, ...spoofed, ...host, cookie: 'a=b' }, 'x'.repeat(20_000));
    const [{ headers = {}, body } = {}] = verifier.seen;
    expect(body).toBe('');
    expect(headers).toMatchObject({
      ...{ 'x-forwarded-uri': '/orders', 'x-forwarded-method': 'POST', 'x-forwarded-for': '127.0.0.1' },
      ...{ 'x-forwarded-proto': 'http', 'x-real-ip': '127.0.0.1', authorization: 'Bearer good' },
    });
    expect(headers['x-forwarded-host']).toBe('127.0.0.1');
    expect(headers.cookie).toBeUndefined();
    expect(service.seen.map((each) => each.body.length)).toEqual([20_000]);
  });

  test('the place of the question is for nginx alone', async () => {
    expect((await front.ask('/podpass-auth', GOOD)).status).toBe(404);
    expect(verifier.seen).toEqual([]);
  });
});

describe.skipIf(typeof nginx !== 'string')('nginx where oauth2-proxy is wrong', () => {
  test.each([
    ['sends to a login page', 302],
    ['answers 404', 404],
    ['fails', 500],
    ['is not there', undefined],
  ] as const)('nobody gets in when it %s', async (_, status) => {
    const verifier = await recorder(() => ({ status: status ?? 202, headers: { location: 'http://login' } }));
    if (status === undefined) await verifier.close();
    const service = await recorder(() => ({ status: 200 }));
    const front = await Front.start(String(nginx), verifier.url, service.url);
    try {
      expect((await front.ask('/', GOOD)).status).toBe(500);
      expect(service.seen).toEqual([]);
    } finally {
      await front.stop();
      await service.close();
      if (status !== undefined) await verifier.close();
    }
  });
});
