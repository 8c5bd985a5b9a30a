import { issuerBase, METADATA_PATH } from '../../../issuer-paths.ts';
import { type Facts, nameOf, subjectsOf, tokenOf } from '../facts.ts';
import type { Consumer } from '../registry.ts';
import { shellWord } from '../syntax/shell.ts';

/** MinIO does not compare "iss", so the policy does: minio/cmd/bucket-policy.go gives it the claims. */
function policyOf(facts: Facts): object {
  const bucket = nameOf(facts);
  const Condition = { StringEquals: { 'jwt:iss': [facts.issuer], 'jwt:sub': subjectsOf(facts) } };
  return {
    Version: '2012-10-17',
    Statement: [
      {
        ...{ Effect: 'Allow', Action: ['s3:ListBucket', 's3:GetBucketLocation'] },
        ...{ Resource: [`arn:aws:s3:::${bucket}`], Condition },
      },
      {
        ...{ Effect: 'Allow', Action: ['s3:GetObject', 's3:PutObject', 's3:DeleteObject'] },
        ...{ Resource: [`arn:aws:s3:::${bucket}/*`], Condition },
      },
    ],
  };
}

export const minio: Consumer<'minio'> = {
  env: (facts) => {
    const variables = {
      MINIO_IDENTITY_OPENID_CONFIG_URL: issuerBase(facts.issuer) + METADATA_PATH,
      MINIO_IDENTITY_OPENID_CLIENT_ID: tokenOf(facts).audience,
      MINIO_IDENTITY_OPENID_ROLE_POLICY: nameOf(facts),
    };
    return {
      text: Object.entries(variables)
        .map(([name, value]) => `export ${name}=${shellWord(value)}\n`)
        .join(''),
      checks: [
        'The policy of that name exists before MinIO starts (podpass render minio -o policy, mc admin policy create): it is what names the callers.',
        'MinIO prints a RoleARN (arn:minio:iam:::role/…) when it starts: it is AWS_ROLE_ARN of the Pods, with AWS_ENDPOINT_URL.',
        'The issuer answers when MinIO starts; it must not redirect.',
        'A key that the issuer has dropped stays trusted until MinIO restarts.',
      ],
    };
  },
  policy: (facts) => ({
    text: `${JSON.stringify(policyOf(facts), undefined, 2)}\n`,
    checks: [
      'The conditions are what keeps others out: MinIO itself compares neither "iss" nor "sub".',
      'It is the role policy that podpass render minio -o env names.',
    ],
  }),
};
