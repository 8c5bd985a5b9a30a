import { s3Location } from '../../../src/codec.ts';
import type { Target } from '../target.ts';
import { createFolderTarget } from './folder.ts';

export interface OpenTargetOptions {
  readonly s3Endpoint?: string | undefined;
  readonly env: Readonly<Record<string, string | undefined>>;
}

/** The target of a checked setting: a folder, or `s3://bucket/prefix`. The AWS SDK is only loaded for the latter. */
export async function openTarget(to: string, { s3Endpoint, env }: OpenTargetOptions): Promise<Target> {
  const location = s3Location(to);
  if (location === undefined) return createFolderTarget(to);
  const { createS3Target } = await import('./s3.ts');
  // The SDK itself reads only the first.
  const region = env.AWS_REGION || env.AWS_DEFAULT_REGION || undefined;
  return createS3Target({ ...location, endpoint: s3Endpoint ?? (env.AWS_ENDPOINT_URL_S3 || undefined), region });
}
