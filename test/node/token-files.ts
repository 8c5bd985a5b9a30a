/** What the processes of injected Pods find, where a real kubelet puts it. */
import { readFileSync } from 'node:fs';
import { decodeJwt } from 'jose';
import { beforeAll, describe, expect, it } from 'vitest';
import { goOidc } from '../cluster/verifiers.ts';
import { IMAGE, type Installed } from './installed.ts';

const NAMESPACE = 'readers';
const TOKENS = '/var/run/secrets/podpass.dev/tokens';
const VAULT = { 'podpass.dev/audiences': 'vault' };

interface TokenFile {
  mode: string;
  uid: number;
  gid: number;
  token: string;
}

interface Seen {
  uid: number;
  groups: number[];
  /** The value of API_TOKEN_FILE. */
  variable?: string;
  /** By folder: its files or why they cannot be read, and what came of writing there. */
  seen: Record<string, { files: string | Record<string, TokenFile>; write?: string }>;
}

const script = (name: string) => readFileSync(new URL(`./in-pods/${name}`, import.meta.url), 'utf8');

/** A container that reads what it sees and ends. */
function reader(name: string, more: object = {}, args: string[] = [TOKENS]): object {
  return { name, image: IMAGE, command: ['/usr/local/bin/node', '-e', script('read-tokens.cjs'), ...args], ...more };
}

const as = (runAsUser: number) => ({ securityContext: { runAsUser } });

export function describeTokenFiles(installed: () => Installed): void {
  describe('the processes of a Pod', () => {
    const create = async (name: string, spec: object, annotations: object = VAULT) => {
      const { cluster } = installed().node;
      const pod = { metadata: { name, annotations }, spec: { restartPolicy: 'Never', ...spec } };
      const { status, body } = await cluster.createPod(NAMESPACE, pod);
      expect([status, body.message]).toEqual([201, undefined]);
    };
    const seenBy = async (pod: string, container: string): Promise<Seen> => {
      const { node } = installed();
      return JSON.parse(await node.outputOf(NAMESPACE, pod, container)) as Seen;
    };
    const verified = async (audience: string, tokens: string[]) => {
      const { issuer, caFile } = installed();
      const verdicts = await goOidc.judge({ url: issuer, caFile }, audience, tokens);
      return verdicts.map((verdict) => (verdict.ok ? verdict.subject : verdict.error));
    };
    const filesOf = ({ seen }: Seen): Record<string, TokenFile> => {
      const files = seen[TOKENS]?.files;
      return typeof files === 'object' ? files : {};
    };
    const tokenIn = (found: Seen, name: string) => filesOf(found)[name]?.token ?? 'no token';
    const subject = `system:serviceaccount:${NAMESPACE}:default`;

    beforeAll(async () => {
      const { node } = installed();
      await node.cluster.createNamespace(NAMESPACE);
      await node.serviceAccount(NAMESPACE, 'default');
      // First of all: it needs eight minutes, while the other tests go on.
      const renewing = { 'podpass.dev/audience.short': 'vault', 'podpass.dev/expiration': '10m' };
      const command = ['/usr/local/bin/node', '-e', script('await-renewal.cjs'), `${TOKENS}/short`];
      await create('renewed', { containers: [{ name: 'app', image: IMAGE, command }] }, renewing);
    });

    it('see their own tokens and no others: init containers, native sidecars, containers', async () => {
      const annotations = {
        ...VAULT,
        'podpass.dev/audience.api': 'https://api.example.com',
        'podpass.dev/containers.api': 'app init sidecar',
        'podpass.dev/env.api': 'API_TOKEN_FILE',
        'podpass.dev/skip-containers': 'stranger',
      };
      const spec = {
        initContainers: [
          reader('init'),
          reader('sidecar', { restartPolicy: 'Always', env: [{ name: 'STAY', value: 'yes' }] }),
        ],
        containers: [reader('app'), reader('db'), reader('stranger')],
      };
      await create('all-kinds', spec, annotations);
      for (const container of ['init', 'app', 'sidecar']) {
        const found = await seenBy('all-kinds', container);
        expect(Object.keys(filesOf(found))).toEqual(['api', 'vault']);
        expect(found.variable).toBe(`${TOKENS}/api`);
        expect(found.seen[TOKENS]?.write).toBe('EROFS');
        expect(await verified('https://api.example.com', [tokenIn(found, 'api')])).toEqual([subject]);
        expect(await verified('vault', [tokenIn(found, 'vault')])).toEqual([subject]);
      }
      const db = await seenBy('all-kinds', 'db');
      expect(Object.keys(filesOf(db))).toEqual(['vault']);
      expect(db.variable).toBeUndefined();
      const stranger = await seenBy('all-kinds', 'stranger');
      expect(stranger.seen[TOKENS]).toEqual({ files: 'ENOENT' });
    });

    it('read them as root and as other users of one Pod', async () => {
      await create('users', { containers: [reader('root', as(0)), reader('app', as(1000)), reader('db', as(2000))] });
      for (const [container, uid] of [
        ['root', 0],
        ['app', 1000],
        ['db', 2000],
      ] as const) {
        const found = await seenBy('users', container);
        expect(found.uid).toBe(uid);
        expect(await verified('vault', [tokenIn(found, 'vault')])).toEqual([subject]);
      }
    });

    it('read them as one user, whom alone the files belong to', async () => {
      await create('one-user', { securityContext: { runAsUser: 1000 }, containers: [reader('app')] });
      const found = await seenBy('one-user', 'app');
      expect(filesOf(found).vault).toMatchObject({ mode: '600', uid: 1000 });
      expect(await verified('vault', [tokenIn(found, 'vault')])).toEqual([subject]);
    });

    it('read them by fsGroup', async () => {
      await create('group', {
        securityContext: { fsGroup: 3000 },
        containers: [reader('app', as(1000)), reader('db', as(2000))],
      });
      for (const container of ['app', 'db']) {
        const found = await seenBy('group', container);
        expect(found.groups).toContain(3000);
        expect(filesOf(found).vault).toMatchObject({ mode: '640', gid: 3000 });
        expect(await verified('vault', [tokenIn(found, 'vault')])).toEqual([subject]);
      }
    });
  });
}

/** To be called after everything else that takes its time. */
export function describeRenewal(installed: () => Installed): void {
  it('a token of ten minutes is replaced in its file before it expires', async () => {
    const { node, issuer, caFile } = installed();
    const output = await node.outputOf(NAMESPACE, 'renewed', 'app', 600_000);
    const { first, second, replaced } = JSON.parse(output) as { first: string; second: string; replaced: number };
    const { iat = 0, exp = 0 } = decodeJwt(first);
    expect(exp - iat).toBe(600);
    const left = exp - replaced;
    console.info(`a token of 600 s was replaced ${Math.round(left)} s before its end`);
    expect(left).toBeGreaterThan(30);
    expect(decodeJwt(second).exp).toBeGreaterThan(exp);
    const [verdict] = await goOidc.judge({ url: issuer, caFile }, 'vault', [second]);
    expect(verdict).toMatchObject({ ok: true });
  }, 620_000);
}
