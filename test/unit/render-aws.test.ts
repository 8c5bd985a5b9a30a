/**
 * The trust policy for AWS, by the rule of IAM: the condition keys of an OIDC provider are its URL without the scheme,
 * then ":aud" and ":sub" (IAM user guide, "Available keys for AWS OIDC federation").
 */
import { describe, expect, test } from 'vitest';
import { outputOf, sampleFacts } from '../render-facts.ts';

interface Statement {
  readonly Effect: string;
  readonly Action: string;
  readonly Principal: { readonly Federated: string };
  readonly Condition: Readonly<Record<string, Readonly<Record<string, readonly string[]>>>>;
}

const AUDIENCE = 'https://sso.example.com/realms/main';

/** IAM's answer: all keys of a condition must hold, each with one of its values, and a key that is missing does not. */
function allows({ Effect, Condition }: Statement, context: Readonly<Record<string, string>>): boolean {
  expect(Object.keys(Condition)).toEqual(['StringEquals']);
  const keys = Object.entries(Condition.StringEquals ?? {});
  return (
    Effect === 'Allow' && keys.every(([key, values]) => context[key] !== undefined && values.includes(context[key]))
  );
}

describe.each([
  ['https://k8s.example.com', 'k8s.example.com'],
  ['https://k8s.example.com/cluster-a', 'k8s.example.com/cluster-a'],
  ['https://bucket.s3.eu-central-1.amazonaws.com/a/b', 'bucket.s3.eu-central-1.amazonaws.com/a/b'],
])('the trust policy for %s', (issuer, provider) => {
  const { Version, Statement } = JSON.parse(outputOf('aws', 'json', sampleFacts({ issuer })));
  const [statement] = Statement as [Statement];
  const context = (audience: string, subject: string, prefix = provider) => ({
    [`${prefix}:aud`]: audience,
    [`${prefix}:sub`]: subject,
  });
  const WEB = 'system:serviceaccount:shop:web';

  test('is one statement about the provider', () => {
    expect([Version, Statement.length, statement.Action]).toEqual(['2012-10-17', 1, 'sts:AssumeRoleWithWebIdentity']);
    expect(statement.Principal).toEqual({ Federated: `arn:aws:iam::123456789012:oidc-provider/${provider}` });
  });

  test('lets in each caller with the audience, and nobody else', () => {
    expect(allows(statement, context(AUDIENCE, WEB))).toBe(true);
    expect(allows(statement, context(AUDIENCE, 'system:serviceaccount:shop:worker.v2'))).toBe(true);
    expect(allows(statement, context(AUDIENCE, 'system:serviceaccount:shop:other'))).toBe(false);
    expect(allows(statement, context('sts.amazonaws.com', WEB))).toBe(false);
    expect(allows(statement, context(AUDIENCE, WEB, `https://${provider}`))).toBe(false);
    expect(allows(statement, context(AUDIENCE, WEB, 'elsewhere.example.com'))).toBe(false);
    expect(allows(statement, { [`${provider}:sub`]: WEB })).toBe(false);
  });

  test('is the same in the commands', () => {
    const shell = outputOf('aws', 'shell', sampleFacts({ issuer }));
    expect(shell).toContain(JSON.stringify({ Version, Statement }));
  });
});
