/** A whole node with podpass installed on it, for trials by hand: `npm run cluster:node`. Ctrl-C takes everything down. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Installed } from './installed.ts';
import { findNodeParts } from './parts.ts';

const say = (line: string) => void process.stderr.write(`${line}\n`);
let installed: Installed | undefined;

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

let ending = false;
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
  process.on(signal, () => {
    if (ending) process.exit(1);
    ending = true;
    say('taking everything down');
    void (installed?.stop() ?? Promise.resolve()).then(
      () => process.exit(0),
      () => process.exit(1),
    );
  });
}

try {
  console.log(await start());
  // Nothing else keeps this process alive.
  setInterval(() => undefined, 60_000);
} catch (error) {
  if (!ending) {
    await installed?.stop();
    say(error instanceof Error ? error.message : String(error));
    process.exitCode = 1;
  }
}
