import { createKnownAnswers, IN_DETAIL, type KnownAnswers } from '../webhook/known-answers.ts';

/** Known answers; `onHit` is called for each that is found among them. */
export function countedAnswers(onHit: () => void): KnownAnswers {
  const answers = createKnownAnswers();
  return {
    get(likeness) {
      const known = answers.get(likeness);
      if (known !== undefined && known !== IN_DETAIL) onHit();
      return known;
    },
    put: answers.put,
  };
}
