/** What render prints for Traefik and for oauth2-proxy, together: both are real. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { buildTraefik, goRelease, toStderr } from '../cluster/binaries.ts';
import { Traefik } from '../traefik.ts';
import { type Running, render, runRendered } from './rendered.ts';
import { requestTo } from './request.ts';
import { AUDIENCE, type Scene, setScene, WORKER } from './scene.ts';

let scene: Scene;
let proxy: Running;
let front: Traefik;

beforeAll(async () => {
  // The first run builds it.
  const program = await buildTraefik(await goRelease(), toStderr);
  scene = await setScene();
  const issuer = ['--issuer', scene.issuer];
  const callers = [...issuer, '--service-account', 'billing/worker'];
  proxy = await runRendered([...issuer, '--audience', AUDIENCE], [...callers, '--service-account', 'a/b'], scene.ca);
  front = await Traefik.start({
    program,
    rendered: await render('traefik', '-o', 'file', ...callers, '--auth-url', `http://127.0.0.1:${proxy.port}`),
    middleware: 'podpass',
    serviceUrl: `http://127.0.0.1:${scene.application.port}`,
    aliasHeadersStrategy: 'delete',
  });
}, 1_200_000);
afterAll(async () => {
  await front?.stop();
  await proxy?.stop();
  await scene?.stop();
});

const bearer = (token: string) => ({ Authorization: `Bearer ${token}` });
const ask = async (headers: Record<string, string>, path = '/orders') =>
  (await requestTo(front.port, path, headers)).status;

test('the named ServiceAccount comes in, whatever it says of itself, and the token stays here', async () => {
  const claimed = { 'X-Forwarded-User': 'root', 'X-Auth-Request-User': 'root', 'X-Auth-Request-Groups': 'root' };
  const more = { 'X-Forwarded-Email': 'root', X_Auth_Request_User: 'root', 'X-Auth-Request-Access-Token': 'root' };
  expect(await ask({ ...bearer(await scene.mint()), ...claimed, ...more })).toBe(200);
  const [seen] = scene.application.requests();
  expect(seen).toMatchObject({ method: 'GET', path: '/orders', headers: { 'x-auth-request-user': WORKER } });
  expect(seen?.headers.authorization).toBeUndefined();
  expect(Object.values(seen?.headers ?? {})).not.toContain('root');
});

test.each<[string, () => Promise<Record<string, string>>, number]>([
  ['no token', async () => ({}), 401],
  ['no token, but a name', async () => ({ 'X-Forwarded-User': WORKER, 'X-Auth-Request-User': WORKER }), 401],
  ['another ServiceAccount', async () => bearer(await scene.mint({ subject: 'system:serviceaccount:a:c' })), 401],
  [
    'one that only other routes take',
    async () => bearer(await scene.mint({ subject: 'system:serviceaccount:a:b' })),
    403,
  ],
  ['another audience', async () => bearer(await scene.mint({ audience: 'other' })), 403],
  ['an expired token', async () => bearer(await scene.mint({ expirationSeconds: -300 })), 403],
  ['another issuer', async () => bearer(await scene.mint({ issuer: 'https://b.example.com' })), 403],
  ['the scheme in lower case', async () => ({ Authorization: `bearer ${await scene.mint()}` }), 403],
])('%s is refused', async (_, headers, status) => {
  for (const path of ['/orders', '/ping', '/oauth2/sign_in', '/orders?allowed_emails=x'])
    expect([path, await ask(await headers(), path)]).toEqual([path, status]);
  expect(scene.application.requests()).toEqual([]);
});

test('without oauth2-proxy nobody comes in', async () => {
  await proxy.stop();
  expect(await ask(bearer(await scene.mint()))).toBe(500);
  expect(scene.application.requests()).toEqual([]);
});
