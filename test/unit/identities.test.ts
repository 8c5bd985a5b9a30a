import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { followIdentities, readIdentities } from '../../src/cli/identities.ts';
import { Failure } from '../../src/fault.ts';
import { parseIdentities } from '../../webhook/presets/identities.ts';

const WEB = '{"identities":[{"namespace":"shop","serviceAccount":"web"}]}';

describe('the text', () => {
  test('names ServiceAccounts, by namespace and name', () => {
    const { size, has } = parseIdentities(WEB);
    expect([size, has('shop', 'web'), has('shop', 'we'), has('web', 'shop'), has('*', 'web')]).toEqual([
      1,
      true,
      false,
      false,
      false,
    ]);
  });

  test.each(['', '{}', '{"identities":null}', '{"identities":[]}', '{"more":1}'])('%j names nobody', (text) => {
    expect(parseIdentities(text).size).toBe(0);
  });

  test.each([
    ['{', 'JSON'],
    ['[]', 'no object'],
    ['null', 'no object'],
    ['{"identities":{}}', 'no list'],
    ['{"identities":[null]}', 'identities[0]'],
    ['{"identities":[{"namespace":"a","serviceAccount":"b"},{"namespace":"a"}]}', 'identities[1]'],
  ])('%j is wrong, and is not quoted', (text, what) => {
    expect(() => parseIdentities(text)).toThrow(what);
  });
});

describe('the file', () => {
  let folder: string;
  let path: string;
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'podpass-identities-'));
    path = join(folder, 'config.json');
  });
  afterEach(() => rm(folder, { recursive: true }));

  const logged: string[] = [];
  const log = {
    debug() {},
    info: (fields: object, message: string) => void logged.push(`info ${message} ${JSON.stringify(fields)}`),
    warn: (fields: object, message: string) => void logged.push(`warn ${message} ${JSON.stringify(fields)}`),
    error: (fields: object, message: string) => void logged.push(`error ${message} ${JSON.stringify(fields)}`),
  };
  const until = (text: string) => vi.waitFor(() => expect(logged.join('\n')).toContain(text), 5_000);

  test('is followed: a broken one leaves what was known, an empty or absent one names nobody', async () => {
    logged.length = 0;
    const identities = await followIdentities(path, log);
    try {
      expect([identities.has('shop', 'web'), logged.length]).toEqual([false, 1]);
      expect(logged[0]).toMatch(/^warn/);
      await writeFile(path, WEB);
      await vi.waitFor(() => expect(identities.has('shop', 'web')).toBe(true), 5_000);
      await writeFile(path, '{"identities":"secret"}');
      await until('is no list');
      expect(identities.has('shop', 'web')).toBe(true);
      expect(logged.join('\n')).not.toContain('secret');
      await writeFile(path, '');
      await vi.waitFor(() => expect(identities.has('shop', 'web')).toBe(false), 5_000);
    } finally {
      identities.stop();
    }
  });

  test('of none is none', async () => {
    const identities = await followIdentities(undefined, log);
    expect(identities.has('shop', 'web')).toBe(false);
    identities.stop();
    expect((await readIdentities(undefined))('shop', 'web')).toBe(false);
  });

  test('for a command that ends has to be right', async () => {
    await expect(readIdentities(path)).rejects.toThrow(Failure);
    await writeFile(path, '{');
    await expect(readIdentities(path)).rejects.toThrow(`${path} cannot be used: it is not JSON`);
    await writeFile(path, WEB);
    expect((await readIdentities(path))('shop', 'web')).toBe(true);
    await expect(readIdentities(folder)).rejects.toThrow(Failure);
  });
});
