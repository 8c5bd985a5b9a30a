import type { Refusal } from './refusal.ts';
import { algorithmRefusals } from './refusals/algorithms.ts';
import { issuerRefusals } from './refusals/issuer.ts';
import { tokenRefusals } from './refusals/tokens.ts';

/** Every combination that is known to fail. */
export const refusals: readonly Refusal[] = [...issuerRefusals, ...algorithmRefusals, ...tokenRefusals];
