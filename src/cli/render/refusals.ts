import type { Refusal } from './refusal.ts';
import { algorithmRefusals } from './refusals/algorithms.ts';
import { issuerRefusals } from './refusals/issuer.ts';
import { limitRefusals } from './refusals/limits.ts';
import { proxyRefusals } from './refusals/oauth2-proxy.ts';
import { tokenRefusals } from './refusals/tokens.ts';

/** Every combination that is known to fail, or that is a risk. */
export const refusals: readonly Refusal[] = [
  ...issuerRefusals,
  ...algorithmRefusals,
  ...tokenRefusals,
  ...limitRefusals,
  ...proxyRefusals,
];
