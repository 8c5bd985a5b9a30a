import { readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { expect, test } from 'vitest';
import packageJson from '../../package.json' with { type: 'json' };
import { describe } from '../../src/fault.ts';
import { file, folder, inOrder, piecesOf } from '../../tools/image/entry.ts';
import { labelsOf, runConfig } from '../../tools/image/oci.ts';
import { parseOptions } from '../../tools/image/options.ts';
import { NODE_VERSION, ownArchitecture } from '../../tools/image/platform.ts';
import { imageName } from '../../tools/image/reference.ts';
import { readTar, writeTar } from '../../tools/image/tar.ts';

const read = (path: string) => readFileSync(new URL(`../../${path}`, import.meta.url), 'utf8');
const parse = (argv: string[], env = {}) => parseOptions(argv, env, '1.2.3', 'amd64');

function problems(parsed: ReturnType<typeof parseOptions>): string[] {
  if ('seconds' in parsed) throw new Error('has no problem');
  return parsed.map(describe);
}

test('without a flag it is this version for this machine', () => {
  expect(parse([])).toEqual({
    help: false,
    output: 'build/podpass-1.2.3-linux-amd64.tar',
    name: { full: 'docker.io/library/podpass:1.2.3', tag: '1.2.3' },
    architecture: 'amd64',
    rootfs: undefined,
    seconds: 0,
  });
  expect(
    parse(['--platform', 'linux/amd64', '--output=x.tar', '--name', 'localhost/a:1'], { SOURCE_DATE_EPOCH: '7' }),
  ).toEqual({
    help: false,
    output: 'x.tar',
    name: { full: 'localhost/a:1', tag: '1' },
    architecture: 'amd64',
    rootfs: undefined,
    seconds: 7,
  });
});

test('wrong use is answered all at once', () => {
  const argv = ['--nmae', 'x', '--name', 'podpass', '--platform', 'linux/s390x', '--output', '--rootfs', tmpdir()];
  expect(problems(parse(argv, { SOURCE_DATE_EPOCH: 'now' }))).toEqual([
    expect.stringContaining('flag: "--nmae" is not known; accepted: --output, --name, --platform, --rootfs, --help'),
    expect.stringContaining('--output: has no value'),
    expect.stringContaining('--name: "podpass" has neither a tag nor a digest'),
    expect.stringContaining('--platform: "linux/s390x" is not known; accepted: linux/amd64, linux/arm64'),
    expect.stringMatching(/--rootfs: ".*" is not empty; accepted: a new or empty folder/),
    expect.stringMatching(/--name: "podpass" is for an archive/),
    expect.stringContaining('environment: SOURCE_DATE_EPOCH: "now" is no such time'),
  ]);
  expect(problems(parse(['here', '--output', 'a', '--output', 'b']))).toHaveLength(2);
  expect(parse(['--help', '--nmae'])).toMatchObject({ help: true });
});

test('another platform than the own one is refused', () => {
  expect(problems(parse(['--platform', 'linux/arm64']))).toEqual([
    expect.stringContaining('"linux/arm64" cannot be made here'),
  ]);
  expect(problems(parseOptions([], {}, '1.2.3', undefined))).toHaveLength(1);
  expect(ownArchitecture('linux', 'x64')).toBe('amd64');
  expect(ownArchitecture('linux', 'arm64')).toBe('arm64');
  expect(ownArchitecture('linux', 's390x')).toBeUndefined();
  expect(ownArchitecture('darwin', 'arm64')).toBeUndefined();
});

test.each([
  ['podpass:0.1.0', 'docker.io/library/podpass:0.1.0'],
  ['team/podpass:1', 'docker.io/team/podpass:1'],
  ['docker.io/podpass:1', 'docker.io/library/podpass:1'],
  ['index.docker.io/podpass:1', 'docker.io/library/podpass:1'],
  ['localhost/podpass:1', 'localhost/podpass:1'],
  ['registry.example.com:5000/a/b_c:v1-x', 'registry.example.com:5000/a/b_c:v1-x'],
])('%s is the image %s', (short, full) => {
  expect(imageName(short)).toEqual({ full, tag: full.slice(full.lastIndexOf(':') + 1) });
});

test.each([
  'podpass',
  'podpass:latest',
  'Podpass:1',
  'a//b:1',
  'registry.example.com/:1',
  `podpass:1@sha256:${'0'.repeat(64)}`,
])('%s is refused as a name', (name) => expect(imageName(name)).toEqual(expect.any(String)));

test('an archive is read as it was written, with paths of more than 100 bytes', () => {
  const long = `${'folder/'.repeat(20)}${'f'.repeat(90)}`;
  const written = Buffer.concat(writeTar(inOrder([file('b', 'two'), file('a/x', ''), file(long, 'long')]), 0));
  expect(written.length % 512).toBe(0);
  const files = [...readTar(written)].map(([path, content]) => [path, Buffer.from(content).toString()]);
  expect(files).toEqual([
    ['a/x', ''],
    ['b', 'two'],
    [long, 'long'],
  ]);
  expect(() => writeTar([file('f'.repeat(101), '')], 0)).toThrow(RangeError);
});

test('entries have the folders above them, and an order of their own', () => {
  const entries = inOrder([file('b/c/d', 'x'), folder('b', 0o700), folder('a')]);
  expect(entries.map(({ path, mode }) => [path, mode])).toEqual([
    ['a', 0o755],
    ['b', 0o700],
    ['b/c', 0o755],
    ['b/c/d', 0o644],
  ]);
  expect(entries.map((entry) => piecesOf(entry).length)).toEqual([0, 0, 0, 1]);
});

test('.ci/run, the Dockerfile and the image have one version of Node', () => {
  expect(/^NEWEST_LTS=(.*)$/m.exec(read('.ci/run'))?.[1]).toBe(NODE_VERSION);
  expect(/^FROM node:(\d+\.\d+\.\d+)-\w+ AS build$/m.exec(read('Dockerfile'))?.[1]).toBe(NODE_VERSION);
});

test('the Dockerfile makes the same image: nothing but the root file system, and started in the same way', () => {
  const stages = read('Dockerfile')
    .split(/^(?=FROM )/m)
    .slice(1);
  const [build = '', last = ''] = stages;
  expect(stages.length).toBe(2);
  expect(build).toMatch(/^RUN npm run image -- --rootfs \/rootfs$/m);
  const lines = last
    .trim()
    .split('\n')
    .map((line) => /^([A-Z]+) (.*)$/.exec(line)?.slice(1) ?? [line]);
  const of = (name: string) => lines.filter(([each]) => each === name).map(([, value = '']) => value);
  expect(of('FROM')).toEqual(['scratch']);
  expect(of('COPY')).toEqual(['--from=build /rootfs/ /']);
  expect(of('USER')).toEqual([runConfig.User]);
  expect(of('WORKDIR')).toEqual([runConfig.WorkingDir]);
  expect(of('ENV')).toEqual([...runConfig.Env]);
  expect(of('EXPOSE').flatMap((ports) => ports.split(' ').map((port) => `${port}/tcp`))).toEqual(
    Object.keys(runConfig.ExposedPorts),
  );
  expect(of('ENTRYPOINT').map((text) => JSON.parse(text))).toEqual([runConfig.Entrypoint]);
  const labels = of('LABEL').map((text) => /^([\w.]+)=(".*")$/.exec(text)?.slice(1) ?? []);
  expect(Object.fromEntries(labels.map(([key = '', value = '']) => [key, JSON.parse(value)]))).toEqual(
    labelsOf(packageJson),
  );
  const known = ['FROM', 'COPY', 'USER', 'WORKDIR', 'ENV', 'EXPOSE', 'ENTRYPOINT', 'LABEL'];
  expect(lines.filter(([name = '']) => !known.includes(name))).toEqual([]);
});
