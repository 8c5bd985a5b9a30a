/** The whole of an admission that is like no other, without a server, for a quick look at what a change does. */

import { writeReview } from '../../webhook/admission-review.ts';
import { admit } from '../../webhook/admit.ts';
import { parseReview } from '../parse-review.ts';
import { type Case, cases } from './admission/cases.ts';
import type { Bench } from './bench.ts';
import type { Ratio, Result } from './result.ts';
import { spread } from './statistics.ts';

const PART = 'in-process';
const AGAINST = 'JSON.parse, JSON.stringify';

const settings = {
  annotationPrefix: 'podpass.dev',
  mountPath: '/var/run/secrets/podpass.dev/tokens',
  tokenExpiration: 3600,
  reservedAudiences: new Set<string>(),
  presets: [],
};

export async function inProcess(bench: Bench): Promise<Result[]> {
  const { rounds, roundMs, warmUp } = bench.plan;
  const ratios: Ratio[] = [];
  // Presets are another's file; the others show what parsing and patching cost.
  const isWanted = ({ name, templates }: Case) =>
    name !== 'aws' && templates === 'one template' && bench.wants(PART, name);
  for (const { name, body, account } of cases.filter(isWanted)) {
    const serviceAccount = { namespace: '', name: '', annotations: {}, ...account };
    const source = { get: async () => ({ found: true, source: 'cache', serviceAccount }) as const };
    const own = async () => {
      const request = parseReview(body);
      return writeReview(request, (await admit(request, source, settings)).response);
    };
    const floor = async () => JSON.stringify(JSON.parse(body.toString()));
    for (const work of [own, floor]) for (let i = 0; i < warmUp; i++) await work();
    const measured = [];
    for (let i = 0; i < rounds * bench.starts; i++) {
      measured.push((await cpuOf(floor, roundMs)) / (await cpuOf(own, roundMs)));
    }
    ratios.push({ part: PART, case: name, against: AGAINST, measure: 'CPU time', kept: true, ...spread(measured) });
  }
  return [{ ratios, figures: [], notes: [] }];
}

/** Processor time of one unit of work, in microseconds. */
async function cpuOf(work: () => Promise<unknown>, ms: number): Promise<number> {
  const before = process.cpuUsage();
  const began = performance.now();
  let done = 0;
  while (performance.now() - began < ms) {
    for (let i = 0; i < 16; i++) await work();
    done += 16;
  }
  const { user, system } = process.cpuUsage(before);
  return (user + system) / done;
}
