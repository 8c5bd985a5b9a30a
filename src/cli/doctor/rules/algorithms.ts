import { type TargetLimits, targetLimits } from '../../../catalog/target-limits.ts';
import type { Target } from '../../../catalog/targets.ts';
import { quote } from '../../../fault.ts';
import { algorithmOf, isKnown, keysOf } from '../keys.ts';
import type { Observation } from '../observation.ts';
import type { Rule, Sighting } from '../rule.ts';
import { readable } from './document.ts';

/** Rules for the algorithms that verifiers take: the keys all of them, some of them, and the token at hand. */

interface Takes {
  readonly targets: readonly Target[];
  readonly algorithms: readonly string[];
  /** `error` where nothing helps, `warning` where it can be configured. */
  readonly severity: 'error' | 'warning';
  readonly why: string;
  readonly next: string;
}

const SIGN_WITH_RSA =
  'Sign with an RSA key (--service-account-signing-key-file), after it has been published for a while.';

const rows: readonly Takes[] = [
  {
    targets: ['azure'],
    ...limits(targetLimits.azure),
    next: SIGN_WITH_RSA,
  },
  {
    targets: ['gcp'],
    ...limits(targetLimits.gcp),
    next: 'Sign with an RSA key or one on P-256, after it has been published for a while.',
  },
  {
    targets: ['go-oidc'],
    ...limits(targetLimits['go-oidc']),
    next: 'Set SupportedSigningAlgs of the verifier to the algorithms of the keys.',
  },
];

export const algorithmRules: readonly Rule[] = rows.flatMap(({ targets, algorithms, severity, why, next }): Rule[] => {
  const common = { code: 'algorithm-unfit', targets, why, next } as const;
  const unfit = (alg: string) => !algorithms.includes(alg);
  const ofKeys =
    (count: 'all' | 'some') =>
    (observation: Observation): readonly Sighting[] => {
      const used = algorithmsOf(observation);
      const bad = used.filter(unfit);
      if (bad.length === 0 || (bad.length === used.length) !== (count === 'all')) return [];
      const what = count === 'all' ? 'all keys are for' : 'beside others there are keys for';
      return [{ subject: observation.jwks?.url ?? '', seen: `${what} ${[...new Set(bad)].join(', ')}` }];
    };
  return [
    { ...common, severity, find: ofKeys('all') },
    {
      ...common,
      severity: 'warning',
      find: ofKeys('some'),
      why: `${why} Tokens of the other keys are good; which of them signs is not seen here.`,
    },
    {
      ...common,
      severity,
      find: ({ tokens }) =>
        tokens.flatMap(({ name, header }) =>
          typeof header?.alg === 'string' && unfit(header.alg)
            ? [{ subject: name, seen: `it is signed with ${quote(header.alg)}` }]
            : [],
        ),
    },
  ];
});

function limits({ algorithms }: { readonly algorithms: NonNullable<TargetLimits['algorithms']> }) {
  const severity = algorithms.configurable ? ('warning' as const) : ('error' as const);
  return { algorithms: algorithms.taken, severity, why: algorithms.why };
}

function algorithmsOf({ jwks }: Observation): readonly string[] {
  if (!readable(jwks)) return [];
  return (keysOf(jwks) ?? []).filter(isKnown).flatMap((key) => algorithmOf(key) ?? []);
}
