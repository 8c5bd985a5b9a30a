/** A real MinIO with the variables and the policy that `podpass render minio` prints: whose tokens open the bucket. */
import {
  CreateBucketCommand,
  GetObjectCommand,
  ListObjectsV2Command,
  PutObjectCommand,
  S3Client,
} from '@aws-sdk/client-s3';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { outputOf, sampleFacts } from '../render-facts.ts';
import { ACCOUNT, Callers, OTHER_ACCOUNT, SUBJECT } from './callers.ts';
import { Minio } from './minio.ts';
import { createPolicy } from './minio-admin.ts';
import { runProgram, testCa } from './podpass.ts';
import { clusterBinaries, describeCluster } from './suite.ts';

const AUDIENCE = 'minio';
const BUCKET = 'reports';
const OTHER_BUCKET = 'salaries';

/** What a shell has after it has read them. */
async function variables(script: string): Promise<Record<string, string>> {
  const print = `'${process.execPath}' -e 'process.stdout.write(JSON.stringify(process.env))'`;
  const { code, stdout, stderr } = await runProgram('/bin/sh', ['-c', `${script}\n${print}`]);
  expect([code, stderr]).toEqual([0, '']);
  const env = Object.entries(JSON.parse(stdout) as Record<string, string>);
  return Object.fromEntries(env.filter(([name]) => name.startsWith('MINIO_')));
}

function client(url: string, accessKeyId: string, secretAccessKey: string, sessionToken?: string): S3Client {
  const credentials = { accessKeyId, secretAccessKey, ...(sessionToken === undefined ? {} : { sessionToken }) };
  return new S3Client({ endpoint: url, region: 'us-east-1', forcePathStyle: true, credentials, maxAttempts: 1 });
}

describeCluster('MinIO with what render prints', () => {
  let callers: Callers;
  let minio: Minio;
  let role: string;
  const facts = () => callers.facts(AUDIENCE, { options: { name: BUCKET } });

  beforeAll(async () => {
    callers = await Callers.start();
    minio = await Minio.start({ binary: clusterBinaries().minio, ca: testCa().pem });
    const { AWS_ACCESS_KEY_ID: id = '', AWS_SECRET_ACCESS_KEY: secret = '' } = minio.aws;
    const root = client(minio.url, id, secret);
    for (const Bucket of [BUCKET, OTHER_BUCKET]) await root.send(new CreateBucketCommand({ Bucket }));
    root.destroy();
    await createPolicy(minio.aws, BUCKET, outputOf('minio', 'policy', facts()));
    // It reads them, and the issuer's documents, when it starts.
    await minio.kill();
    await minio.start(await variables(outputOf('minio', 'env', facts())));
    role = /IAM Roles:.*?(arn:minio:iam:[\w-]*::role\/[\w-]+)/.exec(await minio.log())?.[1] ?? '';
    expect(role).not.toBe('');
  }, 300_000);
  afterAll(async () => {
    await minio?.stop();
    await callers?.stop();
  });

  /** Credentials for a token, or what MinIO says against it. */
  async function assume(token: string): Promise<S3Client | string> {
    const query = {
      Action: 'AssumeRoleWithWebIdentity',
      Version: '2011-06-15',
      RoleArn: role,
      WebIdentityToken: token,
    };
    const response = await fetch(minio.url, { method: 'POST', body: new URLSearchParams(query) });
    const xml = await response.text();
    const member = (name: string) => new RegExp(`<${name}>([^<]*)</${name}>`).exec(xml)?.[1] ?? '';
    if (response.status !== 200) return `${response.status} ${member('Message')}`;
    return client(minio.url, member('AccessKeyId'), member('SecretAccessKey'), member('SessionToken'));
  }

  const refused = { name: 'AccessDenied' };
  const body = 'figures';
  async function opened(token: string): Promise<S3Client> {
    const found = await assume(token);
    if (typeof found === 'string') throw new Error(found);
    return found;
  }

  it('lets the caller read and write in the bucket, and nowhere else', async () => {
    const s3 = await opened(await callers.token(ACCOUNT, AUDIENCE));
    await s3.send(new PutObjectCommand({ Bucket: BUCKET, Key: 'today', Body: body }));
    const { Contents } = await s3.send(new ListObjectsV2Command({ Bucket: BUCKET }));
    expect(Contents?.map(({ Key }) => Key)).toEqual(['today']);
    const read = await s3.send(new GetObjectCommand({ Bucket: BUCKET, Key: 'today' }));
    expect(await read.Body?.transformToString()).toBe(body);
    await expect(s3.send(new ListObjectsV2Command({ Bucket: OTHER_BUCKET }))).rejects.toMatchObject(refused);
    const elsewhere = new PutObjectCommand({ Bucket: OTHER_BUCKET, Key: 'today', Body: body });
    await expect(s3.send(elsewhere)).rejects.toMatchObject(refused);
  });

  /** MinIO gives them a session, as it compares neither; the conditions of the policy are what keeps them out. */
  it.each([
    ['another ServiceAccount', () => callers.token(OTHER_ACCOUNT, AUDIENCE)],
    ['another issuer with the same key', () => callers.forged(AUDIENCE, { claims: { iss: 'https://elsewhere' } })],
    ['a subject that only begins with it', () => callers.forged(AUDIENCE, { claims: { sub: `${SUBJECT}2` } })],
  ])('gives %s a session that opens nothing', async (_, token) => {
    const s3 = await opened(await token());
    const key = { Bucket: BUCKET, Key: 'today' };
    await expect(s3.send(new ListObjectsV2Command({ Bucket: BUCKET }))).rejects.toMatchObject(refused);
    await expect(s3.send(new GetObjectCommand(key))).rejects.toMatchObject(refused);
    await expect(s3.send(new PutObjectCommand({ ...key, Body: 'x' }))).rejects.toMatchObject(refused);
  });

  it.each([
    ['of another audience', () => callers.token(ACCOUNT, 'other'), /must match configured OpenID Client ID/],
    ['that has ended', () => callers.expired(AUDIENCE), /expired/i],
    ['of a key that is not published', () => callers.forged(AUDIENCE, { foreignKey: true }), /signature|verification/i],
  ] as const)('gives no session for a token %s', async (_, token, said) => {
    expect(await assume(await token())).toMatch(said);
  });

  it('does not take a policy that is wrong', async () => {
    const wrong = outputOf('minio', 'policy', sampleFacts()).replace('StringEquals', 'StringsEqual');
    await expect(createPolicy(minio.aws, 'wrong', wrong)).rejects.toThrow(/400/);
  });
});
