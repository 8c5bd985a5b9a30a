/** A control plane with podpass in it, for trials by hand: `npm run cluster`. Ctrl-C takes everything down. */
import { writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { runByHand, say } from '../by-hand.ts';
import { controlPlaneBinaries } from './binaries.ts';
import { startControlPlane } from './control-plane.ts';
import { register, startDiscovery, startWebhook } from './podpass.ts';
import { freePort } from './servers.ts';

const AUDIENCE = 'https://api.example.com';
const POD = {
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: {
    generateName: 'web-',
    annotations: {
      'podpass.dev/audience.vault': 'https://vault.example.com',
      'podpass.dev/env.vault': 'VAULT_TOKEN_FILE',
    },
  },
  spec: { serviceAccountName: 'web', containers: [{ name: 'app', image: 'app:1' }] },
};

interface Stoppable {
  stop(): Promise<unknown>;
}

const started: Stoppable[] = [];

async function keep<T extends Stoppable>(starting: Promise<T>): Promise<T> {
  const one = await starting;
  started.unshift(one);
  return one;
}

/** The last one first. What is still on its way is killed by its guardian when this process ends. */
async function stopAll(): Promise<void> {
  for (const each of started.splice(0)) await each.stop();
}

async function start(): Promise<string> {
  const binaries = await controlPlaneBinaries(say);
  if (!binaries.ok) throw new Error(`a control plane cannot run here: ${binaries.reason}`);
  const port = await freePort();
  const issuer = `https://localhost:${port}`;
  say('starting etcd and kube-apiserver');
  const cluster = await keep(startControlPlane({ binaries, issuer }));
  say('starting podpass');
  const webhook = await keep(startWebhook(cluster));
  const discovery = await keep(startDiscovery(cluster, ['--port', String(port)]));
  await register(cluster, webhook);
  await cluster.createServiceAccount('default', 'default');
  await cluster.createServiceAccount('default', 'web', { 'podpass.dev/audiences': AUDIENCE });
  const podFile = join(dirname(cluster.kubeconfigPath), 'pod.json');
  await writeFile(podFile, `${JSON.stringify(POD, undefined, 2)}\n`);

  const ca = discovery.files.caFile;
  const curl = `curl -sS --cacert ${cluster.caFile} -H 'Authorization: Bearer ${cluster.adminToken}' -H 'content-type: application/json'`;
  const api = `${cluster.url}/api/v1/namespaces/default`;
  return `
KUBECONFIG  ${cluster.kubeconfigPath}
issuer      ${issuer}
its CA      ${ca}
webhook     ${webhook.url}/mutate (registered, failurePolicy Fail)
status      ${webhook.statusUrl}/metrics and ${discovery.statusUrl}/metrics, also /readyz
logs        ${webhook.logFile} and ${discovery.logFile}

A Pod through the webhook, and a token as the kubelet would ask for it, with kubectl:
  export KUBECONFIG=${cluster.kubeconfigPath}
  kubectl create -f ${podFile} -o yaml
  TOKEN=$(kubectl create token web --audience ${AUDIENCE})

or without:
  ${curl} -d @${podFile} ${api}/pods
  TOKEN=$(${curl} -d '{"spec": {"audiences": ["${AUDIENCE}"]}}' ${api}/serviceaccounts/web/token \\
    | node -p 'JSON.parse(fs.readFileSync(0)).status.token')

The token in the eyes of an outsider:
  curl -sS --cacert ${ca} ${issuer}/.well-known/openid-configuration
  node dist/podpass.js verify "$TOKEN" --issuer ${issuer} --audience ${AUDIENCE} --ca ${ca}

Ctrl-C takes everything down.`;
}

await runByHand(start, stopAll);
