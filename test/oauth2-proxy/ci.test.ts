/** docs/guides/ci-and-cluster.md: what it says of answers. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type CiIssuer, startCiIssuer } from './ci-issuer.ts';
import { freePort, type Running, runRendered } from './rendered.ts';
import { requestTo } from './request.ts';
import { AUDIENCE, type Scene, setScene, WORKER } from './scene.ts';

const JOB = 'repo:acme/app:ref:refs/heads/main';

let scene: Scene;
let ci: CiIssuer;
let proxy: Running;

const start = (servicePort = scene.application.port) => {
  const others = ['--other-caller', `${ci.issuer}#${JOB}`];
  const flags = ['--issuer', scene.issuer, '--audience', AUDIENCE, ...others];
  return runRendered(
    [...flags, '--service-url', `http://127.0.0.1:${servicePort}`],
    ['--issuer', scene.issuer, '--service-account', 'billing/worker', ...others],
    scene.ca + ci.ca,
  );
};
const ask = async (token: string | undefined, port = proxy.port) => {
  const headers = token === undefined ? {} : { Authorization: `Bearer ${token}` };
  const statuses: number[] = [];
  for (const path of ['/orders', '/oauth2/auth']) statuses.push((await requestTo(port, path, headers)).status);
  return statuses;
};

beforeAll(async () => {
  scene = await setScene();
  ci = await startCiIssuer();
  proxy = await start();
});
afterAll(async () => {
  await proxy?.stop();
  await ci?.stop();
  await scene?.stop();
});

test('a job and a Pod come in, each by its subject', async () => {
  expect(await ask(await ci.mint(JOB, AUDIENCE))).toEqual([200, 202]);
  expect(await ask(await scene.mint())).toEqual([200, 202]);
  expect(scene.application.requests().map(({ headers }) => headers['x-forwarded-user'])).toEqual([JOB, WORKER]);
});

test.each<[string, () => Promise<string | undefined>, [number, number]]>([
  ['another branch', () => ci.mint('repo:acme/app:ref:refs/heads/other', AUDIENCE), [403, 401]],
  ['a pull request', () => ci.mint('repo:acme/app:pull_request', AUDIENCE), [403, 401]],
  ['another ServiceAccount', () => scene.mint({ subject: 'system:serviceaccount:shop:default' }), [403, 401]],
  ["the owner's URL as the audience", () => ci.mint(JOB, 'https://github.com/acme'), [403, 403]],
  ['an issuer that nobody trusts', () => scene.mint({ issuer: 'https://other.example.com' }), [403, 403]],
  ['no token', async () => undefined, [403, 401]],
  ['an empty variable', async () => '', [403, 403]],
])('%s is refused', async (_, mint, statuses) => {
  expect(await ask(await mint())).toEqual(statuses);
  expect(scene.application.requests()).toEqual([]);
});

test('each issuer may name each caller, and upper and lower case are the same', async () => {
  expect(await ask(await ci.mint(WORKER, AUDIENCE))).toEqual([200, 202]);
  expect(await ask(await ci.mint(JOB.replace('main', 'MAIN'), AUDIENCE))).toEqual([200, 202]);
  scene.application.requests();
});

test('an issuer that was away at the start is refused until the next one; the cluster is not', async () => {
  ci.away = true;
  const late = await start();
  ci.away = false;
  try {
    expect(await ask(await ci.mint(JOB, AUDIENCE), late.port)).toEqual([403, 403]);
    expect(await ask(await scene.mint(), late.port)).toEqual([200, 202]);
  } finally {
    await late.stop();
  }
  scene.application.requests();
});

test('without the application it is 502', async () => {
  const alone = await start(await freePort());
  try {
    expect(await ask(await ci.mint(JOB, AUDIENCE), alone.port)).toEqual([502, 202]);
  } finally {
    await alone.stop();
  }
});

test('without the issuer of the cluster it ends', async () => {
  const nowhere = ['--issuer', 'https://localhost:1', '--audience', AUDIENCE];
  await expect(runRendered(nowhere, [...nowhere.slice(0, 2), '--service-account', 'a/b'], scene.ca)).rejects.toThrow(
    'it ended with the exit code 1',
  );
});
