import { parseReview } from '../../parse-review.ts';
import { jsonTokens, podMembers } from '../dictionary.ts';
import { judgeReader } from '../plain-review.ts';
import { reviewSeeds, reviewWords } from '../review-seeds.ts';
import type { Target } from '../target.ts';

/** Over what the excerpt has a number for. */
const MAX_BYTES = 320 * 1024;

/** What the webhook reads of a body is what JSON.parse reads of it, and it refuses the same ones. */
export const target: Target = {
  name: 'review-reading',
  shape: 'json',
  maxBytes: MAX_BYTES,
  dictionary: [...reviewWords, ...podMembers, ...jsonTokens],
  seeds: () => reviewSeeds(MAX_BYTES),
  judge: (bytes) => judgeReader(bytes, parseReview),
};
