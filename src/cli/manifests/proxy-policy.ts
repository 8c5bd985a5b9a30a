import { PROXY_CONTAINER } from '../../../webhook/pod.ts';
import { PREFIX } from './admission.ts';
import { ASKS_FOR_PROXY } from './asking.ts';
import { type Installation, type KubeObject, names } from './object.ts';
import { refusal } from './refusal.ts';

/**
 * Refuses a Pod that asks for oauth2-proxy itself and has none in the end, because the webhook was away: its port would be
 * open to everybody.
 */
export function proxyPolicy(installation: Installation): KubeObject[] {
  return refusal(installation, {
    name: names.proxyPolicy,
    condition: { name: 'asks-for-oauth2-proxy', expression: ASKS_FOR_PROXY },
    expression:
      `object.spec.containers.exists(c, c.name == '${PROXY_CONTAINER}') || ` +
      `object.spec.?initContainers.orValue([]).exists(c, c.name == '${PROXY_CONTAINER}')`,
    message:
      'the annotations of this Pod ask for oauth2-proxy, and it has none: the webhook of podpass did not answer, ' +
      `or its ServiceAccount has ${PREFIX}/inject: "false".`,
  });
}
