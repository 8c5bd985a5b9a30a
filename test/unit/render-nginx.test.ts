/** nginx itself judges what `podpass render nginx` prints. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { findNginx } from '../nginx.ts';
import { outputOf, sampleFacts } from '../render-facts.ts';

const nginx = findNginx();
if (typeof nginx !== 'string') console.log(`skipped: ${nginx.missing}`);

const folder = mkdtempSync(join(tmpdir(), 'podpass-nginx-'));
afterAll(() => rmSync(folder, { recursive: true }));

/** Else they are where the package puts them. */
const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi']
  .map((name) => `${name}_temp_path ${folder}/temporary;\n`)
  .join('');

function check(server: string) {
  const file = join(folder, 'nginx.conf');
  writeFileSync(
    file,
    `pid ${folder}/pid;\nerror_log stderr;\nevents {}\nhttp {\naccess_log off;\n${temporary}${server}}\n`,
  );
  const { status, stderr } = spawnSync(String(nginx), ['-t', '-p', folder, '-c', file], { encoding: 'utf8' });
  return { status, stderr };
}

test.skipIf(typeof nginx !== 'string').each([
  ['plain addresses', 'http://127.0.0.1:4180', 'http://127.0.0.1:8080/app/'],
  [
    'addresses with what has a meaning to nginx',
    'http://127.0.0.1:4180/$host;}{"\'\\',
    'http://127.0.0.1/\u0024{x}"; }#$1',
  ],
])('nginx takes %s', (_, authUrl, serviceUrl) => {
  const { status, stderr } = check(
    outputOf('nginx', 'auth-request', sampleFacts({ options: { authUrl, serviceUrl } })),
  );
  expect([status, stderr]).toEqual([0, expect.stringContaining('test is successful')]);
});

test.skipIf(typeof nginx !== 'string')('nginx refuses what is wrong, so that its word counts', () => {
  const text = outputOf(
    'nginx',
    'auth-request',
    sampleFacts({ options: { authUrl: 'http://127.0.0.1', serviceUrl: 'http://127.0.0.1' } }),
  );
  expect(check(text.replace('auth_request ', 'auth_requests ')).status).toBe(1);
});
