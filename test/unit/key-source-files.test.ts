import { execFileSync } from 'node:child_process';
import { mkdir, mkdtemp, rename, rm, symlink, unlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { createFilesSource } from '../../discovery/key-source/files.ts';
import { KeySourceFailure } from '../../discovery/key-source/key-source.ts';
import { ec, expectedKid, jwk, jwks, pem } from './key-material.ts';

const A = ec();
const B = ec('P-384');
const C = ec('P-521');

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'podpass-keys-'));
});
afterEach(() => rm(folder, { recursive: true }));

const at = (name: string) => join(folder, name);
const put = (name: string, text: string | Buffer) => writeFile(at(name), text);

function source(...paths: string[]) {
  const it = createFilesSource({ paths });
  return {
    /** The kids and the refusals of a reading that must not fail. */
    async kids() {
      return (await it.read(new AbortController().signal)).keys.map(({ kid }) => kid);
    },
    refused: async () => (await it.read(new AbortController().signal)).refused,
    /** The failure of a reading that must fail. */
    async failure(): Promise<{ message: string; kids: string[] }> {
      try {
        await it.read(new AbortController().signal);
      } catch (error) {
        if (!(error instanceof KeySourceFailure)) throw error;
        return { message: error.message, kids: error.partial.keys.map(({ kid }) => kid) };
      }
      throw new Error('the reading did not fail');
    },
  };
}

describe('what is read', () => {
  test('files, in the order given, each once', async () => {
    await put('b.pem', pem(B));
    await put('a.pem', pem(A) + pem(C));
    expect(await source(at('b.pem'), at('a.pem'), at('b.pem')).kids()).toEqual([B, A, C].map(expectedKid));
  });

  test('a JWK Set, whatever its name', async () => {
    await put('keys.json', jwks(jwk(A, { kid: 'mine' })));
    await put('keys.pem', jwks(jwk(B, { kid: 'too' })));
    expect(await source(folder).kids()).toEqual(['mine', 'too']);
  });

  test('a folder: its files by name, no hidden ones, no folders in it', async () => {
    await put('b', pem(B));
    await put('a', pem(A));
    await put('.hidden', pem(C));
    await mkdir(at('sub'));
    await put('sub/c', pem(C));
    expect(await source(folder).kids()).toEqual([A, B].map(expectedKid));
  });

  test('a mounted Secret: links through ..data, swapped in one step', async () => {
    await mkdir(at('..v1'));
    await put('..v1/sa.pub', pem(A));
    await symlink('..v1', at('..data'));
    await symlink('..data/sa.pub', at('sa.pub'));
    const { kids } = source(folder);
    expect(await kids()).toEqual([expectedKid(A)]);
    await mkdir(at('..v2'));
    await put('..v2/sa.pub', pem(B));
    await symlink('..v2', at('..data_tmp'));
    await rename(at('..data_tmp'), at('..data'));
    expect(await kids()).toEqual([expectedKid(B)]);
  });

  test('again each time', async () => {
    await put('a', pem(A));
    const { kids } = source(folder);
    expect(await kids()).toEqual([expectedKid(A)]);
    await put('b', pem(B));
    expect(await kids()).toEqual([A, B].map(expectedKid));
    await unlink(at('a'));
    expect(await kids()).toEqual([expectedKid(B)]);
  });

  test('private keys only where that is allowed', async () => {
    await put('a', A.privateKey.export({ type: 'pkcs8', format: 'pem' }));
    await put('b', pem(B));
    expect(await source(folder).refused()).toMatchObject([{ source: at('a'), position: 1, reason: 'private' }]);
    const { keys } = await createFilesSource({ paths: [folder], allowPrivateKeys: true }).read(AbortSignal.any([]));
    expect(keys.map(({ kid }) => kid)).toEqual([A, B].map(expectedKid));
  });

  test('1 MiB is read', async () => {
    await put('a', pem(A).padEnd(1024 * 1024, '\n'));
    expect(await source(at('a')).kids()).toEqual([expectedKid(A)]);
  });
});

describe('a file that never had a key is refused by name, and the others stay', () => {
  test.each([
    ['empty', '', 'has no key in it'],
    ['some text', '# our keys\n', 'has no key in it'],
    ['no text', Buffer.of(0xff, 0xfe, 0, 0x80), 'has no key in it'],
    ['JSON of another kind', '{"d":"secret"}', 'is not a JWK Set of at most 1000 keys'],
    ['half a JWK Set', '{"keys":[{"kty"', 'is not a JWK Set of at most 1000 keys'],
  ])('%s', async (_, text, message) => {
    await put('a', text);
    await put('b', pem(B));
    const { kids, refused } = source(folder);
    expect(await kids()).toEqual([expectedKid(B)]);
    expect(await refused()).toEqual([{ source: at('a'), position: 0, reason: 'malformed', message }]);
  });
});

describe('failures', () => {
  test('a missing file, the others being read', async () => {
    await put('a', pem(A));
    expect(await source(at('none'), at('a')).failure()).toEqual({
      message: `${at('none')}: does not exist`,
      kids: [expectedKid(A)],
    });
  });

  test('a missing folder', async () => {
    expect((await source(at('none/')).failure()).message).toBe(`${at('none/')}: does not exist`);
  });

  test('an empty folder, and one with hidden files alone', async () => {
    expect((await source(folder).failure()).message).toBe(`${folder}: has no files`);
    await put('.a', pem(A));
    expect((await source(folder).failure()).message).toBe(`${folder}: has no files`);
  });

  test('no usable key', async () => {
    await put('a', 'x');
    await put('b', pem(ec('secp256k1')));
    expect(await source(folder).failure()).toEqual({ message: `no usable key in ${folder}`, kids: [] });
  });

  test('over 1 MiB', async () => {
    await put('a', pem(A).padEnd(1024 * 1024 + 1, '\n'));
    await put('b', pem(B));
    expect(await source(folder).failure()).toEqual({ message: `${at('a')}: is over 1 MiB`, kids: [expectedKid(B)] });
  });

  test('a link that leads nowhere', async () => {
    await symlink('nowhere', at('a'));
    await put('b', pem(B));
    expect((await source(folder).failure()).message).toBe(`${at('a')}: does not exist`);
  });

  test('a pipe does not keep it waiting', async () => {
    execFileSync('mkfifo', [at('a')]);
    expect((await source(at('a')).failure()).message).toBe(`${at('a')}: is neither a file nor a folder`);
  });

  test.each([
    ['emptied', ''],
    ['half written', pem(A).slice(0, 80)],
    ['a half-written JWK Set', '{"keys":['],
    ['only keys that are refused', pem(ec('secp256k1'))],
  ])('a file that had a key and has none now: %s', async (_, text) => {
    await put('a', pem(A));
    await put('b', pem(B));
    const { kids, failure } = source(folder);
    await kids();
    await put('a', text);
    for (let poll = 0; poll < 2; poll++) {
      expect(await failure()).toEqual({ message: `${at('a')}: has no usable key any more`, kids: [expectedKid(B)] });
    }
    await put('a', pem(C));
    expect(await kids()).toEqual([C, B].map(expectedKid));
  });

  test('a file that is taken away from a folder and comes back without a key is as good as new', async () => {
    await put('a', pem(A));
    await put('b', pem(B));
    const { kids } = source(folder);
    await kids();
    await unlink(at('a'));
    await kids();
    await put('a', '');
    expect(await kids()).toEqual([expectedKid(B)]);
  });

  test('every one is named, and none of the content', async () => {
    await put('big', `hunter2${'x'.repeat(1024 * 1024)}`);
    const { message } = await source(at('none'), at('big')).failure();
    expect(message).toBe(`${at('none')}: does not exist; ${at('big')}: is over 1 MiB`);
  });

  test('a stopped reading ends', async () => {
    await put('a', pem(A));
    await expect(createFilesSource({ paths: [folder] }).read(AbortSignal.abort())).rejects.toThrow('aborted');
  });
});
