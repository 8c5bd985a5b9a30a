import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { faults } from '../chaos/faults.ts';
import { isBad, type Result } from '../chaos/run-fault.ts';
import { shuffled } from '../chaos/shuffled.ts';
import { remarks, table } from '../chaos/table.ts';
import { Tally } from '../chaos/tally.ts';
import { blame, WITHOUT_TOKENS } from '../cluster/blame.ts';
import { runProgram } from '../cluster/podpass.ts';

const metadata = { name: 'x', uid: 'x' };
const answer = (status: number, message: string) => ({ status, body: { metadata, message } });
const pod = (volumes: string[]) => ({
  status: 201,
  body: { metadata, spec: { containers: [], volumes: volumes.map((name) => ({ name })) } },
});

describe('who is to blame for a creation', () => {
  test.each([
    ['a Pod with its tokens', pod(['kube-api-access', 'podpass-tokens']), undefined],
    ['a Pod without', pod(['kube-api-access']), 'podpass'],
    [
      'a webhook that was not reached',
      answer(
        500,
        'Internal error occurred: failed calling webhook "labelled.podpass.dev": failed to call webhook: EOF',
      ),
      'podpass',
    ],
    ['the policy', answer(403, "pods is forbidden: ValidatingAdmissionPolicy 'podpass' denied request"), 'podpass'],
    ['a denial', answer(422, 'admission webhook "all.podpass.dev" denied the request: x'), 'podpass'],
    ['etcd', answer(500, 'etcdserver: request timed out'), 'others'],
    ['no answer', new Error('POST /api/v1/namespaces/podpass/pods: no answer within 30000 ms'), 'others'],
    ['no API server', new Error('connect ECONNREFUSED 127.0.0.1:20001'), 'others'],
  ])('%s', (_, given, on) => {
    expect(blame(given)?.on).toBe(on);
  });

  test('reasons that differ by a port are one', () => {
    const [one, other] = [20_001, 20_002].map((port) => blame(new Error(`connect ECONNREFUSED 127.0.0.1:${port}`)));
    expect(one).toEqual(other);
    expect(one?.reason).toBe('connect ECONNREFUSED …');
  });
});

describe('a tally', () => {
  test('counts by who is to blame, and knows what went well since when', () => {
    const tally = new Tally();
    const creation = (kind: string, began: number, blamed?: ReturnType<typeof blame>) =>
      tally.note({ kind, began, ms: began, blame: blamed });
    creation('labelled', 10);
    creation('annotated', 30);
    creation('annotated', 20);
    creation('labelled', 40, { on: 'podpass', reason: 'failed calling webhook' });
    creation('labelled', 50, { on: 'podpass', reason: WITHOUT_TOKENS });
    creation('by ServiceAccount', 60, { on: 'podpass', reason: WITHOUT_TOKENS });
    creation('labelled', 70, { on: 'others', reason: 'socket hang up' });
    expect(tally.goodSince(10, ['labelled', 'annotated'])).toBe(true);
    expect(tally.goodSince(11, ['labelled', 'annotated'])).toBe(false);
    expect(tally.goodSince(30, ['annotated'])).toBe(true);
    expect(tally.take()).toEqual({
      created: 3,
      failedByPodpass: { 'failed calling webhook': 1 },
      withoutTokens: 1,
      failedByOthers: { 'socket hang up': 1 },
      unprotectedWithout: 1,
      medianMs: 20,
      longestMs: 30,
    });
    expect(tally.take().created).toBe(0);
  });
});

describe('the report', () => {
  const result: Result = {
    name: 'kill',
    seconds: 12.5,
    created: 100,
    failedByPodpass: { bad: 2 },
    withoutTokens: 1,
    failedByOthers: { 'socket hang up': 3 },
    unprotectedWithout: 4,
    medianMs: 5,
    longestMs: 60,
    recoverySeconds: 0.7,
    notes: ['a note'],
    broken: undefined,
    ours: { bad: 2, [WITHOUT_TOKENS]: 1 },
  };

  test('has each figure once, and what was not run with its reason', () => {
    const results = [result, { name: 'state-full', notRun: 'no unshare' }];
    const [, , row, notRun] = table(results).split('\n');
    const cells = row?.split('|').map((cell) => cell.trim());
    expect(cells).toEqual(['', 'kill', '12.5 s', '100', '2', '1', '3', '4', '5 ms', '60 ms', '0.7 s', '']);
    expect(notRun).toContain('not run');
    expect(remarks(results)).toEqual([
      'kill: 2 failed by podpass: bad',
      `kill: 1 failed by podpass: ${WITHOUT_TOKENS}`,
      'kill: 3 failed as the API server was away: socket hang up',
      'kill: a note',
      'state-full: NOT RUN: no unshare',
    ]);
  });

  test('is bad where a creation failed by podpass, or something did not come back', () => {
    expect(isBad(result)).toBe(true);
    expect(isBad({ ...result, ours: {} })).toBe(false);
    expect(isBad({ ...result, ours: {}, broken: 'x' })).toBe(true);
  });
});

describe('the command', () => {
  const main = fileURLToPath(new URL('../chaos/main.ts', import.meta.url));
  const chaos = (...args: string[]) => runProgram(process.execPath, ['--import', 'tsx', main, ...args]);

  test('lists each fault with what it does and what that should cost', async () => {
    const { code, stdout } = await chaos('--list');
    expect(code).toBe(0);
    for (const { name, does, expected } of faults) {
      for (const text of [name, does, expected]) expect(stdout).toContain(text);
    }
    expect(new Set(faults.map(({ name }) => name)).size).toBe(faults.length);
  });

  test('refuses wrong use with all that is wrong', async () => {
    const { code, stderr } = await chaos('--only', 'kill,flood', '--seconds', 'soon', '--seed', '-');
    expect(code).toBe(2);
    expect(stderr).toContain('--only: "flood" is no fault; accepted: nothing, api-server');
    expect(stderr).toContain('--seconds: "soon"');
    expect(stderr).toContain('--seed: "-"');
    expect(stderr).not.toContain('"kill"');
  });

  test('a seed decides the order', () => {
    const names = (seed: number) => shuffled(faults, seed).map(({ name }) => name);
    expect(names(1)).toEqual(names(1));
    expect(names(1)).not.toEqual(names(2));
    expect(names(1).sort()).toEqual(faults.map(({ name }) => name).sort());
  });
});
