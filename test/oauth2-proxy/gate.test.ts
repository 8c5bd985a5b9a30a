/** docs/guides/prometheus-from-many-clusters.md: its gate, with a real nginx before a real oauth2-proxy. */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { findNginx } from '../nginx.ts';
import { endOf, freePort, type Running, render, runRendered, untilAnswered } from './rendered.ts';
import { requestTo } from './request.ts';
import { AUDIENCE, type Scene, setScene, WORKER } from './scene.ts';

const nginx = findNginx();
if (typeof nginx !== 'string') console.log(`skipped: ${nginx.missing}`);

/** The line of the guide that writes the tenant. */
const guide = readFileSync(new URL('../../docs/guides/prometheus-from-many-clusters.md', import.meta.url), 'utf8');
const [addTenant = 'false'] = guide.match(/^sed ".*" asked\.conf > gate\.conf$/m) ?? [];

describe.skipIf(typeof nginx !== 'string')('the gate of cluster a', () => {
  const folder = mkdtempSync(join(tmpdir(), 'podpass-gate-'));
  let scene: Scene;
  let proxy: Running;
  let gate: ChildProcess;
  let port: number;

  beforeAll(async () => {
    scene = await setScene();
    const issuer = ['--issuer', scene.issuer];
    const callers = [...issuer, '--service-account', 'billing/worker'];
    proxy = await runRendered([...issuer, '--audience', AUDIENCE], callers, scene.ca);
    port = await freePort();
    const urls = [`http://127.0.0.1:${proxy.port}`, `http://127.0.0.1:${scene.application.port}`];
    const flags = ['--auth-url', urls[0] ?? '', '--service-url', urls[1] ?? ''];
    writeFileSync(join(folder, 'asked.conf'), await render('nginx', '-o', 'auth-request', ...callers, ...flags));
    execFileSync('sh', ['-c', addTenant], { cwd: folder, env: { PATH: process.env.PATH, CLUSTER: 'a' } });
    const server = readFileSync(join(folder, 'gate.conf'), 'utf8').replace('listen 8080', `listen 127.0.0.1:${port}`);
    const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi']
      .map((name) => `${name}_temp_path ${folder}/temporary;\n`)
      .join('');
    writeFileSync(
      join(folder, 'nginx.conf'),
      `daemon off;\nmaster_process off;\npid ${folder}/pid;\nerror_log stderr;\nevents {}\nhttp {\naccess_log off;\n${temporary}${server}}\n`,
    );
    gate = spawn(String(nginx), ['-p', folder, '-c', join(folder, 'nginx.conf')], { stdio: 'ignore' });
    await untilAnswered(gate, port, '/', 401);
  });
  afterAll(async () => {
    if (gate !== undefined) await endOf(gate);
    await proxy?.stop();
    await scene?.stop();
    rmSync(folder, { recursive: true, force: true });
  });

  const bearer = (token: string) => ({ Authorization: `Bearer ${token}` });
  const push = async (headers: Record<string, string>) =>
    (await requestTo(port, '/api/v1/push', headers, 'POST')).status;

  test('the named ServiceAccount writes, as the tenant of its cluster whatever it says, and the token stays here', async () => {
    expect(await push({ ...bearer(await scene.mint()), 'X-Scope-OrgID': 'b', 'X-Forwarded-User': 'root' })).toBe(200);
    const [seen] = scene.application.requests();
    expect(seen).toMatchObject({ method: 'POST', path: '/api/v1/push' });
    expect(seen?.headers).toMatchObject({ 'x-scope-orgid': 'a', 'x-forwarded-user': WORKER });
    expect(seen?.headers.authorization ?? '').toBe('');
  });

  test.each<[string, () => Promise<Record<string, string>>, number]>([
    ['no token', async () => ({}), 401],
    ['another ServiceAccount', async () => bearer(await scene.mint({ subject: 'system:serviceaccount:a:b' })), 401],
    ['another audience', async () => bearer(await scene.mint({ audience: 'other' })), 403],
    ['an expired token', async () => bearer(await scene.mint({ expirationSeconds: -300 })), 403],
    ['the issuer of another cluster', async () => bearer(await scene.mint({ issuer: 'https://b.example.com' })), 403],
    ['the scheme in lower case', async () => ({ Authorization: `bearer ${await scene.mint()}` }), 403],
  ])('%s is refused', async (_, headers, status) => {
    expect(await push(await headers())).toBe(status);
    expect(scene.application.requests()).toEqual([]);
  });

  test('a write of more than nginx takes is refused', async () => {
    expect(await push({ ...bearer(await scene.mint()), 'Content-Length': '2000000' })).toBe(413);
  });

  test('without oauth2-proxy nobody comes in', async () => {
    await proxy.stop();
    expect(await push(bearer(await scene.mint()))).toBe(500);
    expect(scene.application.requests()).toEqual([]);
  });
});
