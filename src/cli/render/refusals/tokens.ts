import { clause, type Refusal } from '../refusal.ts';

/** Lifetimes and audiences that a consumer refuses. */
export const tokenRefusals: readonly Refusal[] = [
  {
    source: 'the limits of the consumer',
    severity: 'refused',
    find: ({ limits, facts: { tokens, annotationPrefix } }) => {
      const { lifetime: limit } = limits;
      if (limit === undefined) return [];
      return tokens
        .filter(({ lifetime }) => lifetime > limit.most)
        .map(({ lifetime, audience }) => ({
          ...{ key: '--token-expiration', value: `${lifetime}s` },
          wrong: `is the lifetime of the token for ${audience}; ${clause(limit.why)}`,
          accepted: `at most ${limit.most}s, as the annotation ${annotationPrefix}/expiration or as this flag`,
        }));
    },
  },
];
