import { waitingPods } from '../node/load.ts';

/** Only their ServiceAccount asks. They have one try, at both halves, and are created without tokens where that fails. */
export const UNPROTECTED = 'by ServiceAccount';

/** The Pods that are created, by what makes them ask for tokens. */
export const kinds = { ...waitingPods, [UNPROTECTED]: {} };
