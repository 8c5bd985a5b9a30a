import { targetLimits } from '../../../catalog/target-limits.ts';
import type { Target } from '../../../catalog/targets.ts';
import { quote } from '../../../fault.ts';
import { contentOf } from '../content.ts';
import type { AnswerAgain } from '../observation.ts';
import type { Rule } from '../rule.ts';
import { ofEach } from './answers.ts';

/** Rules for the answers to the same question, put again and in the words of verifiers. */

/** Broken for a while, and not the answer to a question in these words. */
const isUnsteady = ({ status = 0, failure }: AnswerAgain) => failure !== undefined || status >= 500 || status === 429;
const told = ({ status, failure }: AnswerAgain) => failure?.message ?? `HTTP ${status}`;

export const repeatRules: readonly Rule[] = [
  {
    code: 'unsteady',
    severity: 'warning',
    find: ofEach(({ again = [] }) => {
      const bad = again.filter(isUnsteady);
      const kinds = [...new Set(bad.map(told))];
      return bad.length === 0
        ? undefined
        : `${bad.length} of ${again.length} more questions failed: ${kinds.join(', ')}`;
    }),
    why: 'A verifier that asks at such a moment, at its start above all, has no keys and refuses every token.',
    next: 'Look at each replica by itself, and at what limits the rate. Take the broken one out of the load balancer.',
  },
  {
    code: 'answers-differ',
    severity: 'warning',
    find: ofEach((fetched) => {
      const { again = [] } = fetched;
      const first = contentOf(fetched);
      const others = new Set(again.flatMap(({ content }) => content ?? []).filter((content) => content !== first));
      return first === undefined || others.size === 0
        ? undefined
        : `${again.length + 1} questions had ${others.size + 1} answers, with other keys or another issuer`;
    }),
    why: 'Replicas, or copies in caches, are not up to date alike. A verifier may get the one that lacks the key of its token.',
    next: 'Ask again in some minutes. If it stays, compare the key sources of all replicas, and purge the caches.',
  },
  refused(['keycloak'], targetLimits.keycloak.accept),
  refused(['kafka'], targetLimits.kafka.accept),
  refused(['oauth2-proxy', 'go-oidc', 'vault', 'minio'], undefined),
];

function refused(targets: readonly Target[], accept: string | undefined): Rule {
  return {
    code: 'accept-refused',
    severity: 'error',
    targets,
    others: true,
    find: ofEach((fetched) => {
      const answer = fetched.again?.find((each) => each.accept === accept && !isUnsteady(each));
      if (answer === undefined || contentOf(fetched) === undefined) return undefined;
      if (answer.status === 200 && answer.content !== undefined) return undefined;
      const got = answer.status === 200 ? 'something else than JSON' : `HTTP ${answer.status}`;
      return `${got} to ${accept === undefined ? 'a request without Accept' : `Accept: ${quote(accept)}`}`;
    }),
    why: 'it asks in these words, and takes any type that is answered.',
    next: 'Answer with the same document whatever Accept says, as podpass discovery does.',
  };
}
