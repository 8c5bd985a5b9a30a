import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { stringify } from 'yaml';
import { ec, pem, rsa } from '../unit/key-material.ts';
import { publicBucket, publish, startCopying, tokenOf, verifies } from './copies.ts';
import { Minio } from './minio.ts';
import { until } from './podpass.ts';
import { freePort } from './servers.ts';
import { clusterBinaries, describeCluster } from './suite.ts';

describeCluster('copies of several issuers, from one config file', () => {
  const [first, second, next] = [rsa(), ec(), ec()];
  let folder: string;
  let minio: Minio;
  let firstKeys: string;
  let secondKeys: string;

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'podpass-issuers-'));
    firstKeys = join(folder, 'first.pem');
    secondKeys = join(folder, 'second.pem');
    await writeFile(firstKeys, pem(first));
    await writeFile(secondKeys, pem(second));
    minio = await Minio.start({ binary: clusterBinaries().minio });
    await publicBucket(minio.aws, 'issuers');
  });
  afterAll(async () => {
    await minio?.stop();
    await rm(folder, { recursive: true, force: true });
  });

  const issuerOf = (prefix: string) => `${minio.url}/issuers/${prefix}`;
  const placeOf = (prefix: string) => `s3://issuers/${prefix}`;
  const markOf = async (prefix: string) => (await fetch(`${issuerOf(prefix)}/.podpass-owner.json`)).json();

  async function config(name: string, content: object): Promise<string[]> {
    const path = join(folder, `${name}.yaml`);
    await writeFile(path, stringify(content));
    return ['--config', path];
  }

  it('are written by podpass publish, each to its prefix, with its keys and its mark', async () => {
    const argv = await config('once', {
      issuers: [
        { issuer: issuerOf('once/a'), keys: [firstKeys], to: [placeOf('once/a')] },
        { issuer: issuerOf('once/b'), keys: [secondKeys], to: [placeOf('once/b')] },
      ],
    });
    const { code, stdout, stderr } = await publish([...argv, '--verify-public'], minio.aws).done;
    expect([code, stdout]).toEqual([0, '']);
    expect(stderr.split('\n').map((line) => line.split(': ')[0])).toEqual([placeOf('once/a'), placeOf('once/b'), '']);
    for (const [prefix, pair, alg, other, otherAlg] of [
      ['once/a', first, 'RS256', second, 'ES256'],
      ['once/b', second, 'ES256', first, 'RS256'],
    ] as const) {
      const issuer = issuerOf(prefix);
      expect(await markOf(prefix)).toEqual({ issuer, owner: issuer });
      expect(await verifies(await tokenOf(pair, alg, issuer), issuer)).toBe('x');
      await expect(verifies(await tokenOf(other, otherAlg, issuer), issuer)).rejects.toThrow();
    }
    expect((await publish(argv, minio.aws).done).stderr).toBe(
      `${placeOf('once/a')}: nothing to do\n${placeOf('once/b')}: nothing to do\n`,
    );
  });

  it('are written where they can be, though the place of one belongs to another issuer, and one has no keys', async () => {
    const taken = ['--issuer', issuerOf('taken'), '--keys', firstKeys, '--to', placeOf('taken')];
    expect((await publish(taken, minio.aws).done).code).toBe(0);
    const argv = await config('partly', {
      issuers: [
        { issuer: issuerOf('partly/a'), keys: [firstKeys], to: [placeOf('taken')] },
        { issuer: issuerOf('partly/b'), keys: [join(folder, 'missing.pem')], to: [placeOf('partly/b')] },
        { issuer: issuerOf('partly/c'), keys: [secondKeys], to: [placeOf('partly/c')] },
      ],
    });
    const { code, stderr } = await publish(argv, minio.aws).done;
    expect(code).toBe(1);
    expect(stderr).toContain(`${placeOf('taken')}: belongs to the issuer "${issuerOf('taken')}"`);
    expect(stderr).toContain('missing.pem');
    expect(stderr).toContain(`${placeOf('partly/c')}: wrote `);
    expect(await markOf('taken')).toMatchObject({ issuer: issuerOf('taken') });
    expect((await fetch(`${issuerOf('partly/b')}/openid/v1/jwks`)).status).toBe(404);
    expect(await verifies(await tokenOf(second, 'ES256', issuerOf('partly/c')), issuerOf('partly/c'))).toBe('x');
  });

  it('are kept by one discovery, where a target that is away holds up no other', async () => {
    const away = `http://127.0.0.1:${await freePort()}`;
    const local = join(folder, 'local');
    const argv = await config('kept', {
      pollInterval: '1s',
      issuers: [
        { issuer: issuerOf('kept/a'), keys: [firstKeys], publishTo: [placeOf('kept/a')] },
        {
          issuer: issuerOf('kept/b'),
          keys: [secondKeys],
          publishTo: [placeOf('kept/b'), local],
          s3Endpoint: away,
        },
        { issuer: issuerOf('kept/c'), keys: [secondKeys], publishTo: [placeOf('kept/c')] },
      ],
    });
    const { AWS_ENDPOINT_URL = '', ...credentials } = minio.aws;
    // The endpoint of an item is its own: the environment would be stronger.
    const discovery = await startCopying(folder, argv, { ...credentials, AWS_ENDPOINT_URL_S3: AWS_ENDPOINT_URL });
    try {
      const good = async (prefix: string, ...token: [typeof first | typeof second, string]) => {
        const issuer = issuerOf(prefix);
        return verifies(await tokenOf(...token, issuer), issuer).then(
          () => true,
          () => false,
        );
      };
      await until('the first copies', async () => {
        const both = [good('kept/a', first, 'RS256'), good('kept/c', second, 'ES256')];
        return (await Promise.all(both)).every(Boolean);
      });
      await writeFile(secondKeys, pem(second) + pem(next));
      await until('a new key in the one that has it', () => good('kept/c', next, 'ES256'));
      expect(await good('kept/a', next, 'ES256')).toBe(false);
      const copy = JSON.parse(await readFile(join(local, '.well-known/openid-configuration'), 'utf8'));
      expect(copy.issuer).toBe(issuerOf('kept/b'));
      for (const prefix of ['kept/a', 'kept/c']) {
        expect(await markOf(prefix)).toEqual({ issuer: issuerOf(prefix), owner: issuerOf(prefix) });
      }
      expect(JSON.parse(await readFile(join(local, '.podpass-owner.json'), 'utf8'))).toMatchObject({
        issuer: issuerOf('kept/b'),
      });
      const failures = (await discovery.logs()).filter(({ msg }) => msg === 'publishing failed');
      expect(failures.length).toBeGreaterThan(0);
      expect(failures.filter(({ target }) => target !== placeOf('kept/b'))).toEqual([]);
    } finally {
      expect(await discovery.stop()).toBe('exit code 0');
      await writeFile(secondKeys, pem(second));
    }
  }, 60_000);

  it('have places of their own, or are refused before anything is written', async () => {
    const issuers = ['a', 'b'].map((name) => ({ issuer: issuerOf(`same/${name}`), keys: [firstKeys] }));
    const argv = await config('same', { to: [placeOf('same')], issuers });
    const { code, stderr } = await publish(argv, minio.aws).done;
    expect(code).toBe(2);
    expect(stderr).toContain(`issuers[1].to: "${placeOf('same')}" has the documents of issuers[0]`);
    const none = await publish(await config('none', { issuers }), minio.aws).done;
    expect([none.code, none.stderr.match(/issuers\[\d\]\.to: is missing/g)]).toEqual([
      2,
      ['issuers[0].to: is missing', 'issuers[1].to: is missing'],
    ]);
    expect((await fetch(`${issuerOf('same')}/openid/v1/jwks`)).status).toBe(404);
  });
});
