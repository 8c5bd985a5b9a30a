import { targetLimits } from '../../catalog/target-limits.ts';
import { contentOf } from './content.ts';
import type { AnswerAgain, Fetched } from './observation.ts';
import { exchangeOutside, type Trust } from './outsider.ts';

/** In whose words beside our own: Go's clients send no `Accept`; Keycloak and Kafka are known by what they send for keys. */
export const WORDS = {
  document: [undefined],
  jwks: [undefined, targetLimits.keycloak.accept, targetLimits.kafka.accept],
} as const;
/** How often the first question is repeated, for servers of which some are broken or differ. */
const REPEATS = 3;

/** The answers to more questions at the same URL, all at once; none where the first answer was not good. */
export async function askAgain(
  { url, addresses, status, failure }: Fetched,
  accept: string,
  words: readonly (string | undefined)[],
  ca: Trust,
): Promise<readonly AnswerAgain[] | undefined> {
  if (status !== 200 || failure !== undefined) return undefined;
  const questions = [...Array.from({ length: REPEATS }, () => accept), ...words];
  return Promise.all(
    questions.map(async (each): Promise<AnswerAgain> => {
      const answer = await exchangeOutside(url, each, addresses, ca);
      return { accept: each, status: answer.status, failure: answer.failure, content: contentOf(answer) };
    }),
  );
}
