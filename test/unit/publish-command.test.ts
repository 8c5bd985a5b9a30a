import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import { sleep } from '../../src/sleep.ts';
import { runCommand } from '../run-command.ts';
import { ec, expectedKid, pem, rsa } from './key-material.ts';

const folder = mkdtempSync(join(tmpdir(), 'podpass-publish-'));
afterAll(() => rmSync(folder, { recursive: true }));

const issuer = 'https://issuer.example.com/a';
const first = rsa();
const second = ec();

function keyFile(name: string, text: string): string {
  const path = join(folder, name);
  writeFileSync(path, text);
  return path;
}

const old = keyFile('old.pem', pem(first));
const both = keyFile('both.pem', pem(first) + pem(second));
const next = keyFile('next.pem', pem(second));

let places = 0;
function place(): string {
  places += 1;
  return join(folder, `out-${places}`);
}

const publish = (argv: readonly string[], env: Record<string, string> = {}) =>
  runCommand(['publish', ...argv], { env, version: '1.2.3' });

const kidsIn = (to: string): string[] =>
  (JSON.parse(readFileSync(join(to, 'openid/v1/jwks'), 'utf8')) as { keys: { kid: string }[] }).keys.map(
    ({ kid }) => kid,
  );

describe('podpass publish', () => {
  test('writes to several places, then has nothing to do', async () => {
    const [one, two] = [place(), place()];
    const argv = ['--issuer', issuer, '--keys', old, '--to', one, '--to', two];
    const files = 'openid/v1/jwks, .well-known/jwks.json, keys.json, .well-known/openid-configuration';
    const lines = (what: string) => `${one}: ${what}\n${two}: ${what}\n`;
    expect(await publish(argv)).toEqual({ code: 0, out: '', err: lines(`wrote .podpass-owner.json, ${files}`) });
    expect(await publish(argv)).toEqual({ code: 0, out: '', err: lines('nothing to do') });
    expect(JSON.parse(readFileSync(join(two, '.well-known/openid-configuration'), 'utf8')).issuer).toBe(issuer);
  });

  test('drops no published key but with --allow-shrink or --revoke', async () => {
    const to = place();
    const argv = ['--issuer', issuer, '--to', to, '--keys'];
    const kid = expectedKid(first);
    await publish([...argv, both]);
    expect(await publish([...argv, next])).toEqual({
      code: 1,
      out: '',
      err: `podpass publish: ${to}: a published key would be dropped: "${kid}"; --allow-shrink drops what is not there any more, --revoke KID a single one\n`,
    });
    expect(kidsIn(to)).toHaveLength(2);
    expect((await publish([...argv, both, '--revoke', kid])).code).toBe(0);
    expect(kidsIn(to)).toEqual([expectedKid(second)]);
    expect((await publish([...argv, old, '--allow-shrink'])).code).toBe(0);
    expect(kidsIn(to)).toEqual([kid]);
  });

  test('writes the good keys, and ends with 1 for a refused one; one place that fails holds up no other', async () => {
    const weak = keyFile('weak.pem', pem(rsa(1024)) + pem(first));
    const [taken, free] = [keyFile('taken', ''), place()];
    const { code, err } = await publish(['--issuer', issuer, '--keys', weak, '--to', taken, '--to', free]);
    expect(code).toBe(1);
    expect(err).toContain(`refused: ${weak}`);
    expect(err).toContain(`podpass publish: ${taken}: .podpass-owner.json cannot be read (ENOTDIR)\n`);
    expect(kidsIn(free)).toEqual([expectedKid(first)]);
  });

  test('with a state, a key that vanished stays for the hold-down, and then goes by itself', async () => {
    const to = place();
    const state = join(folder, 'state.json');
    const keys = keyFile('rotated.pem', pem(first) + pem(second));
    const argv = ['--issuer', issuer, '--to', to, '--keys', keys, '--state', state, '--hold-down', '2s'];
    expect((await publish(argv)).code).toBe(0);
    writeFileSync(keys, pem(second));
    const began = Date.now();
    expect(await publish(argv)).toEqual({ code: 0, out: '', err: `${to}: nothing to do\n` });
    // A state of its own does not know since when it is gone.
    const other = [...argv.slice(0, -4), '--state', join(folder, 'other.json')];
    expect((await publish(other)).err).toContain('--allow-shrink');
    expect(kidsIn(to)).toHaveLength(2);
    await sleep(began + 2_100 - Date.now());
    expect((await publish(argv)).code).toBe(0);
    expect(kidsIn(to)).toEqual([expectedKid(second)]);
  });

  test('a state that cannot be used is told, and what is published stays', async () => {
    const to = place();
    const argv = ['--issuer', issuer, '--to', to, '--state', keyFile('no-state.json', 'text'), '--keys'];
    const { code, err } = await publish([...argv, both]);
    expect([code, kidsIn(to).length]).toEqual([1, 2]);
    expect(err).toContain(
      `podpass publish: ${join(folder, 'no-state.json')}: the key state cannot be used and is ignored: it is not JSON\n`,
    );
    expect(readFileSync(join(folder, 'no-state.json'), 'utf8')).toBe('text');
    expect((await publish([...argv, next])).err).toContain('a published key would be dropped');
  });

  test('writes nothing where a source fails', async () => {
    const to = place();
    const missing = join(folder, 'missing');
    const { code, err } = await publish(['--issuer', issuer, '--keys', old, '--keys', missing, '--to', to]);
    expect({ code, err }).toEqual({ code: 1, err: `podpass publish: ${missing}: does not exist\n` });
    expect(() => kidsIn(to)).toThrow('ENOENT');
  });

  test('prints a ConfigMap with the bytes that are published', async () => {
    const to = place();
    const { code, out } = await publish(['--issuer', issuer, '--keys', both, '--to', to, '-o', 'configmap']);
    expect(code).toBe(0);
    expect(parse(out)).toEqual({
      apiVersion: 'v1',
      kind: 'ConfigMap',
      metadata: { name: 'podpass-issuer' },
      data: {
        'jwks.json': readFileSync(join(to, 'openid/v1/jwks'), 'utf8'),
        'openid-configuration.json': readFileSync(join(to, '.well-known/openid-configuration'), 'utf8'),
      },
    });
  });

  test('prints the keys that Google Cloud takes, and names the others', async () => {
    const p384 = ec('P-384');
    const file = keyFile('p384.pem', pem(p384) + pem(first));
    const { code, out, err } = await publish(['--issuer', issuer, '--keys', file, '-o', 'gcp-jwks']);
    expect(code).toBe(1);
    expect(err).toBe(`left out: the key "${expectedKid(p384)}" is for ES384; accepted: RS256, ES256\n`);
    expect((JSON.parse(out) as { keys: { kid: string }[] }).keys.map(({ kid }) => kid)).toEqual([expectedKid(first)]);
  });

  test('tells what the public does not see', async () => {
    const to = place();
    const server = createServer((request, response) => {
      try {
        response.end(readFileSync(join(to, (request.url ?? '').replace('/a/', '/'))));
      } catch {
        response.writeHead(404).end();
      }
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const own = `http://127.0.0.1:${(server.address() as AddressInfo).port}/a`;
    try {
      const argv = ['--issuer', own, '--keys', old, '--verify-public', '--to'];
      expect((await publish([...argv, to])).code).toBe(0);
      rmSync(join(to, 'openid'), { recursive: true });
      const { code, err } = await publish([...argv, place()]);
      expect(code).toBe(1);
      expect(err).toContain(`not public: GET ${own}/openid/v1/jwks: the answer is 404, not 200\n`);
    } finally {
      server.close();
    }
  });

  test('needs something to do, an issuer and a place that is one', async () => {
    const { code, err } = await publish(['--keys', old]);
    expect(code).toBe(2);
    expect(err).toContain('podpass publish: --to: is missing; accepted: at least one place to write to, or -o');
    expect(err).toContain('podpass publish: --issuer: is missing');
    const secret = await publish(['--to', 's3://KEY:SECRET@bucket/x', '--to', 'gs://bucket', '--to', 's3://b/../x']);
    expect(secret.code).toBe(2);
    expect(secret.err).toContain('--to: "s3://…@bucket/x" is no name of a bucket and a prefix');
    expect(secret.err).toContain('"gs://bucket" is neither a folder nor s3://');
    expect(secret.err).not.toContain('SECRET');
  });
});
