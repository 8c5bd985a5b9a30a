/** In what the reviews of Pods differ that are created one after the other. */
import type { Counter } from '../load/counter.ts';

/** Pods of one template, or of templates of their own. */
export type Templates = 'one template' | 'many templates';

const HEX = '0123456789abcdef';
/** As the API server draws names. */
const DRAWN = 'bcdfghjklmnpqrst';

/** The places of them in a request. Throws where one is not there. */
export function differences(request: Buffer, templates: Templates): Counter[] {
  const uid = request.indexOf('"uid":"') + '"uid":"'.length;
  const counters = [{ at: uid + 24, digits: 12, letters: HEX }];
  const volumes = placesOf(request, '"kube-api-access-');
  for (const at of volumes) counters.push({ at, digits: 5, letters: DRAWN });
  const hashes = [...placesOf(request, '"generateName":"web-'), ...placesOf(request, '"pod-template-hash":"')];
  if (templates === 'many templates') for (const at of hashes) counters.push({ at, digits: 9, letters: HEX });
  if (uid < 24 || volumes.length === 0 || hashes.length !== 2) throw new Error('the review is of no ReplicaSet');
  return counters;
}

function placesOf(request: Buffer, before: string): number[] {
  const places: number[] = [];
  for (let at = request.indexOf(before); at >= 0; at = request.indexOf(before, at + 1)) places.push(at + before.length);
  return places;
}
