import { targetLimits } from '../../../catalog/target-limits.ts';
import { isUnsafeIssuer } from '../../../codec.ts';
import { quote } from '../../../fault.ts';
import type { Observation } from '../observation.ts';
import type { Rule, Sighting } from '../rule.ts';

/** Rules for the issuer's URL by itself. */

const about = (see: (issuer: string, url: URL) => string | false) => {
  return ({ issuer }: Observation): readonly Sighting[] => {
    if (issuer === undefined || !URL.canParse(issuer)) return [];
    const seen = see(issuer, new URL(issuer));
    return seen === false ? [] : [{ subject: issuer, seen }];
  };
};
const authorityOf = (issuer: string) => /^[a-z]+:\/\/([^/?#]+)/i.exec(issuer)?.[1] ?? '';
const port = /:(\d+)$/;

export const issuerRules: readonly Rule[] = [
  {
    code: 'issuer-not-https',
    severity: 'error',
    find: ({ issuer }) =>
      issuer === undefined || (URL.canParse(issuer) && /^https?:/.test(issuer) && !isUnsafeIssuer(issuer))
        ? []
        : [{ subject: issuer, seen: `the issuer is ${quote(issuer)}` }],
    why: 'Without TLS anyone on the way can change the keys, and verifiers refuse such an issuer.',
    next: 'Give the API server an https URL as --service-account-issuer. Keep the old one as the second until its tokens are gone.',
  },
  {
    code: 'issuer-not-https',
    severity: 'warning',
    find: about((issuer) => issuer.startsWith('http:') && !isUnsafeIssuer(issuer) && 'an http issuer on loopback'),
    why: 'That is for trials on this machine: nobody else reaches it, and verifiers refuse it.',
    next: 'Nothing for a trial. For use, serve the documents at an https URL.',
  },
  {
    code: 'issuer-port',
    severity: 'warning',
    find: about((issuer) => port.exec(authorityOf(issuer))?.[1] === '443' && 'port 443 is spelled out'),
    why: 'Some clients leave out :443 when they write a URL anew, and then compare another text than the "iss" of the tokens.',
    next: 'Use the issuer without :443, here, in the API server and in every verifier: all three must be the same bytes.',
  },
  {
    code: 'issuer-port',
    severity: 'warning',
    targets: ['aws'],
    find: about((issuer) => {
      const found = port.exec(authorityOf(issuer))?.[1];
      return found !== undefined && found !== '443' && `port ${found}`;
    }),
    why: targetLimits.aws.issuerPort.why,
    next: 'Serve the documents on port 443 and leave the port out of the issuer.',
  },
  {
    code: 'issuer-case',
    severity: 'warning',
    find: about((issuer) => /[A-Z]/.test(authorityOf(issuer)) && `the host is ${quote(authorityOf(issuer))}`),
    why: 'Clients write the host in lower case, but compare the issuer byte for byte.',
    next: 'Use the issuer in lower case everywhere.',
  },
  {
    code: 'issuer-trailing-slash',
    severity: 'warning',
    targets: ['azure', 'oauth2-proxy', 'vault', 'go-oidc'],
    find: about((issuer) => issuer.endsWith('/') && 'the issuer ends with "/"'),
    why: 'the slash counts when issuers are compared, and it is easily lost in a configuration.',
    next: 'Write the slash in the configuration of every verifier too, or leave it out everywhere.',
  },
  tooLong('aws', targetLimits.aws.issuerLength),
  tooLong('azure', targetLimits.azure.issuerLength),
];

function tooLong(target: 'aws' | 'azure', most: number): Rule {
  return {
    code: 'issuer-too-long',
    severity: 'error',
    targets: [target],
    find: about((issuer) => issuer.length > most && `${issuer.length} characters`),
    why: `an issuer has at most ${most} characters.`,
    next: 'Choose a shorter host or path for the issuer.',
  };
}
