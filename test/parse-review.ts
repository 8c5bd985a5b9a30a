import { excerptOf, requestIn } from '../webhook/admission-review.ts';
import { annotationPrefixes } from '../webhook/asked.ts';
import { createCutter } from '../webhook/excerpt.ts';
import { reviewParts } from '../webhook/review-parts.ts';
import { mutationSettings } from './mutation-settings.ts';

const PREFIXES = annotationPrefixes(mutationSettings({ presets: 'aws,azure,gcp' }));

/** The parts that are read of a review with all presets. */
export const cutReview = createCutter(reviewParts(PREFIXES));

/** The request in the bytes of a review, as the webhook gets to see it. Throws the same Faults. */
export const parseReview = (body: Buffer) => requestIn(body, excerptOf(body, cutReview));
