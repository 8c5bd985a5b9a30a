import {
  GetObjectCommand,
  PutObjectCommand,
  S3Client,
  type S3ClientConfig,
  S3ServiceException,
} from '@aws-sdk/client-s3';
import { MAX_SOURCE_BYTES } from '../../../src/cluster-issuer.ts';
import { Failure, messageOf, quote } from '../../../src/fault.ts';
import { Conflict, type Target } from '../target.ts';

export interface S3TargetOptions {
  readonly bucket: string;
  /** Without a slash at either end; may be empty. */
  readonly prefix: string;
  /** Of an S3 that is not Amazon's; without it the SDK decides. */
  readonly endpoint?: string | undefined;
  /** Of the environment; AWS_REGION is what the SDK reads. */
  readonly region?: string | undefined;
}

// It tells whoever updates the SDK about Node 20; a user of podpass cannot update it.
process.env.AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED ??= 'true';

const CONNECT_TIMEOUT_MS = 5_000;
const REQUEST_TIMEOUT_MS = 10_000;
/** What others than Amazon want to hear where nobody named a region. */
const ANY_REGION = 'us-east-1';
/** As in the answer to a conditional write that was too late. */
const TOO_LATE: ReadonlySet<number> = new Set([404, 409, 412]);

/** A prefix in a bucket, with the credentials that the AWS SDK finds: variables, web identity, files, instance. */
export function createS3Target({ bucket, prefix, endpoint, region }: S3TargetOptions): Target {
  const name = `s3://${bucket}${prefix === '' ? '' : `/${prefix}`}`;
  const keyOf = (path: string) => (prefix === '' ? path : `${prefix}/${path}`);
  const client = new S3Client(config(endpoint, region));
  return {
    kind: 's3',
    name,
    async read(path, signal) {
      try {
        const found = await client.send(new GetObjectCommand({ Bucket: bucket, Key: keyOf(path) }), {
          abortSignal: signal,
        });
        if ((found.ContentLength ?? 0) > MAX_SOURCE_BYTES) throw new Failure(`${name}: ${path} is over 1 MiB`);
        const bytes = Buffer.from((await found.Body?.transformToByteArray()) ?? []);
        const headers = { contentType: found.ContentType, cacheControl: found.CacheControl };
        return { bytes, headers, version: found.ETag ?? '' };
      } catch (error) {
        // A bucket that is missing is 404 as well.
        if (error instanceof S3ServiceException && error.name === 'NoSuchKey') return undefined;
        throw asFailure(error, `${name}: GET ${path}`);
      }
    },
    async write({ path, bytes, contentType, cacheControl }, before, signal) {
      const condition = before === undefined ? { IfNoneMatch: '*' } : { IfMatch: before };
      const object = { Body: bytes, ContentType: contentType, CacheControl: cacheControl };
      try {
        await client.send(new PutObjectCommand({ Bucket: bucket, Key: keyOf(path), ...object, ...condition }), {
          abortSignal: signal,
        });
      } catch (error) {
        if (error instanceof S3ServiceException && error.name !== 'NoSuchBucket') {
          if (TOO_LATE.has(error.$metadata.httpStatusCode ?? 0)) throw new Conflict(path);
        }
        throw asFailure(error, `${name}: PUT ${path}`);
      }
    },
  };
}

function config(endpoint: string | undefined, region: string | undefined): S3ClientConfig {
  return {
    // Other services answer under one host name, and know no region.
    ...(endpoint === undefined
      ? { followRegionRedirects: true, ...(region === undefined ? {} : { region }) }
      : { endpoint, forcePathStyle: true, region: region ?? ANY_REGION }),
    requestHandler: {
      connectionTimeout: CONNECT_TIMEOUT_MS,
      requestTimeout: REQUEST_TIMEOUT_MS,
      throwOnRequestTimeout: true,
    },
    // Older services of other makes refuse checksums that they do not know.
    requestChecksumCalculation: 'WHEN_REQUIRED',
    responseChecksumValidation: 'WHEN_REQUIRED',
  };
}

function asFailure(error: unknown, what: string): Failure {
  if (error instanceof Failure) return error;
  const { name, $metadata } = error as { name?: string; $metadata?: { httpStatusCode?: number } };
  const status = $metadata?.httpStatusCode;
  const code = status === undefined ? name : `${name}, HTTP ${status}`;
  return new Failure(`${what}: ${code}: ${said(error)}${hint(name, what)}`, { cause: undefined });
}

/** What a service says is its own text; a token in it would be the one that we sent. */
function said(error: unknown): string {
  const inner = error instanceof AggregateError ? error.errors.map(messageOf).join('; ') : messageOf(error);
  return quote(inner.replace(/eyJ[\w-]+(\.[\w-]*)*/g, '…'));
}

function hint(name: string | undefined, what: string): string {
  if (name !== 'AccessDenied' || !what.includes(': GET ')) return '';
  return '; s3:GetObject and s3:ListBucket are needed: without the second a missing object looks like this';
}
