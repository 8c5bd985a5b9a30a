import type { Target } from './targets.ts';

/** What a verifier cannot do, as far as it is known. `podpass doctor` judges by it, and `podpass render` refuses by it. */
export interface TargetLimits {
  readonly algorithms?: {
    readonly taken: readonly string[];
    /** Its configuration can name others. */
    readonly configurable: boolean;
    readonly why: string;
  };
  /** The most characters that an issuer may have. */
  readonly issuerLength?: number;
  readonly issuerPort?: { readonly why: string };
  /** The most characters that the one audience and the subject of a token may have. */
  readonly audienceLength?: number;
  readonly subjectLength?: number;
  /** What it sends as `Accept` when it fetches the JWK Set; by itself it takes any type that is answered. */
  readonly accept?: string;
  /** By how many seconds clocks may differ. */
  readonly leeway?: number;
  /** The longest lifetime of a token, in seconds. */
  readonly lifetime?: { readonly most: number; readonly why: string };
}

const HOUR = 3600;

export const targetLimits = {
  aws: { issuerLength: 255, audienceLength: 255, issuerPort: { why: 'an issuer should have no port.' } },
  azure: {
    algorithms: { taken: ['RS256'], configurable: false, why: 'only RS256 is taken; ES256 ends in AADSTS5002738.' },
    issuerLength: 600,
  },
  gcp: {
    algorithms: { taken: ['RS256', 'ES256'], configurable: false, why: 'only RS256 and ES256 are taken.' },
    audienceLength: 256,
    subjectLength: 127,
    lifetime: { most: 48 * HOUR - 1, why: 'a token must end within 48 h from when it was issued.' },
  },
  'go-oidc': {
    algorithms: {
      taken: ['RS256'],
      configurable: true,
      why: 'only RS256 is taken unless other algorithms are configured.',
    },
  },
  keycloak: {
    accept: 'application/jwk-set+json',
    lifetime: {
      most: HOUR,
      why: 'a token is refused when it was issued more than an hour ago, whatever its "exp" is.',
    },
  },
  // The JDK's own header, as brokers fetch with HttpURLConnection; sasl.oauthbearer.clock.skew.seconds.
  kafka: { accept: 'text/html, image/gif, image/jpeg, */*; q=0.2', leeway: 30 },
} as const satisfies Partial<Record<Target, TargetLimits>>;
