// What a container's program does with the AWS SDK for JavaScript: nothing is configured but by the environment.
//
//   node aws-sdk.mjs FOLDER token-file|credentials|identity|write|list [BUCKET [KEY]]
//
// FOLDER has the node_modules. One JSON object on standard output.
import { createRequire } from 'node:module';
import { join } from 'node:path';

const [folder, what, bucket, key] = process.argv.slice(2);
const load = createRequire(join(folder, 'package.json'));

const jobs = {
  /** The provider that reads the token's file, by itself. */
  async 'token-file'() {
    const { fromTokenFile } = load('@aws-sdk/credential-providers');
    return { credentials: await fromTokenFile()() };
  },
  /** A request that is signed with them. */
  async identity() {
    const { GetCallerIdentityCommand, STSClient } = load('@aws-sdk/client-sts');
    const client = new STSClient({});
    const { Arn } = await client.send(new GetCallerIdentityCommand({}));
    return { arn: Arn, region: await client.config.region(), credentials: await client.config.credentials() };
  },
  /** What every client has by default. */
  async credentials() {
    const { STSClient } = load('@aws-sdk/client-sts');
    return { credentials: await new STSClient({}).config.credentials() };
  },
  async write() {
    const { CreateBucketCommand, PutObjectCommand, S3Client } = load('@aws-sdk/client-s3');
    const client = new S3Client({ forcePathStyle: true });
    await client.send(new CreateBucketCommand({ Bucket: bucket }));
    await client.send(new PutObjectCommand({ Bucket: bucket, Key: key, Body: 'content' }));
    return {};
  },
  async list() {
    const { ListObjectsV2Command, S3Client } = load('@aws-sdk/client-s3');
    const client = new S3Client({ forcePathStyle: true });
    const { Contents = [] } = await client.send(new ListObjectsV2Command({ Bucket: bucket }));
    return { keys: Contents.map(({ Key }) => Key) };
  },
};

const said = await jobs[what]().then(
  (result) => ({ ok: true, ...result }),
  ({ name, message }) => ({ ok: false, error: `${name}: ${message}` }),
);
console.log(JSON.stringify(said));
