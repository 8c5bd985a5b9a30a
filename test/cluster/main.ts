/** A control plane with podpass in it, for trials by hand: `npm run cluster`. Ctrl-C takes everything down. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { controlPlaneBinaries } from './binaries.ts';
import { startControlPlane } from './control-plane.ts';
import { register, startDiscovery, startWebhook } from './podpass.ts';
import { freePort } from './servers.ts';

const POD = `{
  "apiVersion": "v1",
  "kind": "Pod",
  "metadata": {
    "generateName": "web-",
    "annotations": { "podpass.dev/audience.vault": "https://vault.example.com", "podpass.dev/env.vault": "VAULT_TOKEN_FILE" }
  },
  "spec": { "serviceAccountName": "web", "containers": [{ "name": "app", "image": "app:1" }] }
}
`;

const say = (line: string) => process.stderr.write(`${line}\n`);

/** Whatever is started is stopped in the opposite order. */
const started: { stop(): Promise<unknown> }[] = [];
async function stopAll(): Promise<void> {
  for (const each of started.reverse()) await each.stop();
}

async function run(signal: Promise<unknown>): Promise<number> {
  const binaries = await controlPlaneBinaries(say);
  if (!binaries.ok) {
    say(`This cannot run here: ${binaries.reason}`);
    return 1;
  }
  const keep = async <T extends { stop(): Promise<unknown> }>(starting: Promise<T>): Promise<T> => {
    const one = await starting;
    started.push(one);
    return one;
  };

  const folder = await mkdtemp(join(tmpdir(), 'podpass-trial-'));
  started.push({ stop: () => rm(folder, { recursive: true, force: true }) });
  const podFile = join(folder, 'pod.json');
  await writeFile(podFile, POD);

  const port = await freePort();
  const issuer = `https://localhost:${port}`;
  say('starting etcd and kube-apiserver');
  const cluster = await keep(startControlPlane({ binaries, issuer }));
  say('starting podpass');
  const webhook = await keep(startWebhook(cluster));
  const discovery = await keep(startDiscovery(cluster, ['--port', String(port)]));
  await register(cluster, webhook);
  await cluster.createServiceAccount('default', 'web', { 'podpass.dev/audiences': 'https://api.example.com' });

  const ca = discovery.files.caFile;
  const token = `TOKEN=$(curl -sS --cacert "$CA" -H "$AUTH" -H 'content-type: application/json' \\
    -d '{"spec": {"audiences": ["https://api.example.com"]}}' \\
    "$API/api/v1/namespaces/default/serviceaccounts/web/token" | jq -r .status.token)`;
  console.log(`
export KUBECONFIG=${cluster.kubeconfigPath}
issuer    ${issuer}   (CA ${ca})
webhook   ${webhook.url}/mutate   (registered, failurePolicy Fail)
metrics   ${await statusUrls(webhook, discovery)}
logs      ${webhook.logFile}
          ${discovery.logFile}

With kubectl:
  kubectl create -f ${podFile} -o yaml
  kubectl create token web --audience https://api.example.com

Without it:
  API=${cluster.url} CA=${cluster.caFile} AUTH='Authorization: Bearer ${cluster.adminToken}'
  curl -sS --cacert "$CA" -H "$AUTH" -H 'content-type: application/json' \\
    -d @${podFile} "$API/api/v1/namespaces/default/pods"
  ${token}

As an outsider:
  curl -sS --cacert ${ca} ${issuer}/.well-known/openid-configuration
  node dist/podpass.js verify "$TOKEN" --issuer ${issuer} --audience https://api.example.com --ca ${ca}

Ctrl-C takes everything down.`);
  await signal;
  say('\ntaking everything down');
  return 0;
}
