/** The preset aws with a real MinIO in the place of AWS: it verifies tokens and signatures, and keeps the objects. */
import { randomBytes } from 'node:crypto';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { testCa } from './podpass.ts';
import type { SimulatedContainer } from './sdks/container.ts';
import { Minio } from './sdks/minio.ts';
import { type Sdk, sdk } from './sdks/packages.ts';
import { TestBed } from './sdks/test-bed.ts';
import { clusterBinaries, describeCluster } from './suite.ts';

const REGION = 'eu-central-1';
const AUDIENCE = 'minio';

describeCluster('MinIO and Pods of the preset aws', () => {
  let bed: TestBed;
  let javaScript: Sdk;
  let boto3: Sdk;
  let minio: Minio;

  beforeAll(async () => {
    [javaScript, boto3] = [await sdk('aws-sdk.mjs'), await sdk('aws-boto3.py')];
    bed = await TestBed.start(['--presets', 'aws', '--aws-default-region', REGION, '--aws-token-audience', AUDIENCE]);
    // It reads the issuer's documents when it starts.
    minio = await Minio.start(clusterBinaries().minio, {
      ...{ ca: testCa(), issuer: bed.issuer.url, audience: AUDIENCE, region: REGION, rolePolicy: 'readwrite' },
    });
  }, 300_000);
  afterAll(async () => {
    await minio?.stop();
    await bed?.stop();
  });

  /** A container that says, as a user would, where MinIO is; the role is the one that MinIO printed. */
  async function enter(name: string, account: object = {}): Promise<SimulatedContainer> {
    const env = [{ name: 'AWS_ENDPOINT_URL', value: minio.url }];
    const annotations = { 'eks.amazonaws.com/role-arn': minio.role, ...account };
    const container = await bed.enter(await bed.createPod(name, annotations, [{ name: 'app', env }]));
    expect(container.env).toMatchObject({ AWS_ENDPOINT_URL: minio.url, AWS_ROLE_ARN: minio.role });
    return container;
  }
  const cas = () => ({ NODE_EXTRA_CA_CERTS: bed.issuer.caFile, AWS_CA_BUNDLE: bed.issuer.caFile });

  it('gives a role for tokens, with which buckets are written and listed', async (context) => {
    const container = await enter('with-bucket');
    const bucket = `bucket-${randomBytes(4).toString('hex')}`;
    const written = await javaScript.run(context, container, ['write', bucket, 'reports/today'], cas());
    expect(written).toEqual({ ok: true });
    const listed = { ok: true, keys: ['reports/today'] };
    expect(await javaScript.run(context, container, ['list', bucket], cas())).toEqual(listed);
    expect(await boto3.run(context, container, ['list', bucket], cas())).toEqual(listed);
  });

  it('gives none for a token of another audience', async (context) => {
    const container = await enter('with-audience', { 'eks.amazonaws.com/audience': 'other' });
    const refused = { ok: false, error: expect.stringMatching(/must match configured OpenID Client ID/) };
    expect(await javaScript.run(context, container, ['token-file'], cas())).toEqual(refused);
    expect(await boto3.run(context, container, ['credentials'], cas())).toEqual(refused);
  });
});
