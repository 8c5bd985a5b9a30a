/** The two documents over TLS, against their bytes from a bare server, and against the API server that has them too. */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { serviceAccountKeyPair } from '../cluster/control-plane.ts';
import type { Bench } from './bench.ts';
import { requestBytes } from './load/request.ts';
import { compareRounds, type Goals, join as joinStarts, type Result, type Rounds } from './result.ts';
import { type Candidate, interleave } from './rounds.ts';
import { allCores, moveTo } from './servers/cores.ts';
import { answerWith, startFloor } from './servers/floor.ts';
import { startPodpass } from './servers/podpass-process.ts';

const PART = 'discovery';
const DOCUMENTS = { 'JWK Set': '/openid/v1/jwks', metadata: '/.well-known/openid-configuration' };
const [ECHO, API_SERVER] = ['TLS echo', 'API server'];
const GOALS: Goals = {
  [ECHO]: { 'CPU time': 0.8, throughput: 0.8 },
  [API_SERVER]: { 'CPU time': 2.5, throughput: 2.5 },
};

export async function discovery(bench: Bench): Promise<Result[]> {
  const rounds = new Map<string, Rounds>();
  for (let start = 0; start < bench.starts; start++) {
    bench.say(`${PART}: start ${start + 1} of ${bench.starts}`);
    await measure(bench, rounds);
  }
  const left = bench.controlPlane ? [] : [`${PART}: the API server is left out; --cluster has it asked too`];
  return [
    ...[...rounds].map(([name, each]) => compareRounds(PART, name, each, GOALS)),
    { ratios: [], figures: [], notes: left },
  ];
}

async function measure(
  { folder, tls, spawning, generator, controlPlane, plan, wants }: Bench,
  all: Map<string, Rounds>,
) {
  const keys = join(folder, 'keys.pem');
  await writeFile(keys, controlPlane?.keyFiles[0] ?? serviceAccountKeyPair('rsa').publicPem);
  const flags = ['--issuer', 'https://issuer.example.com', '--keys', keys];
  const podpass = await startPodpass(
    'discovery',
    [...flags, '--tls-cert', tls.certFile, '--tls-key', tls.keyFile],
    spawning,
  );
  const echo = await startFloor('echo', tls, spawning);
  await generator.connect('podpass', podpass.port, tls.ca);
  await generator.connect('echo', echo.port, tls.ca);
  const pid = controlPlane?.pids.at(-1);
  if (controlPlane) await generator.connect('api', Number(new URL(controlPlane.url).port), controlPlane.caPem);
  if (pid !== undefined && spawning.core !== undefined) moveTo(String(spawning.core), pid);
  try {
    for (const [name, path] of Object.entries(DOCUMENTS)) {
      if (!wants(PART, name)) continue;
      const request = requestBytes('GET', path);
      const { status, body } = await generator.once('podpass', request);
      if (status !== 200) throw new Error(`${path} was answered with ${status}: ${body}`);
      await answerWith(echo, { bytes: body, type: 'application/json' });
      const candidates: Candidate[] = [
        { name: 'podpass', target: 'podpass', request, server: podpass.process },
        { name: ECHO, target: 'echo', request, server: echo.process },
      ];
      if (controlPlane) {
        // Who asks without a token is not let in here; the API server looks this one up in a list of a few.
        const headers = { Authorization: `Bearer ${controlPlane.adminToken}` };
        candidates.push({
          name: API_SERVER,
          target: 'api',
          request: requestBytes('GET', path, { headers }),
          server: pid,
        });
      }
      all.set(name, joinStarts(all.get(name), candidates, await interleave(generator, candidates, plan)));
    }
  } finally {
    if (pid !== undefined && spawning.core !== undefined) moveTo(allCores(), pid);
  }
  for (const target of ['podpass', 'echo', ...(controlPlane ? ['api'] : [])]) await generator.disconnect(target);
  for (const { process } of [podpass, echo]) await process.stop();
}
