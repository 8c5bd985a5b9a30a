import { audiencesOf, type Facts, nameOf, needed, subjectsOf } from '../facts.ts';
import type { Consumer } from '../registry.ts';
import { shellWord } from '../syntax/shell.ts';

const checks = [
  'Both documents answer at the issuer to everybody on the internet within 5 s: podpass doctor --issuer ISSUER --target aws.',
  'The provider has no thumbprint: IAM takes the one it sees where it does not know the CA. Add it by hand where the issuer has a private CA.',
  'The role has no permissions yet: attach a policy.',
  'The ServiceAccount needs the annotation eks.amazonaws.com/role-arn with the ARN of the role.',
  'Partitions other than aws, such as aws-cn and aws-us-gov, have another word in the ARN.',
];

/** What IAM calls the issuer: without its scheme. */
function providerOf({ issuer }: Facts): string {
  return issuer.replace(/^https:\/\//, '');
}

/** Both claims are named: a policy that leaves one out lets in every caller, or the tokens meant for others. */
function trustPolicy(facts: Facts): object {
  const provider = providerOf(facts);
  return {
    Version: '2012-10-17',
    Statement: [
      {
        Effect: 'Allow',
        Principal: { Federated: `arn:aws:iam::${needed(facts, 'account')}:oidc-provider/${provider}` },
        Action: 'sts:AssumeRoleWithWebIdentity',
        Condition: {
          StringEquals: { [`${provider}:aud`]: audiencesOf(facts), [`${provider}:sub`]: subjectsOf(facts) },
        },
      },
    ],
  };
}

export const aws: Consumer<'aws'> = {
  json: (facts) => ({ text: `${JSON.stringify(trustPolicy(facts), undefined, 2)}\n`, checks }),
  shell: (facts) => ({
    text: [
      `aws iam create-open-id-connect-provider --url ${shellWord(facts.issuer)} --client-id-list ${audiencesOf(facts).map(shellWord).join(' ')}`,
      `aws iam create-role --role-name ${shellWord(nameOf(facts))} --assume-role-policy-document ${shellWord(JSON.stringify(trustPolicy(facts)))}`,
      '',
    ].join('\n'),
    checks,
  }),
};
