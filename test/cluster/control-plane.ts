/** A real kube-apiserver on a real etcd, on free loopback ports, in a temporary folder, without root. */
import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { mkdir, mkdtemp, writeFile } from 'node:fs/promises';
import { get } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { ApiClient, type ApiResponse, type RequestOptions } from './api-client.ts';
import type { Binaries } from './binaries.ts';
import { freePort, Guardian, Server } from './servers.ts';

export interface ControlPlaneOptions {
  binaries: Pick<Binaries, 'kubeApiserver' | 'etcd'>;
  /** `--service-account-issuer`; of several the first signs. Default https://issuer.podpass.test */
  issuer?: string | string[];
  /**
   * Keys for tokens: a fresh pair of that kind (the default is RSA), or PEMs: the signing key, and one
   * `--service-account-key-file` for each text in `files`.
   */
  keys?: 'rsa' | 'ec' | { signing: string; files: string[] };
  /** Another one, whose etcd this API server shares: two API servers of one cluster. Stop this one first. */
  beside?: ControlPlane;
  /** `--api-audiences`; default: the issuers. */
  apiAudiences?: string[];
  /** Further flags of the API server, e.g. `--service-account-max-token-expiration=1h`. */
  extraArgs?: string[];
  /** Where the servers run; default: on this machine's own loopback. */
  place?: Place;
  /** Who else may come, by a token of their own: the kubelet and its like. */
  users?: readonly User[];
  /** How long each server may take to become ready. Default 60 s. */
  readyTimeoutMs?: number;
}

/** A network of its own, such as that of a node. */
export interface Place {
  /** Comes before each program and its arguments. */
  readonly prefix: readonly string[];
  /** The API server's address for all that is there. */
  readonly address: string;
  /** PEMs. The API server's own certificate would not be good for the address that it has for us. */
  readonly certificate: { readonly ca: string; readonly cert: string; readonly key: string };
  /** Makes a port of the loopback there answer on ours, under the same number. */
  expose(port: number): Promise<void>;
}

export interface User {
  name: string;
  groups: readonly string[];
  token: string;
}

export interface KubeObject {
  apiVersion?: string;
  kind?: string;
  metadata: {
    name: string;
    namespace?: string;
    uid: string;
    annotations?: Record<string, string>;
    labels?: Record<string, string>;
    [field: string]: unknown;
  };
  [field: string]: unknown;
}

export interface TokenRequest {
  audiences?: string[];
  expirationSeconds?: number;
  boundPod?: { name: string; uid: string };
}

export interface RestartOptions {
  /** PEMs for further `--service-account-key-file`s, after those there are. */
  addKeyFiles?: string[];
  /** PEMs for all of them, in the place of those there are. */
  keyFiles?: string[];
  /** Instead of those there are; the first signs. */
  issuers?: string[];
  /** PEM of another signing key. Its public half is published only if a key file holds it. */
  signingKey?: string;
  /** Default SIGKILL: after a SIGTERM the API server waits up to 60 s for clients that watch. */
  kill?: 'SIGKILL' | 'SIGTERM';
}

export interface Webhook {
  /** Name of the MutatingWebhookConfiguration; the order of several is the order of their names. */
  name: string;
  url: string;
  caPem: string;
  failurePolicy: 'Fail' | 'Ignore';
  /** Default: the creation of Pods. */
  rules?: object[];
  reinvocationPolicy?: 'Never' | 'IfNeeded';
  timeoutSeconds?: number;
  namespaceSelector?: object;
  objectSelector?: object;
  matchConditions?: object[];
}

export interface PolicyRule {
  verbs: string[];
  apiGroups?: string[];
  resources?: string[];
  resourceNames?: string[];
  nonResourceURLs?: string[];
}

export interface KeyPair {
  privatePem: string;
  publicPem: string;
}

/** In the formats that kubeadm writes; the API server does not read every PEM everywhere. */
export function serviceAccountKeyPair(kind: 'rsa' | 'ec'): KeyPair {
  const { privateKey, publicKey } =
    kind === 'rsa'
      ? generateKeyPairSync('rsa', { modulusLength: 2048 })
      : generateKeyPairSync('ec', { namedCurve: 'P-256' });
  return {
    privatePem: privateKey.export({ format: 'pem', type: kind === 'rsa' ? 'pkcs1' : 'sec1' }).toString(),
    publicPem: publicKey.export({ format: 'pem', type: 'spki' }).toString(),
  };
}

export async function startControlPlane(options: ControlPlaneOptions): Promise<ControlPlane> {
  const controlPlane = new ControlPlane(options, await mkdtemp(join(tmpdir(), 'podpass-cluster-')));
  try {
    await controlPlane.start();
    return controlPlane;
  } catch (error) {
    await controlPlane.stop();
    throw error;
  }
}

export class ControlPlane {
  readonly issuer: string;
  readonly adminToken = randomBytes(16).toString('hex');
  readonly #options: ControlPlaneOptions;
  #issuers: string[];
  readonly #folder: string;
  readonly #guardian: Guardian;
  #keyFiles: string[];
  #signingKey: string;
  #etcd: Server | undefined;
  #etcdPort = 0;
  #apiServer: Server | undefined;
  #port = 0;
  #client: ApiClient | undefined;
  #generation = 0;
  #fileNumber = 0;

  /** Use startControlPlane. */
  constructor(options: ControlPlaneOptions, folder: string) {
    this.#options = options;
    this.#issuers = [options.issuer ?? 'https://issuer.podpass.test'].flat();
    this.issuer = this.#issuers[0] ?? '';
    this.#folder = folder;
    this.#guardian = new Guardian(folder);
    const keys = options.keys ?? 'rsa';
    if (typeof keys === 'string') {
      const pair = serviceAccountKeyPair(keys);
      this.#signingKey = pair.privatePem;
      this.#keyFiles = [pair.publicPem];
    } else {
      this.#signingKey = keys.signing;
      this.#keyFiles = [...keys.files];
    }
  }

  get url(): string {
    return `https://127.0.0.1:${this.#port}`;
  }

  /** The certificates that vouch for the API server. Unless it has a place it made them itself, and keeps them. */
  get caFile(): string {
    return join(this.#folder, this.#place ? 'pki/ca.crt' : 'pki/apiserver.crt');
  }

  get caPem(): string {
    return readFileSync(this.caFile, 'utf8');
  }

  /** PEM of the private key that signs tokens now. */
  get signingKey(): string {
    return this.#signingKey;
  }

  /** The PEMs of all `--service-account-key-file`s. */
  get keyFiles(): readonly string[] {
    return this.#keyFiles;
  }

  get kubeconfigPath(): string {
    return join(this.#folder, 'admin.kubeconfig');
  }

  /** Where the servers keep their files; gone after stop. */
  get folder(): string {
    return this.#folder;
  }

  get etcdPort(): number {
    return this.#etcdPort;
  }

  /** Process numbers of the servers that run. */
  get pids(): number[] {
    return [this.#etcd, this.#apiServer].flatMap((server) => (server?.running && server.pid ? [server.pid] : []));
  }

  async start(): Promise<void> {
    await mkdir(join(this.#folder, 'pki'));
    const admin = { name: 'admin', groups: ['system:masters'], token: this.adminToken };
    const tokens = [admin, ...(this.#options.users ?? [])].map(
      ({ name, groups, token }) => `${token},${name},${name},"${groups.join()}"\n`,
    );
    await writeFile(join(this.#folder, 'tokens.csv'), tokens.join(''), { mode: 0o600 });
    const { ca, cert, key } = this.#place?.certificate ?? {};
    for (const [name, pem] of Object.entries({ 'ca.crt': ca, 'apiserver.crt': cert, 'apiserver.key': key })) {
      if (pem !== undefined) await writeFile(join(this.#folder, 'pki', name), pem, { mode: 0o600 });
    }
    if (this.#options.beside) this.#etcdPort = this.#options.beside.etcdPort;
    else {
      await withFreePorts(async () => {
        this.#etcdPort = await freePort();
        await this.#place?.expose(this.#etcdPort);
        await this.startEtcd();
      });
    }
    await withFreePorts(async () => {
      this.#port = await freePort();
      await this.#place?.expose(this.#port);
      await this.startApiServer();
    });
    await writeFile(this.kubeconfigPath, this.#kubeconfig(this.adminToken));
    // Readiness comes a moment before the first namespace.
    await this.#until('the namespace default', async () => {
      return (await this.request('GET', '/api/v1/namespaces/default')).status === 200;
    });
  }

  /** Starts etcd again, with what it knew, after killEtcd. */
  async startEtcd(): Promise<void> {
    if (this.#etcd?.running) throw new Error('etcd runs already');
    const client = `http://127.0.0.1:${this.#etcdPort}`;
    const peer = `http://127.0.0.1:${await freePort()}`;
    const args = [
      `--data-dir=${join(this.#folder, 'etcd')}`,
      `--listen-client-urls=${client}`,
      `--advertise-client-urls=${client}`,
      `--listen-peer-urls=${peer}`,
      `--initial-advertise-peer-urls=${peer}`,
      `--initial-cluster=default=${peer}`,
      // A cluster of tests survives no power cut.
      '--unsafe-no-fsync',
      '--log-level=warn',
    ];
    const server = this.#server('etcd', this.#options.binaries.etcd, args);
    this.#etcd = server;
    await server.ready(() => answersOk(`${client}/health`), this.#readyTimeoutMs);
  }

  /** Starts the API server again, on the same port, after killApiServer. */
  async startApiServer(): Promise<void> {
    if (this.#apiServer?.running) throw new Error('the API server runs already');
    // New files each time: the keys of an earlier start stay readable in the folder of a failed test.
    const generation = ++this.#generation;
    const file = (name: string) => join(this.#folder, name);
    const write = async (name: string, text: string) => {
      await writeFile(file(name), text, { mode: 0o600 });
      return file(name);
    };
    const keyFlags = [
      `--service-account-signing-key-file=${await write(`signing-${generation}.pem`, this.#signingKey)}`,
    ];
    for (const [i, pem] of this.#keyFiles.entries()) {
      keyFlags.push(`--service-account-key-file=${await write(`keys-${generation}-${i}.pem`, pem)}`);
    }
    const args = [
      `--etcd-servers=http://127.0.0.1:${this.#etcdPort}`,
      `--cert-dir=${file('pki')}`,
      ...(this.#place
        ? [`--tls-cert-file=${file('pki/apiserver.crt')}`, `--tls-private-key-file=${file('pki/apiserver.key')}`]
        : []),
      `--secure-port=${this.#port}`,
      ...(this.#place
        ? ['--bind-address=0.0.0.0', `--advertise-address=${this.#place.address}`]
        : // A loopback address is no valid endpoint of the Service "kubernetes".
          ['--bind-address=127.0.0.1', '--advertise-address=127.0.0.1', '--endpoint-reconciler-type=none']),
      '--service-cluster-ip-range=10.96.0.0/16',
      `--token-auth-file=${file('tokens.csv')}`,
      '--authorization-mode=Node,RBAC',
      '--allow-privileged=true',
      ...this.#issuers.map((issuer) => `--service-account-issuer=${issuer}`),
      ...(this.#options.apiAudiences ? [`--api-audiences=${this.#options.apiAudiences.join(',')}`] : []),
      ...keyFlags,
      ...(this.#options.extraArgs ?? []),
    ];
    const server = this.#server('kube-apiserver', this.#options.binaries.kubeApiserver, args);
    this.#apiServer = server;
    this.#client?.close();
    this.#client = undefined;
    await server.ready(async () => {
      // Made anew until it works: at the first start the certificate appears while we wait.
      if (!existsSync(this.caFile)) return false;
      const client = new ApiClient(this.url, this.caPem, this.adminToken);
      const ready = await client.request('GET', '/readyz', undefined, { timeoutMs: 5_000 }).then(
        (answer) => answer.status === 200,
        () => false,
      );
      if (ready) this.#client = client;
      else client.close();
      return ready;
    }, this.#readyTimeoutMs);
  }

  /** A server of this control plane, in its place. */
  #server(name: string, program: string, args: readonly string[]): Server {
    const [first = program, ...rest] = [...(this.#place?.prefix ?? []), program, ...args];
    return new Server(this.#guardian, name, first, rest, join(this.#folder, `${name}.log`));
  }

  async killEtcd(): Promise<void> {
    await this.#etcd?.end('SIGKILL');
  }

  async killApiServer(signal: 'SIGKILL' | 'SIGTERM' = 'SIGKILL'): Promise<void> {
    await this.#apiServer?.end(signal);
    this.#client?.close();
  }

  async restartApiServer(options: RestartOptions = {}): Promise<void> {
    await this.killApiServer(options.kill);
    this.#keyFiles = [...(options.keyFiles ?? this.#keyFiles), ...(options.addKeyFiles ?? [])];
    this.#issuers = options.issuers ?? this.#issuers;
    this.#signingKey = options.signingKey ?? this.#signingKey;
    await this.startApiServer();
  }

  /** Ends every process and removes the folder; may be called twice. */
  async stop(): Promise<void> {
    this.#client?.close();
    await Promise.all([this.#apiServer?.end('SIGKILL'), this.#etcd?.end('SIGKILL')]);
    await this.#guardian.end();
  }

  /** What the servers said last, for the report of a failed test. */
  logs(lines = 20): string {
    return [this.#etcd, this.#apiServer].map((server) => server?.logTail(lines) ?? '').join('\n');
  }

  async request<T = unknown>(
    method: string,
    path: string,
    body?: unknown,
    options?: RequestOptions,
  ): Promise<ApiResponse<T>> {
    return this.#connected.request<T>(method, path, body, options);
  }

  /** Like request, but returns the body, and any status outside 2xx is thrown as an ApiError. */
  async expect<T = KubeObject>(method: string, path: string, body?: unknown, options?: RequestOptions): Promise<T> {
    return this.#connected.expect<T>(method, path, body, options);
  }

  createNamespace(name: string, metadata: { labels?: Record<string, string> } = {}): Promise<KubeObject> {
    return this.expect('POST', '/api/v1/namespaces', { metadata: { name, ...metadata } });
  }

  /** No controller runs that would make the ServiceAccount "default": tests create what their Pods use. */
  createServiceAccount(namespace: string, name: string, annotations?: Record<string, string>): Promise<KubeObject> {
    return this.expect('POST', `/api/v1/namespaces/${namespace}/serviceaccounts`, { metadata: { name, annotations } });
  }

  /** Returns the answer as it is, since refusals and warnings are what tests look at. */
  createPod(namespace: string, pod: object, options: { dryRun?: boolean } = {}): Promise<ApiResponse<KubeObject>> {
    const query = options.dryRun ? '?dryRun=All' : '';
    return this.request('POST', `/api/v1/namespaces/${namespace}/pods${query}`, pod);
  }

  /** Asks for a token as the kubelet does for a projected volume. */
  async requestToken(namespace: string, serviceAccount: string, wanted: TokenRequest = {}): Promise<string> {
    const { audiences, expirationSeconds, boundPod } = wanted;
    const boundObjectRef = boundPod && { apiVersion: 'v1', kind: 'Pod', ...boundPod };
    const path = `/api/v1/namespaces/${namespace}/serviceaccounts/${serviceAccount}/token`;
    const answer = await this.expect<{ status: { token: string } }>('POST', path, {
      apiVersion: 'authentication.k8s.io/v1',
      kind: 'TokenRequest',
      spec: { audiences, expirationSeconds, boundObjectRef },
    });
    return answer.status.token;
  }

  /** Writes a kubeconfig and returns its path. A ServiceAccount's one holds a token for one hour. */
  async kubeconfigFor(who: { token: string } | { namespace: string; serviceAccount: string }): Promise<string> {
    const token = 'token' in who ? who.token : await this.requestToken(who.namespace, who.serviceAccount);
    const path = join(this.#folder, `${++this.#fileNumber}.kubeconfig`);
    await writeFile(path, this.#kubeconfig(token), { mode: 0o600 });
    return path;
  }

  /** Gives a ServiceAccount these rules in the whole cluster and waits until they hold. */
  async grant(namespace: string, serviceAccount: string, rules: PolicyRule[]): Promise<void> {
    const name = `test:${namespace}:${serviceAccount}:${++this.#fileNumber}`;
    const group = 'rbac.authorization.k8s.io';
    await this.expect('POST', `/apis/${group}/v1/clusterroles`, { metadata: { name }, rules });
    await this.expect('POST', `/apis/${group}/v1/clusterrolebindings`, {
      metadata: { name },
      roleRef: { apiGroup: group, kind: 'ClusterRole', name },
      subjects: [{ kind: 'ServiceAccount', namespace, name: serviceAccount }],
    });
    const rule = rules.at(-1);
    if (!rule) return;
    const verb = rule.verbs[0];
    const spec = rule.nonResourceURLs
      ? { nonResourceAttributes: { verb, path: rule.nonResourceURLs[0] } }
      : {
          resourceAttributes: {
            verb,
            group: rule.apiGroups?.[0],
            resource: rule.resources?.[0]?.split('/')[0],
            subresource: rule.resources?.[0]?.split('/')[1],
            name: rule.resourceNames?.[0],
          },
        };
    const user = `system:serviceaccount:${namespace}:${serviceAccount}`;
    await this.#until(`the rights of ${user}`, async () => {
      const path = '/apis/authorization.k8s.io/v1/subjectaccessreviews';
      const review = await this.expect<{ status: { allowed: boolean } }>('POST', path, { spec: { ...spec, user } });
      return review.status.allowed;
    });
  }

  /** Registers a mutating webhook and waits until the API server calls it. */
  async registerWebhook(webhook: Webhook): Promise<void> {
    const { name, url, caPem, failurePolicy, rules = [podCreation], ...rest } = webhook;
    const common = { admissionReviewVersions: ['v1'], sideEffects: 'None' };
    const clientConfig = { url, caBundle: Buffer.from(caPem).toString('base64') };
    await this.expect('POST', '/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations', {
      metadata: { name },
      webhooks: [
        { name: `${name}.podpass.test`, clientConfig, failurePolicy, rules, ...common, ...rest },
        {
          // Nobody listens there. The API server takes a configuration up as a whole, so once it refuses
          // our probe it also calls the webhook above, and we need not send that one a request to find out.
          name: `${name}-probe.podpass.test`,
          clientConfig: { url: 'https://127.0.0.1:1/' },
          failurePolicy: 'Fail',
          rules: [{ ...podCreation, resources: ['configmaps'] }],
          objectSelector: { matchLabels: { [probeLabel]: name } },
          ...common,
        },
      ],
    });
    await this.#until(`the webhook ${name}`, () => this.#refusesProbe(name));
  }

  /** Removes a webhook and waits until the API server no longer calls it. */
  async deleteWebhook(name: string): Promise<void> {
    await this.expect('DELETE', `/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations/${name}`);
    await this.#until(`the end of the webhook ${name}`, async () => !(await this.#refusesProbe(name)));
  }

  async #refusesProbe(name: string): Promise<boolean> {
    const { status, body } = await this.request('POST', '/api/v1/namespaces/default/configmaps?dryRun=All', {
      metadata: { generateName: 'probe-', labels: { [probeLabel]: name } },
    });
    if (status === 201) return false;
    if (JSON.stringify(body).includes(`${name}-probe.podpass.test`)) return true;
    throw new Error(`unexpected answer to a probe: ${status} ${JSON.stringify(body)}`);
  }

  async #until(what: string, condition: () => Promise<boolean>, timeoutMs = 15_000): Promise<void> {
    const deadline = Date.now() + timeoutMs;
    while (!(await condition())) {
      if (Date.now() > deadline) throw new Error(`waited ${timeoutMs / 1000} s in vain for ${what}\n${this.logs()}`);
      await sleep(20);
    }
  }

  #kubeconfig(token: string): string {
    const name = 'test';
    const ca = Buffer.from(this.caPem).toString('base64');
    // JSON is YAML.
    return JSON.stringify({
      apiVersion: 'v1',
      kind: 'Config',
      clusters: [{ name, cluster: { server: this.url, 'certificate-authority-data': ca } }],
      users: [{ name, user: { token } }],
      contexts: [{ name, context: { cluster: name, user: name } }],
      'current-context': name,
    });
  }

  get #connected(): ApiClient {
    if (!this.#client) throw new Error('the API server does not run');
    return this.#client;
  }

  get #place(): Place | undefined {
    return this.#options.place;
  }

  get #readyTimeoutMs(): number {
    return this.#options.readyTimeoutMs ?? 60_000;
  }
}

const probeLabel = 'test.podpass.dev/probe';
const podCreation = { apiGroups: [''], apiVersions: ['v1'], operations: ['CREATE'], resources: ['pods'] };

/** A port can be taken between the look and the start; the next ones will not be. */
async function withFreePorts(start: () => Promise<void>): Promise<void> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await start();
    } catch (error) {
      if (attempt === 5 || !String(error).includes('address already in use')) throw error;
    }
  }
}

function answersOk(url: string): Promise<boolean> {
  return new Promise((fulfil, reject) => {
    const outgoing = get(url, { timeout: 2_000, agent: false }, (incoming) => {
      incoming.resume();
      fulfil(incoming.statusCode === 200);
    });
    outgoing.on('error', reject);
    outgoing.on('timeout', () => outgoing.destroy(new Error('no answer')));
  });
}
