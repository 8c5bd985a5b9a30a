/** What `mc admin policy create` sends to MinIO: a request with AWS' signature, version 4. */
import { createHash, createHmac } from 'node:crypto';
import type { AwsEnvironment } from './minio.ts';

const hmac = (key: Buffer | string, text: string) => createHmac('sha256', key).update(text).digest();
const sha256 = (text: string) => createHash('sha256').update(text).digest('hex');

/** Throws where MinIO does not take the policy. */
export async function createPolicy(aws: AwsEnvironment, name: string, policy: string): Promise<void> {
  const { AWS_ACCESS_KEY_ID: id = '', AWS_SECRET_ACCESS_KEY: secret = '', AWS_REGION: region = '' } = aws;
  const url = new URL('/minio/admin/v3/add-canned-policy', aws.AWS_ENDPOINT_URL);
  url.searchParams.set('name', name);
  const time = new Date().toISOString().replace(/[-:]|\.\d+/g, '');
  const hash = sha256(policy);
  const signed = 'host;x-amz-content-sha256;x-amz-date';
  const headers = [`host:${url.host}`, `x-amz-content-sha256:${hash}`, `x-amz-date:${time}`];
  const request = ['PUT', url.pathname, url.searchParams, ...headers, '', signed, hash].join('\n');
  const scope = `${time.slice(0, 8)}/${region}/s3/aws4_request`;
  const key = scope.split('/').reduce((last: Buffer | string, word) => hmac(last, word), `AWS4${secret}`);
  const signature = hmac(key, ['AWS4-HMAC-SHA256', time, scope, sha256(request)].join('\n')).toString('hex');
  const response = await fetch(url, {
    method: 'PUT',
    body: policy,
    headers: {
      'x-amz-content-sha256': hash,
      'x-amz-date': time,
      authorization: `AWS4-HMAC-SHA256 Credential=${id}/${scope}, SignedHeaders=${signed}, Signature=${signature}`,
    },
  });
  if (!response.ok) throw new Error(`MinIO does not take the policy: ${response.status} ${await response.text()}`);
}
