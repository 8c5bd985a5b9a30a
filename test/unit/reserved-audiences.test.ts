import { expect, test, vi } from 'vitest';
import { silentLog } from '../../src/log.ts';
import { findReservedAudiences, followReservedAudiences } from '../../webhook/reserved-audiences.ts';

const answer =
  (body: object, status = 200) =>
  async () => ({ status, body: Buffer.from(JSON.stringify(body)) });
const issuer = { issuer: 'https://issuer.example.com' };

test('both sources are asked, and one that does not answer leaves the other', async () => {
  const credentialAudiences = async () => ['https://kubernetes.default.svc'];
  const both = await findReservedAudiences({ credentialAudiences, get: answer(issuer) }, silentLog);
  expect(both).toEqual({ found: new Set(['https://kubernetes.default.svc', issuer.issuer]), complete: true });
  const one = await findReservedAudiences({ credentialAudiences, get: answer({}, 403) }, silentLog);
  expect(one).toEqual({ found: new Set(['https://kubernetes.default.svc']), complete: false });
});

test('the search goes on until every source has answered, and warns while nothing is known', async () => {
  vi.useFakeTimers();
  const warnings: string[] = [];
  const log = { ...silentLog, warn: (_: object, message: string) => void warnings.push(message) };
  const uses: string[][] = [];
  let get = answer({}, 503);
  const sources = { credentialAudiences: async () => [], get: () => get() };
  const search = followReservedAudiences(sources, log, (found) => void uses.push([...found]));
  await vi.advanceTimersByTimeAsync(25_000);
  expect({ uses, warnings: warnings.length }).toEqual({ uses: [], warnings: 1 });
  get = answer(issuer);
  await vi.advanceTimersByTimeAsync(10_000);
  expect(uses).toEqual([[issuer.issuer]]);
  expect(vi.getTimerCount()).toBe(0);
  search.stop();
  vi.useRealTimers();
});
