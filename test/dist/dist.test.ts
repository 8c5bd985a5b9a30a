import { execFile } from 'node:child_process';
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { cp, mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, test } from 'vitest';

const run = promisify(execFile);
const root = new URL('../..', import.meta.url).pathname;
let folder: string;

/** Runs the executable where nothing else is: no node_modules, no package.json. */
const podpass = (...argv: string[]) =>
  run(process.execPath, [join(folder, 'dist/podpass.js'), ...argv], { cwd: folder });

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'podpass-dist-'));
  await cp(join(root, 'dist'), join(folder, 'dist'), { recursive: true });
});

afterAll(() => rm(folder, { recursive: true, force: true }));

test('dist needs nothing beside it', async () => {
  const { version } = JSON.parse(await readFile(join(root, 'package.json'), 'utf8'));
  expect(await podpass('--version')).toEqual({ stdout: `${version}\n`, stderr: '' });
});

test('every command of the overview has help', async () => {
  const { stdout } = await podpass('--help');
  const names = [...stdout.matchAll(/^ {2}(\w+) {2,}/gm)].map(([, name = '']) => name);
  expect(names).toContain('webhook');
  for (const name of names) expect((await podpass(name, '--help')).stdout).toContain(`Usage: podpass ${name}`);
});

test('the AWS SDK is loaded only with a bucket to publish to', () => {
  const parts = readdirSync(join(root, 'dist', 'parts')).filter((name) => name.endsWith('.js'));
  const sdk = parts.filter((name) => name.startsWith('s3-'));
  expect(sdk).toHaveLength(1);
  expect(statSync(join(root, 'dist', 'parts', sdk[0] ?? '')).size).toBeGreaterThan(200_000);
  const loaded = (file: string, seen = new Set<string>()): Set<string> => {
    if (seen.has(file)) return seen;
    seen.add(file);
    // A dynamic import has a parenthesis.
    for (const [, path = ''] of readFileSync(file, 'utf8').matchAll(/(?:from|import) ?"(\.[^"]+\.js)"/g)) {
      loaded(join(dirname(file), path), seen);
    }
    return seen;
  };
  for (const command of ['discovery-', 'publish-']) {
    const part = parts.find((name) => name.startsWith(command)) ?? '';
    const files = [...loaded(join(root, 'dist', 'parts', part))];
    expect(files.length).toBeGreaterThan(2);
    expect(files.filter((file) => file.includes('/s3-'))).toEqual([]);
  }
});

test("Node's http is never imported, as Node 24 and later would load fetch and HTTP/2 with it", () => {
  const files = ['podpass.js', ...readdirSync(join(root, 'dist', 'parts')).map((name) => `parts/${name}`)];
  const code = files.filter((name) => name.endsWith('.js'));
  const loads = (load: RegExp) => code.filter((name) => load.test(readFileSync(join(root, 'dist', name), 'utf8')));
  expect(loads(/(?:from|import) ?"(?:node:)?http"/)).toEqual([]);
  expect(loads(/__require\("node:http"\)/)).toHaveLength(1);
});

test("an error's stack has the names of our functions and lines as one reads them", async () => {
  const closed = 'data:text/javascript,process.stdout.write = () => { throw new Error("closed"); };';
  const failed = run(process.execPath, ['--import', closed, join(folder, 'dist/podpass.js'), '--version']);
  await expect(failed).rejects.toThrow(/Error: closed\n(?:.*\n)+.* at main \(file:.*\/podpass\.js:\d+:\d{1,3}\)/);
});

test('the demo walks through, and leaves nothing behind', async () => {
  const { stdout, stderr } = await podpass('demo', '--once');
  expect(stderr).toBe('');
  expect(stdout.match(/^ {3}accepted {2}system:serviceaccount:shop:web/gm)).toHaveLength(2);
  expect(stdout.match(/^ {3}refused /gm)).toHaveLength(2);
  expect(stdout).not.toContain('eyJ');
});

test.each([
  [[], 2, ''],
  [['serve'], 2, 'podpass: command: "serve" is not known; accepted: webhook, discovery'],
  [['webhook'], 2, 'podpass webhook: --tls-cert: is missing'],
  [['verify', 'x', '--issuer', 'ftp://a', '--audience', 'b'], 2, '"ftp://a" is not an https URL'],
  [['mutate', '-f', '/nowhere'], 1, '/nowhere does not exist'],
])('%j ends with %i', async (argv, code, message) => {
  const error = await podpass(...argv).catch((each) => each);
  expect(error.code).toBe(code);
  expect(error.stderr).toContain(message);
  expect(error.stdout).toBe('');
});
