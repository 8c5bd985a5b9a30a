/** In what the reviews of Pods differ that are created one after the other. */
import type { Counter } from '../load/counter.ts';

/** Pods of one template, of templates that differ in nothing that is read, or of which no two have the same containers. */
export type Templates = 'one template' | 'many templates' | 'none alike';

/** The end of a text that differs in the reviews of many templates. */
export const COUNTED = '-000000000';

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
  const texts = placesOf(request, COUNTED).map((at) => at - COUNTED.length + 1);
  if (templates !== 'one template')
    for (const at of [...hashes, ...texts]) counters.push({ at, digits: 9, letters: HEX });
  if ((templates !== 'one template') !== texts.length > 0) throw new Error('the Pod is of another kind');
  if (uid < 24 || volumes.length === 0 || hashes.length !== 2) throw new Error('the review is of no ReplicaSet');
  return counters;
}

function placesOf(request: Buffer, before: string): number[] {
  const places: number[] = [];
  for (let at = request.indexOf(before); at >= 0; at = request.indexOf(before, at + 1)) places.push(at + before.length);
  return places;
}
