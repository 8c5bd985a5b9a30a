import { describe, expect, test } from 'vitest';
import { bodyOf, responseLength, statusOf } from './load/response.ts';
import { readOptions } from './options.ts';
import { selfTime } from './profile/self-time.ts';
import { isLoss } from './report/baseline.ts';
import { tables } from './report/table.ts';
import type { Ratio } from './result.ts';
import { spread } from './statistics.ts';

describe('an answer', () => {
  const withLength = 'HTTP/1.1 200 OK\r\ncontent-length: 5\r\nX: y\r\n\r\nhello';
  const inChunks = 'HTTP/1.1 422 No\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\na\r\n, whatever\r\n0\r\n\r\n';

  test.each([
    [withLength, 200, 'hello'],
    [inChunks, 422, 'hello, whatever'],
  ])('is whole at its last byte and no earlier', (text, status, body) => {
    const bytes = Buffer.from(text);
    for (let length = 0; length < bytes.length; length++) {
      expect([length, responseLength(bytes.subarray(0, length))]).toEqual([length, undefined]);
    }
    expect(responseLength(bytes)).toBe(bytes.length);
    expect(statusOf(bytes)).toBe(status);
    expect(bodyOf(bytes).toString()).toBe(body);
  });

  test('without an end that can be told is refused', () => {
    expect(() => responseLength(Buffer.from('HTTP/1.1 200 OK\r\n\r\n'))).toThrow('neither Content-Length nor chunks');
    expect(() => responseLength(Buffer.from(inChunks.replace('\n5\r', '\nzz\r')))).toThrow('without a size');
  });
});

test('quartiles lie between numbers', () => {
  expect(spread([4, 1, 3, 2])).toEqual({ median: 2.5, low: 1.75, high: 3.25 });
  expect(spread([7])).toEqual({ median: 7, low: 7, high: 7 });
});

describe('a loss', () => {
  const before = { median: 1, low: 0.98, high: 1.02 };

  test.each([
    ['far below', { median: 0.8, low: 0.78, high: 0.82 }, true],
    ['within the noise of this run', { median: 0.8, low: 0.6, high: 1 }, false],
    ['too small', { median: 0.96, low: 0.955, high: 0.965 }, false],
    ['a gain', { median: 1.5, low: 1.4, high: 1.6 }, false],
  ])('%s', (_, now, expected) => {
    expect(isLoss(now, before)).toBe(expected);
  });

  test('is told in the table', () => {
    const ratio: Ratio = {
      part: 'admission',
      case: 'one token',
      against: 'TLS echo',
      measure: 'CPU time',
      kept: true,
      goal: 1,
      ...{ median: 0.8, low: 0.78, high: 0.82 },
    };
    const baseline = { made: 'before', ratios: { 'admission / one token / TLS echo / CPU time': before } };
    const text = tables({ ratios: [ratio], figures: [], notes: [] }, baseline);
    expect(text).toContain('LOSS: admission / one token / TLS echo / CPU time');
    expect(text).toContain('1.00 LOSS');
    expect(text).toContain('1.0 MISSED: CPU time');
    expect(tables({ ratios: [{ ...ratio, kept: false }], figures: [], notes: [] }, baseline)).not.toContain('LOSS');
  });
});

test.each([
  [['--only', 'admision'], '--only: admision is not known; accepted: in-process, admission'],
  [['--rounds', '0'], '--rounds: 0 is no whole number'],
  [['--peer', 'http://localhost'], '--peer: http://localhost is no https URL'],
  [['--peer-pid', 'x'], '--peer-pid: x is no whole number'],
])('%j is refused', (argv, message) => {
  expect(() => readOptions(argv, {})).toThrow(message);
});

test('time is added up by function, without what idles', () => {
  const frame = (functionName: string, url = '') => ({ functionName, url, lineNumber: 6, columnNumber: 0 });
  const profile = {
    nodes: [
      { id: 1, callFrame: frame('(idle)') },
      { id: 2, callFrame: frame('(garbage collector)') },
      { id: 3, callFrame: frame('emit', 'node:events') },
      // The same function, called from elsewhere.
      { id: 4, callFrame: frame('emit', 'node:events') },
    ],
    samples: [1, 2, 3, 4],
    timeDeltas: [5_000, 1_000, 2_000, 1_000],
  };
  expect(selfTime(profile)).toEqual({
    busyMs: 4,
    idleMs: 5,
    collecting: 0.25,
    functions: [
      { name: 'emit  node:events:7', share: 0.75 },
      { name: '(garbage collector)', share: 0.25 },
    ],
    files: [
      { name: 'node:events', share: 0.75 },
      { name: '(garbage collector)', share: 0.25 },
    ],
  });
});
