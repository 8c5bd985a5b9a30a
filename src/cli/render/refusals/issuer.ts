import { isUnsafeIssuer } from '../../../codec.ts';
import { clause, type Refusal } from '../refusal.ts';

const key = '--issuer';

/** What is wrong with an issuer, for all or for some. */
export const issuerRefusals: readonly Refusal[] = [
  {
    source: 'OpenID Connect Discovery 1.0, section 4.1',
    severity: 'refused',
    find: ({ facts: { issuer } }) =>
      isUnsafeIssuer(issuer)
        ? [
            {
              ...{ key, value: issuer, wrong: 'is not https: anyone on the way could change its keys' },
              accepted: 'an https URL; http on loopback',
            },
          ]
        : [],
  },
  {
    of: ['aws'],
    source: 'AWS API Reference, CreateOpenIDConnectProvider',
    severity: 'refused',
    find: ({ facts: { issuer } }) =>
      issuer.startsWith('http:')
        ? [{ key, value: issuer, wrong: 'is not https, which IAM asks for', accepted: 'an https URL' }]
        : [],
  },
  {
    source: 'the limits of the consumer',
    severity: 'refused',
    find: ({ limits: { issuerLength }, consumer, facts: { issuer } }) =>
      issuerLength !== undefined && issuer.length > issuerLength
        ? [
            {
              ...{ key, value: issuer, wrong: `has ${issuer.length} characters` },
              accepted: `at most ${issuerLength} characters for ${consumer}`,
            },
          ]
        : [],
  },
  {
    source: 'the limits of the consumer',
    severity: 'warning',
    find: ({ limits: { issuerPort }, facts: { issuer } }) =>
      issuerPort !== undefined && new URL(issuer).port !== ''
        ? [{ key, value: issuer, wrong: `has a port; ${clause(issuerPort.why)}`, accepted: 'an issuer on port 443' }]
        : [],
  },
  {
    of: ['aws', 'vault'],
    source: 'github.com/Azure/azure-workload-identity#1700; measured with hashicorp/cap 0.15',
    severity: 'warning',
    find: ({ facts: { issuer } }) =>
      issuer.endsWith('/')
        ? [
            {
              ...{ key, value: issuer, wrong: 'ends with "/", which counts when issuers are compared' },
              accepted: 'the "iss" of the tokens, byte for byte',
            },
          ]
        : [],
  },
];
