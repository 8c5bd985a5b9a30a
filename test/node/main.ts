/** A whole node with podpass installed on it, for trials by hand: `npm run cluster:node`. Ctrl-C takes everything down. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { runByHand, say } from '../by-hand.ts';
import { Installed } from './installed.ts';
import { findNodeParts } from './parts.ts';

let installed: Installed | undefined;

const stop = async () => installed?.stop();

async function start(): Promise<string> {
  const folder = mkdtempSync(join(tmpdir(), 'podpass-image-'));
  try {
    const parts = await findNodeParts(folder, say);
    if (!parts.ok) throw new Error(`a node cannot run here: ${parts.reason}`);
    say('starting the node');
    installed = await Installed.prepare(parts);
  } finally {
    rmSync(folder, { recursive: true });
  }
  const { node } = installed;
  say('applying manifests/base');
  const { code, stderr } = await installed.kubectl('apply', 'base');
  if (code !== 0) throw new Error(stderr);
  await installed.rolledOut('webhook');
  await installed.rolledOut('discovery');
  await installed.openIssuer();
  return `
export KUBECONFIG=${node.cluster.kubeconfigPath}
kubectl     ${node.kubectlPath}
issuer      ${installed.issuer}
its CA      ${installed.caFile}
image       podpass:0.1.0 is on the node, and has a node to run scripts with: /usr/local/bin/node

Ctrl-C takes everything down.`;
}

await runByHand(start, stop);
