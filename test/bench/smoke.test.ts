import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { admission } from './admission/admission.ts';
import { cases } from './admission/cases.ts';
import { type Bench, openBench } from './bench.ts';
import { discovery } from './discovery.ts';
import { inProcess } from './in-process.ts';
import { readOptions } from './options.ts';
import { scenes } from './profile/scenes.ts';
import { selfTime } from './profile/self-time.ts';
import { markdown } from './report/markdown.ts';
import { tables } from './report/table.ts';
import { nameOf, type Result } from './result.ts';
import { start } from './start.ts';

// Every part once, for a moment: that it runs and what it tells, never how long anything took.
const FLAGS = ['--starts', '1', '--rounds', '1', '--round-ms', '30', '--warm-up', '1', '--requests', '20'];
const said: string[] = [];
let bench: Bench;

// Many processes are started.
vi.setConfig({ testTimeout: 120_000, hookTimeout: 60_000 });

beforeAll(async () => {
  bench = await openBench(readOptions(FLAGS, {}), { say: (line) => said.push(line) });
});

afterAll(() => bench.stop());

function check(results: readonly Result[], expected: readonly string[]): void {
  const ratios = results.flatMap((each) => each.ratios);
  const kept = ratios.filter((each) => each.kept).map(nameOf);
  expect(kept).toEqual(expected);
  for (const each of ratios)
    expect([nameOf(each), each.median > 0 && each.median < Infinity]).toEqual([nameOf(each), true]);
  const result = {
    ratios,
    figures: results.flatMap(({ figures }) => figures),
    notes: results.flatMap(({ notes }) => notes),
  };
  for (const text of [tables(result, undefined), markdown(result, 'Node')]) {
    for (const { case: of } of ratios.filter((each) => each.kept)) expect(text).toContain(of);
  }
}

describe('npm run bench', () => {
  test('in the process', async () => {
    const names = ['one token', 'several tokens', 'nothing', 'big, one token'];
    check(
      await inProcess(bench),
      names.map((of) => `in-process / ${of} / JSON.parse, JSON.stringify / CPU time`),
    );
  });

  test('admission', async () => {
    const floors = ['TLS echo', 'TLS, parse and patch', 'Express, parse and patch'];
    check(
      await admission(bench),
      cases.flatMap(({ name }) => floors.map((floor) => `admission / ${name} / ${floor} / CPU time`)),
    );
  });

  test('discovery', async () => {
    const results = await discovery(bench);
    check(results, ['discovery / JWK Set / TLS echo / CPU time', 'discovery / metadata / TLS echo / CPU time']);
    expect(results.flatMap(({ notes }) => notes)).toContain(
      'discovery: the API server is left out; --cluster has it asked too',
    );
  });

  test('start and memory', async () => {
    const results = await start(bench);
    // Of a process that is not ours processor time is known on Linux only.
    const known = process.platform === 'linux' ? ['webhook', 'discovery'] : [];
    check(
      results,
      known.flatMap((service) =>
        ['node -e 0', 'bare https server'].map(
          (floor) => `start / ${service}, process start to ready / ${floor} / CPU time`,
        ),
      ),
    );
    const memory = results.flatMap(({ figures }) => figures).filter((each) => each.case === 'memory');
    expect(memory.map(({ candidate }) => candidate)).toEqual(['podpass', 'TLS, parse and patch']);
    for (const { values } of memory) expect(values.requests).toBeGreaterThanOrEqual(20);
  });
});

describe('npm run profile', () => {
  test.each([
    ['admission', 'webhook/'],
    ['discovery', 'discovery/'],
    ['accounts', 'webhook/service-accounts/'],
  ] as const)('%s names our sources', async (name, folder) => {
    const { busyMs, functions, files } = selfTime(await scenes[name](bench, { ms: 200, accounts: 2_000 }));
    expect(busyMs).toBeGreaterThan(0);
    expect(files.some((each) => each.name.startsWith(folder) && each.name.endsWith('.ts'))).toBe(true);
    expect(functions.some((each) => /^[a-zA-Z]{3,} {2}\w+\/\S+\.ts:\d+$/.test(each.name))).toBe(true);
    expect(files.reduce((sum, { share }) => sum + share, 0)).toBeCloseTo(1);
  });
});
