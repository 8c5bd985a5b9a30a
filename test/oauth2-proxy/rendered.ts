/** oauth2-proxy with what `podpass render oauth2-proxy` prints, as a process of this machine. */
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { runCommand } from '../run-command.ts';
import { binary } from './binary.ts';
import { requestTo } from './request.ts';

export async function render(...argv: readonly string[]): Promise<string> {
  const { code, out, err } = await runCommand(['render', ...argv]);
  if (code !== 0) throw new Error(err);
  return out;
}

export interface Running {
  readonly port: number;
  stop(): Promise<void>;
}

/** With its two files, and the CA certificates that it trusts (PEM). Throws an Error where it ends. */
export async function runRendered(argv: readonly string[], callers: readonly string[], ca: string): Promise<Running> {
  const folder = mkdtempSync(join(tmpdir(), 'podpass-rendered-'));
  const port = await freePort();
  writeFileSync(join(folder, 'ca.crt'), ca);
  const toml = await render('oauth2-proxy', '-o', 'toml', '--ca', join(folder, 'ca.crt'), ...argv);
  writeFileSync(join(folder, 'callers'), await render('oauth2-proxy', '-o', 'callers', ...callers));
  // There is no mount namespace here.
  const here = toml.replaceAll('/etc/oauth2-proxy', folder).replace('":4180"', `"127.0.0.1:${port}"`);
  writeFileSync(join(folder, 'oauth2-proxy.cfg'), here);
  const env = { OAUTH2_PROXY_COOKIE_SECRET: '0123456789abcdef0123456789abcdef' };
  const child = spawn(binary, [`--config=${join(folder, 'oauth2-proxy.cfg')}`], { env, stdio: 'ignore' });
  const stop = async () => {
    await endOf(child);
    rmSync(folder, { recursive: true, force: true });
  };
  try {
    await untilAnswered(child, port, '/ready', 200);
  } catch (error) {
    await stop();
    throw error;
  }
  return { port, stop };
}

export async function untilAnswered(child: ChildProcess, port: number, path: string, wanted: number): Promise<void> {
  for (const deadline = Date.now() + 20_000; ; await new Promise((fulfil) => setTimeout(fulfil, 50))) {
    if (child.exitCode !== null) throw new Error(`it ended with the exit code ${child.exitCode}`);
    const status = await requestTo(port, path).then(
      (reply) => reply.status,
      () => 0,
    );
    if (status === wanted) return;
    if (Date.now() > deadline) throw new Error(`${path} on port ${port} answers ${status}`);
  }
}

export async function endOf(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const ended = new Promise((fulfil) => child.once('exit', fulfil));
  child.kill('SIGTERM');
  await ended;
}

export async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((fulfil) => server.listen(0, '127.0.0.1', fulfil));
  const { port } = server.address() as AddressInfo;
  await new Promise((fulfil) => server.close(fulfil));
  return port;
}
