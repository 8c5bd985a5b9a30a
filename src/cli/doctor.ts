import type { CommandSettings } from '../catalog/commands.ts';
import { readCertificates } from '../runtime/certificates.ts';
import { keysOf } from './doctor/keys.ts';
import { lookAtToken } from './doctor/look-at-token.ts';
import type { Inside } from './doctor/look-inside.ts';
import { lookOutside } from './doctor/look-outside.ts';
import type { Observation } from './doctor/observation.ts';
import type { Trust } from './doctor/outsider.ts';
import { report } from './doctor/report.ts';
import { judge } from './doctor/rule.ts';
import { rules } from './doctor/rules.ts';
import type { Terminal } from './terminal.ts';

type Settings = CommandSettings<'doctor'>;

export async function runDoctor(settings: Settings, terminal: Terminal): Promise<number> {
  const ca = settings.ca === undefined ? undefined : readCertificates(settings.ca);
  const given = settings.token === '-' ? (await terminal.readInput()).toString('latin1') : settings.token;
  const observation = await observe(settings, { ca, token: given?.trim() }, terminal);
  const findings = judge(observation, settings.target, rules);
  if (settings.output === 'json') terminal.out(`${JSON.stringify({ findings }, undefined, 2)}\n`);
  else terminal.out(report(findings, observation.issuer ?? observation.cluster?.server ?? 'nothing'));
  return findings.some(({ severity }) => severity === 'error') ? 1 : 0;
}

/** All that is looked at. Nothing in here judges; what cannot be seen is absent. */
async function observe(
  settings: Settings,
  { ca, token }: { readonly ca: Trust; readonly token: string | undefined },
  terminal: Terminal,
): Promise<Observation> {
  const inside = await lookIn(settings, terminal);
  const issuer = settings.issuer ?? inside?.cluster.answers.map((answer) => answer.issuer).find(Boolean);
  const outside =
    issuer === undefined || !/^https?:/.test(issuer) || !URL.canParse(issuer) ? {} : await lookOutside(issuer, ca);
  const keys = keysOf(outside.jwks);
  const { audience } = settings;
  const tokens = [
    ...(token === undefined ? [] : [{ token, name: 'the token given' }]),
    ...(inside?.minted === undefined ? [] : [inside.minted]),
  ];
  return {
    now: Date.now(),
    version: terminal.version,
    issuer,
    ...outside,
    tokens: await Promise.all(tokens.map((each) => lookAtToken(each.token, keys, { name: each.name, audience }))),
    cluster: inside?.cluster,
  };
}

/** The cluster of `--kubeconfig`; loaded only then, as the Kubernetes client is large. */
async function lookIn({ kubeconfig, audience }: Settings, terminal: Terminal): Promise<Inside | undefined> {
  if (kubeconfig === undefined) return undefined;
  const { loadKubeConfig } = await import('../runtime/kube-client.ts');
  const { lookInside } = await import('./doctor/look-inside.ts');
  return lookInside(loadKubeConfig({ kubeconfig, env: terminal.env }), audience);
}
