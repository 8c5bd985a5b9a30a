import type { ApiResponse } from './api-client.ts';
import type { KubeObject } from './control-plane.ts';
import { ourVolumes } from './pods.ts';

/**
 * Whose fault it is that a Pod which must have tokens was not created with them. `podpass`: it has none, or the API
 * server answered and names a webhook or podpass, as in `failed calling webhook "labelled.podpass.dev"` and
 * `ValidatingAdmissionPolicy 'podpass' … denied request`. `others`: every other answer, and none at all, as from an API
 * server that is killed. `reason` is without addresses and ports, so that equal ones can be counted.
 */
export interface Blame {
  readonly on: 'podpass' | 'others';
  readonly reason: string;
}

export const WITHOUT_TOKENS = 'created without its tokens';

/** Of one creation: what the API server answered, or why it did not. Undefined where all is well. */
export function blame(answer: Error | Pick<ApiResponse<KubeObject>, 'status' | 'body'>): Blame | undefined {
  if (!(answer instanceof Error) && answer.status === 201) {
    return ourVolumes(answer.body).length > 0 ? undefined : { on: 'podpass', reason: WITHOUT_TOKENS };
  }
  const said = answer instanceof Error ? answer.message : `${answer.status} ${answer.body.message ?? answer.body}`;
  const reason = said.replace(/[\d.]+:\d+/g, '…');
  // Without an answer nobody was asked, or nobody knows: paths and addresses in the error are our own.
  const ours = !(answer instanceof Error) && /webhook|podpass/.test(said);
  return { on: ours ? 'podpass' : 'others', reason };
}
