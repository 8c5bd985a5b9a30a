import { mkdtemp, readdir, readFile, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { createDocuments } from '../../discovery/document.ts';
import type { PublicKey } from '../../discovery/public-key.ts';
import { filesOf } from '../../discovery/publish/files.ts';
import { gcpJwks } from '../../discovery/publish/gcp-jwks.ts';
import { KeptKeys } from '../../discovery/publish/kept-keys.ts';
import { MARK_FILE, markOf } from '../../discovery/publish/owner.ts';
import { plan } from '../../discovery/publish/plan.ts';
import { publicFindings } from '../../discovery/publish/public-view.ts';
import { type PublishRequest, publishTo } from '../../discovery/publish/publish-to.ts';
import { refuseToShrink } from '../../discovery/publish/shrink.ts';
import { createFolderTarget } from '../../discovery/publish/target/folder.ts';
import type { Target } from '../../discovery/publish/target.ts';
import { ec, published, rsa } from './key-material.ts';
import { MemoryTarget } from './memory-target.ts';

const issuer = 'https://issuer.example.com/a';
const a = published(rsa(), 'a');
const b = published(ec(), 'b');
const c = published(ec('P-384'), 'c');
const never = new AbortController().signal;
const PATHS = ['openid/v1/jwks', '.well-known/jwks.json', 'keys.json', '.well-known/openid-configuration'];

function request(keys: readonly PublicKey[], more: Partial<PublishRequest> = {}): PublishRequest {
  const decide = () => createDocuments(more.issuer ?? issuer, keys);
  return { issuer, owner: 'cluster-1', cacheControl: 'max-age=300', decide, ...more };
}

describe('the plan', () => {
  const files = filesOf(createDocuments(issuer, [a]), 'max-age=300');

  test('writes the JWK Set, then its aliases, reads them back, then writes the metadata', () => {
    expect(files.map(({ path }) => path)).toEqual(PATHS);
    expect(plan(files, new Map()).map(({ kind, file }) => `${kind} ${file.path}`)).toEqual([
      ...PATHS.slice(0, 3).map((path) => `write ${path}`),
      ...PATHS.slice(0, 3).map((path) => `read-back ${path}`),
      `write ${PATHS[3]}`,
    ]);
  });

  test('has nothing to do where bytes and headers are the same, and one write for each that is not', () => {
    const stored = new Map(
      files.map(({ path, bytes, contentType, cacheControl }) => [
        path,
        { bytes, version: `v ${path}`, headers: { contentType, cacheControl } },
      ]),
    );
    expect(plan(files, stored)).toEqual([]);
    const [jwks] = files;
    for (const headers of [{ contentType: 'text/plain' }, { cacheControl: undefined }]) {
      const others = new Map(stored);
      const before = stored.get(PATHS[0] ?? '');
      if (before === undefined) throw new Error('not there');
      others.set(PATHS[0] ?? '', { ...before, headers: { ...before.headers, ...headers } as typeof before.headers });
      expect(plan(files, others)).toEqual([
        { kind: 'write', file: jwks, before: `v ${PATHS[0]}` },
        { kind: 'read-back', file: jwks },
      ]);
    }
    const bare = new Map(files.map(({ path, bytes }) => [path, { bytes, version: 'v' }]));
    expect(plan(files, bare)).toEqual([]);
  });
});

describe('publishing', () => {
  test('marks the place first, and writes nothing twice', async () => {
    const target = new MemoryTarget();
    expect(await publishTo(target, request([a]), never)).toEqual([MARK_FILE, ...PATHS]);
    expect(target.text(MARK_FILE)).toBe(`{"issuer":"${issuer}","owner":"cluster-1"}\n`);
    expect(await publishTo(target, request([a]), never)).toEqual([]);
    expect(target.writes).toHaveLength(5);
    expect(await publishTo(target, request([a], { cacheControl: 'max-age=60' }), never)).toEqual(PATHS);
  });

  test('cut off before any step, leaves a pair in which each key of the one before is, and goes on later', async () => {
    const whole = new MemoryTarget();
    await publishTo(whole, request([a]), never);
    whole.calls.length = 0;
    await publishTo(whole, request([a, b]), never);
    const steps = whole.calls.length;
    expect(steps).toBe(5 + 4 + 3);
    for (let cut = 0; cut < steps; cut += 1) {
      const target = new MemoryTarget();
      await publishTo(target, request([a]), never);
      let left = cut;
      target.before = () => {
        if (left === 0) throw new Error('killed');
        left -= 1;
      };
      await expect(publishTo(target, request([a, b]), never)).rejects.toThrow('killed');
      const metadata = JSON.parse(target.text(PATHS[3] ?? '') ?? '');
      expect(target.kids()).toContain('a');
      // An algorithm that is told has its key there already.
      if (metadata.id_token_signing_alg_values_supported.includes('ES256')) expect(target.kids()).toContain('b');
      target.before = () => {};
      await publishTo(target, request([a, b]), never);
      for (const path of PATHS) expect(target.text(path)).toBe(whole.text(path));
    }
  });

  test('does not touch a place of another issuer or owner, nor one with documents of somebody else', async () => {
    const target = new MemoryTarget();
    await publishTo(target, request([a]), never);
    const before = new Map(target.files);
    const other = 'https://other.example.com';
    await expect(publishTo(target, request([b], { issuer: other }), never)).rejects.toThrow(
      `s3://test: belongs to the issuer "${issuer}", not to "${other}"`,
    );
    await expect(publishTo(target, request([b], { owner: 'cluster-2' }), never)).rejects.toThrow(
      `belongs to the owner "cluster-1", and this is "cluster-2"; to hand it over, delete ${MARK_FILE} there`,
    );
    expect(target.files).toEqual(before);

    target.files.delete(MARK_FILE);
    await expect(publishTo(target, request([b], { issuer: other }), never)).rejects.toThrow(
      `has documents of the issuer "${issuer}"`,
    );
    expect(await publishTo(target, request([a], { owner: 'cluster-2' }), never)).toEqual([MARK_FILE]);
    target.files.delete(MARK_FILE);
    target.files.delete('.well-known/openid-configuration');
    await expect(publishTo(target, request([a]), never)).rejects.toThrow('openid/v1/jwks, .well-known/jwks.json');
    const mark = { ...markOf({ issuer, owner: 'x' }), bytes: Buffer.from('{}') };
    target.put(mark);
    await expect(publishTo(target, request([a]), never)).rejects.toThrow('is not a mark of podpass');
  });

  test('two clusters at one empty place: one gets it', async () => {
    const target = new MemoryTarget();
    target.before = (call) => {
      if (call !== `write ${MARK_FILE}` || target.files.has(MARK_FILE)) return;
      target.put(markOf({ issuer, owner: 'cluster-2' }));
    };
    await expect(publishTo(target, request([a]), never)).rejects.toThrow('belongs to the owner "cluster-2"');
    expect([...target.files.keys()]).toEqual([MARK_FILE]);
  });

  test('what another writer changed meanwhile is read again before it is replaced', async () => {
    const target = new MemoryTarget();
    await publishTo(target, request([a]), never);
    let interfere = true;
    target.before = (call) => {
      if (call !== 'write openid/v1/jwks' || !interfere) return;
      interfere = false;
      for (const file of filesOf(createDocuments(issuer, [a, b]), 'max-age=300')) target.put(file);
    };
    const seen: string[][] = [];
    const decide: PublishRequest['decide'] = (now) => {
      const keys = now === 'unreadable' ? [] : now;
      seen.push(keys.map(({ kid }) => kid));
      return createDocuments(issuer, [...keys, c]);
    };
    await publishTo(target, request([], { decide }), never);
    expect(seen).toEqual([['a'], ['a', 'b']]);
    expect(target.kids()).toEqual(['a', 'b', 'c']);
    // A target that never gives back what was written is no success.
    target.before = (call) => {
      if (call === 'read openid/v1/jwks') target.put(filesOf(createDocuments(issuer, [b]), 'x')[0] as never);
    };
    await expect(publishTo(target, request([a]), never)).rejects.toThrow(
      's3://test: openid/v1/jwks was changed by another writer, 5 times',
    );
  });
});

describe('a published key', () => {
  test('is not dropped, nor replaced, without being told to', () => {
    const refuse = (keys: readonly PublicKey[], next: readonly PublicKey[], revoked: string[] = []) =>
      refuseToShrink(keys, next, ({ kid }) => revoked.includes(kid), 'out');
    expect(() => refuse([a, b], [a])).toThrow('out: a published key would be dropped: "b"; --allow-shrink');
    expect(() => refuse([a, b], [c])).toThrow('2 published keys would be dropped: "a", "b"');
    expect(() => refuse([b], [published(ec(), 'b')])).toThrow('dropped: "b"');
    expect(() => refuse([a, b], [a], ['b'])).not.toThrow();
    expect(() => refuse([a, b], [c, b, a])).not.toThrow();
    expect(() => refuseToShrink('unreadable', [a], () => false, 'out')).toThrow('is not a JWK Set');
  });

  test('that we do not have stays for the hold-down; one of ours that is gone has been held', () => {
    let now = 0;
    const kept = new KeptKeys({ holdDownMs: 1000, revoked: new Set(['c']), clock: () => now });
    expect(kept.keep([a], [a, b, c])).toEqual({ keys: [b], news: ['b'], nextExpiry: 1000 });
    now = 999;
    expect(kept.keep([a], [a, b])).toEqual({ keys: [b], news: [], nextExpiry: 1000 });
    now = 1000;
    expect(kept.keep([a], [a, b])).toEqual({ keys: [], news: [], nextExpiry: undefined });
    // As long as it could not be written, it is over.
    expect(kept.keep([a], [a, b]).keys).toEqual([]);
    kept.published([a], []);
    // Somebody else has written it again.
    expect(kept.keep([a], [a, b])).toEqual({ keys: [b], news: ['b'], nextExpiry: 2000 });
    kept.published([a], [b]);
    expect(kept.keep([b], [a, b]).keys).toEqual([]);
  });
});

describe('a key that a process before us has held', () => {
  const HOUR = 3_600_000;
  const options = { holdDownMs: HOUR, revoked: new Set<string>(), clock: () => 10 * HOUR };
  const record = (seen: number, until?: number) => ({
    key: b,
    source: 'cluster',
    firstSeenMs: 0,
    lastSeenMs: seen * HOUR,
    ...(until === undefined ? {} : { heldUntilMs: until * HOUR }),
  });

  test('goes when that hold-down is over, at once where it is', () => {
    expect(new KeptKeys(options).keep([a], [a, b], [record(8, 9)])).toEqual({
      keys: [],
      news: [],
      nextExpiry: undefined,
    });
    const kept = new KeptKeys(options).keep([a], [a, b], [record(9, 10.5)]);
    expect(kept).toEqual({ keys: [b], news: ['b'], nextExpiry: 10.5 * HOUR });
  });

  test('stays where another replica has seen it since, where it was not held, or where it is another key', () => {
    const whole = { keys: [b], news: ['b'], nextExpiry: 11 * HOUR };
    expect(new KeptKeys(options).keep([a], [a, b], [record(9.8, 9)]).nextExpiry).toBe(10.8 * HOUR);
    expect(new KeptKeys(options).keep([a], [a, b], [record(8)])).toEqual(whole);
    expect(new KeptKeys(options).keep([a], [a, b], [{ ...record(8, 9), key: { ...c, kid: 'b' } }])).toEqual(whole);
    // No longer than the hold-down as it is now.
    expect(new KeptKeys(options).keep([a], [a, b], [record(9, 99)])).toEqual(whole);
  });

  test('that appears again after it went is held anew', () => {
    const kept = new KeptKeys(options);
    expect(kept.keep([a], [a, b], [record(8, 9)]).keys).toEqual([]);
    kept.published([a], []);
    expect(kept.keep([a], [a, b], [record(8, 9)]).nextExpiry).toBe(11 * HOUR);
  });
});

describe('a folder', () => {
  const folder = () => mkdtemp(join(tmpdir(), 'podpass-publish-'));

  test('has whole files, no leftovers, and is left alone where nothing changed', async () => {
    const path = join(await folder(), 'made', 'here');
    const target = createFolderTarget(path);
    expect(await publishTo(target, request([a]), never)).toEqual([MARK_FILE, ...PATHS]);
    expect((await readdir(path, { recursive: true })).sort()).toEqual(
      [MARK_FILE, ...PATHS, '.well-known', 'openid', 'openid/v1'].sort(),
    );
    const [jwks] = filesOf(createDocuments(issuer, [a]), '');
    expect(await readFile(join(path, 'openid/v1/jwks'))).toEqual(jwks?.bytes);
    expect(await publishTo(target, request([a]), never)).toEqual([]);
  });

  test('refuses a write to a file that is not what it was', async () => {
    const path = await folder();
    const target = createFolderTarget(path);
    const [file] = filesOf(createDocuments(issuer, [a]), '');
    if (file === undefined) throw new Error('no file');
    await target.write(file, undefined, never);
    await expect(target.write(file, undefined, never)).rejects.toThrow('changed by another writer');
    await expect(target.write(file, 'x', never)).rejects.toThrow('changed by another writer');
    const stored = await target.read(file.path, never);
    await target.write({ ...file, bytes: Buffer.from('{}') }, stored?.version, never);
    expect(await readFile(join(path, file.path), 'utf8')).toBe('{}');
  });

  test('two publishers at once lose no key', async () => {
    const path = await folder();
    const targets: Target[] = [createFolderTarget(path), createFolderTarget(path)];
    const union = (own: PublicKey): PublishRequest['decide'] => {
      return (now) => createDocuments(issuer, [...(now === 'unreadable' ? [] : now), own]);
    };
    await Promise.all(
      targets.map((target, index) => publishTo(target, request([], { decide: union(index ? a : b) }), never)),
    );
    for (const name of PATHS.slice(0, 3)) {
      const { keys } = JSON.parse(await readFile(join(path, name), 'utf8')) as { keys: { kid: string }[] };
      expect(keys.map(({ kid }) => kid)).toEqual(['a', 'b']);
    }
    const metadata = JSON.parse(await readFile(join(path, PATHS[3] ?? ''), 'utf8'));
    expect(metadata.id_token_signing_alg_values_supported).toEqual(['ES256', 'RS256']);
  });

  test('waits for a lock that is held, and takes one whose holder was killed', async () => {
    const path = await folder();
    await writeFile(join(path, '.podpass-lock'), '');
    const target = createFolderTarget(path);
    await expect(publishTo(target, request([a]), AbortSignal.timeout(200))).rejects.toThrow();
    expect(await readdir(path)).toEqual(['.podpass-lock']);
    const old = new Date(Date.now() - 11_000);
    await utimes(join(path, '.podpass-lock'), old, old);
    expect(await publishTo(target, request([a]), never)).toHaveLength(5);
    expect(await readdir(path)).not.toContain('.podpass-lock');
  });

  test('that cannot be written says why', async () => {
    const path = join(await folder(), 'file');
    await writeFile(path, '');
    await expect(publishTo(createFolderTarget(path), request([a]), never)).rejects.toThrow(
      `${path}: .podpass-owner.json cannot be read (ENOTDIR)`,
    );
  });
});

test("Google Cloud's upload has no member that it refuses, and no key that it cannot use", () => {
  const { text, unusable } = gcpJwks([a, b, c]);
  expect(unusable).toEqual([c]);
  const { keys } = JSON.parse(text) as { keys: Record<string, string>[] };
  expect(keys.map(({ kid }) => kid)).toEqual(['a', 'b']);
  const accepted = ['kty', 'alg', 'use', 'kid', 'n', 'e', 'x', 'y', 'crv'];
  for (const key of keys) expect(Object.keys(key).filter((member) => !accepted.includes(member))).toEqual([]);
});

test('what the public sees is compared with what was published', async () => {
  const documents = createDocuments(issuer, [a]);
  const all: Record<string, Buffer> = {
    [`${issuer}/.well-known/openid-configuration`]: documents.metadata.bytes,
    [`${issuer}/openid/v1/jwks`]: documents.jwks.bytes,
  };
  const get = async (url: string) => {
    const found = all[url];
    if (found === undefined) throw new Error(`GET ${url}: the answer is 403, not 200`);
    return found;
  };
  expect(await publicFindings(issuer, documents, get)).toEqual([]);
  all[`${issuer}/.well-known/openid-configuration`] = Buffer.from('{}');
  delete all[`${issuer}/openid/v1/jwks`];
  expect(await publicFindings(issuer, documents, get)).toEqual([
    expect.stringContaining('openid-configuration" is not what was published'),
    `GET ${issuer}/openid/v1/jwks: the answer is 403, not 200`,
  ]);
});
