import { PROXY_CONTAINER } from '../../../webhook/pod.ts';
import { TOKENS_VOLUME } from '../../../webhook/token-injection.ts';
import type { PlainKey } from '../../catalog/annotations.ts';
import { ASKS, family, hasItem, key, SPACE } from './asking.ts';
import { type Installation, type KubeObject, names } from './object.ts';
import { refusal } from './refusal.ts';

/** A list with this item. Names of containers are DNS labels, so they mean themselves in a pattern. */
const holds = (list: string, item: string) => `${list}.matches(r'(^|[${SPACE},])' + ${item} + r'($|[${SPACE},])')`;
const ofPod = (plain: PlainKey) => `variables.pod[?'${key(plain)}'].orValue('')`;

const variables = {
  pod: 'object.metadata.annotations',
  // oauth2-proxy never sees tokens.
  containers: `(object.spec.containers.map(c, c.name) + object.spec.?initContainers.orValue([]).map(c, c.name)).filter(c, c != '${PROXY_CONTAINER}')`,
  skipped: ofPod('skip-containers'),
  only: ofPod('containers'),
  onlyForOneToken: `variables.pod.map(k, k.startsWith('${family('containers')}'), variables.pod[k]).filter(l, ${hasItem('l')})`,
  seen: `variables.containers.exists(c, !${holds('variables.skipped', 'c')} && (
  variables.onlyForOneToken.size() > 0 ? variables.onlyForOneToken.exists(l, ${holds('l', 'c')}) :
  ${hasItem('variables.only')} ? ${holds('variables.only', 'c')} : true))`,
  hasTokens: `object.spec.?volumes.orValue([]).exists(v,
  has(v.projected) && (v.name == '${TOKENS_VOLUME}' || v.name.startsWith('${TOKENS_VOLUME}-')))`,
};

/**
 * Refuses a Pod that asks for tokens itself and has none in the end, because the webhook was away: better no Pod, which
 * its controller tries again, than one that runs without. A Pod that keeps its tokens from all of its containers
 * passes; where single tokens have lists of containers, some pass that the webhook would have changed.
 *
 * It also refuses a Pod that only its ServiceAccount keeps without tokens, which it does not see, and says how the Pod
 * can say so itself.
 */
export function finalStatePolicy(installation: Installation): KubeObject[] {
  return refusal(installation, {
    name: names.registration,
    condition: { name: 'asks-for-tokens', expression: ASKS },
    variables,
    expression: 'variables.hasTokens || !variables.seen',
    message:
      'the annotations of this Pod ask for tokens, and it has none: the webhook of podpass did not answer, ' +
      `or the annotations of its ServiceAccount (${key('inject')}: "false", lists of containers) leave it none.`,
    otherwise: `; with the annotation ${key('inject')}: "false" on itself the Pod runs without tokens`,
  });
}
