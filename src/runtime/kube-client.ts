import { existsSync, readFileSync } from 'node:fs';
import http, { type IncomingHttpHeaders, type IncomingMessage } from 'node:http';
import https from 'node:https';
import { delimiter, join } from 'node:path';
import { type Context, KubeConfig } from '@kubernetes/client-node';
import { Failure, messageOf } from '../fault.ts';
import { createOpenStreams } from './open-streams.ts';

// Where the kubelet mounts a Pod's own credential:
// https://kubernetes.io/docs/tasks/run-application/access-api-from-pod/#directly-accessing-the-rest-api
const SERVICE_ACCOUNT_FOLDER = '/var/run/secrets/kubernetes.io/serviceaccount';
// Where packets are lost, a dead peer is noticed after 10 s without traffic and then ten probes, one a second: libuv sets
// these two (src/unix/tcp.c), Node only the first.
const TCP_KEEP_ALIVE_MS = 10_000;
// A Secret or ConfigMap is at most 1 MiB, etcd takes 1.5 MiB, and JSON may write a byte of that as six.
const MAX_BYTES = 16 * 1024 * 1024;
const CREDENTIAL_TIMEOUT_MS = 10_000;

type Environment = Readonly<Record<string, string | undefined>>;

/** Finds the cluster: the file asked for, else the one we run in, else $KUBECONFIG, else the home file. */
export function loadKubeConfig(options: {
  readonly kubeconfig?: string | undefined;
  readonly env: Environment;
  readonly serviceAccountFolder?: string;
}): KubeConfig {
  const { kubeconfig, env, serviceAccountFolder = SERVICE_ACCOUNT_FOLDER } = options;
  if (kubeconfig !== undefined) return fromFiles([kubeconfig]);

  const tokenFile = join(serviceAccountFolder, 'token');
  const { KUBERNETES_SERVICE_HOST: host, KUBERNETES_SERVICE_PORT: port } = env;
  if (host && port && existsSync(tokenFile)) {
    const config = new KubeConfig();
    const server = `https://${host.includes(':') ? `[${host}]` : host}:${port}`;
    config.loadFromClusterAndUser(
      { name: 'in-cluster', server, caFile: join(serviceAccountFolder, 'ca.crt'), skipTLSVerify: false },
      // In this form the library reads the file again every minute, as rotated tokens need.
      { name: 'in-cluster', authProvider: { name: 'tokenFile', config: { tokenFile } } },
    );
    return config;
  }
  const tried = [`in-cluster (${host && port ? `no ${tokenFile}` : 'KUBERNETES_SERVICE_HOST or _PORT is not set'})`];

  // As kubectl does: a list of files, those that do not exist are left out, and the home file is only for an unset one.
  if (env.KUBECONFIG) {
    const files = env.KUBECONFIG.split(delimiter).filter((file) => existsSync(file));
    if (files.length > 0) return fromFiles(files);
    tried.push(`$KUBECONFIG (no such file: ${env.KUBECONFIG})`);
  } else {
    const home = env.HOME ?? env.USERPROFILE;
    const file = home ? join(home, '.kube', 'config') : undefined;
    if (file !== undefined && existsSync(file)) return fromFiles([file]);
    tried.push('$KUBECONFIG (not set)', `the home file (${file === undefined ? 'HOME is not set' : `no ${file}`})`);
  }
  throw new Failure(`no cluster configuration found; tried ${tried.join(', ')}; name one with --kubeconfig`);
}

/** The namespace that we run in: the Pod's own, else the one of the kubeconfig's context, else `podpass`. */
export function findNamespace(kubeConfig: KubeConfig, serviceAccountFolder = SERVICE_ACCOUNT_FOLDER): string {
  try {
    const namespace = readFileSync(join(serviceAccountFolder, 'namespace'), 'utf8').trim();
    if (namespace !== '') return namespace;
  } catch {
    // Not in a Pod.
  }
  return kubeConfig.getContextObject(kubeConfig.currentContext)?.namespace ?? 'podpass';
}

function fromFiles(files: readonly string[]): KubeConfig {
  const configs = files.map((file) => {
    const config = new KubeConfig();
    try {
      config.loadFromFile(file);
    } catch (error) {
      throw new Failure(`cannot read kubeconfig ${file}: ${whyUnreadable(error)}`);
    }
    return config;
  });
  if (configs.every((config) => config.clusters.length === 0)) {
    throw new Failure(`cannot read kubeconfig ${files.join(', ')}: it lists no clusters`);
  }
  // The first file to name a thing wins: kubernetes.io/docs/concepts/configuration/organize-cluster-access-kubeconfig
  const merged = new KubeConfig();
  merged.loadFromOptions({
    clusters: configs.flatMap((config) => config.clusters).filter(firstOfItsName),
    users: configs.flatMap((config) => config.users).filter(firstOfItsName),
    contexts: configs.flatMap((config) => config.contexts).filter(firstOfItsName),
    currentContext: configs.map((config) => config.currentContext).find(Boolean),
  });
  return merged;
}

function firstOfItsName(one: { name: string }, at: number, all: readonly { name: string }[]): boolean {
  return all.findIndex((other) => other.name === one.name) === at;
}

/** A YAML error's message quotes the file, which may hold a token, so only its reason and place are told. */
function whyUnreadable(error: unknown): string {
  if (error instanceof TypeError) return 'it is not a kubeconfig';
  const { reason, mark } = error as { reason?: unknown; mark?: { line?: unknown } };
  if (typeof reason !== 'string') return messageOf(error);
  return typeof mark?.line === 'number' ? `${reason} in line ${mark.line + 1}` : reason;
}

export type KubeErrorCode = 'unreachable' | 'timeout' | 'aborted' | 'too-large' | 'credentials' | 'status';

/** Why there is no answer. Never holds a body, a header or what a credential plugin said. */
export class KubeError extends Error {
  readonly code: KubeErrorCode;
  readonly status: number | undefined;

  constructor(code: KubeErrorCode, message: string, status?: number) {
    super(message);
    this.name = 'KubeError';
    this.code = code;
    this.status = status;
  }
}

export interface KubeResponse {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
}

export interface KubeRequestOptions {
  /** For all of it: credentials, connection and body. */
  readonly timeoutMs: number;
  readonly maxBytes?: number;
  readonly signal?: AbortSignal;
  readonly accept?: string;
}

export interface KubeStreamOptions {
  readonly signal: AbortSignal;
  /** For all before the first bytes. */
  readonly connectTimeoutMs: number;
  /** Counts from the first look at its body. The server ends it after this time, as `timeoutSeconds` of a watch asks for. */
  readonly lifetimeMs: number;
  /** Where it has not, and nothing comes for so long, the connection is dead. */
  readonly graceMs: number;
  readonly accept?: string;
}

/** An answer that comes bit by bit; its status is 200. */
export interface KubeStream {
  readonly headers: IncomingHttpHeaders;
  /** Ends with a KubeError where its connection seems to be dead. Before it is read, only the signal ends it. */
  readonly body: AsyncIterable<Buffer>;
}

export interface KubeClient {
  /** The API server's URL. */
  readonly server: string;
  /** Resolves with whatever status the server answers; redirects are not followed. */
  get(path: string, options: KubeRequestOptions): Promise<KubeResponse>;
  post(path: string, json: unknown, options: KubeRequestOptions): Promise<KubeResponse>;
  put(path: string, json: unknown, options: KubeRequestOptions): Promise<KubeResponse>;
  /** Sends a JSON Patch: RFC 6902. */
  patch(path: string, operations: readonly object[], options: KubeRequestOptions): Promise<KubeResponse>;
  /** For watches, and for what is long. Rejects on any status but 200. */
  stream(path: string, options: KubeStreamOptions): Promise<KubeStream>;
  /** The `aud` of our own bearer token where it is a JWT, else nothing. The token is not verified. */
  credentialAudiences(): Promise<readonly string[]>;
  close(): void;
}

interface Outgoing {
  readonly method: 'GET' | 'POST' | 'PUT' | 'PATCH';
  readonly path: string;
  readonly accept?: string | undefined;
  readonly body?: string | undefined;
  /** Of the body; JSON without it. */
  readonly contentType?: string;
  /** Called where it goes out on a connection that was idle before. */
  readonly onReused?: () => void;
}

/**
 * An API client on a KubeConfig's server and credentials. The library authenticates, the HTTP is ours. `now` gives
 * milliseconds that no one can set back.
 */
export function createKubeClient(
  kubeConfig: KubeConfig,
  options: { readonly context?: string; readonly now?: () => number } = {},
): KubeClient {
  const { now = () => performance.now() } = options;
  const config = inContext(kubeConfig, options.context);
  const cluster = config.getCurrentCluster();
  if (cluster === null) throw new Failure(`the kubeconfig has no cluster for its context ${config.currentContext}`);
  if (!URL.canParse(cluster.server)) throw new Failure(`the kubeconfig's server is not a URL: ${cluster.server}`);
  const server = new URL(cluster.server);
  const secure = server.protocol === 'https:';
  if (!secure && !(server.protocol === 'http:' && cluster.skipTLSVerify)) {
    throw new Failure(`${cluster.server}: an API server without TLS is used only with insecure-skip-tls-verify: true`);
  }
  const transport = secure ? https : http;
  // One pool for ever: Node files its connections by certificate, key and CA too, so rotated ones open new connections.
  const agent = new transport.Agent({ keepAlive: true, keepAliveMsecs: TCP_KEEP_ALIVE_MS });
  const streams = createOpenStreams(now);

  /** The library's TLS options and headers of this moment: files are read again and plugins run when it is time. */
  async function authenticate(
    signal: AbortSignal,
  ): Promise<https.RequestOptions & { headers: http.OutgoingHttpHeaders }> {
    const headers: http.OutgoingHttpHeaders = {};
    const applied: https.RequestOptions = { headers };
    try {
      await unlessAborted(signal, config.applyToHTTPSOptions(applied));
    } catch (error) {
      if (error instanceof KubeError) throw error;
      // Failed system calls name a file or a command; other errors may quote what a plugin printed.
      const told = error instanceof Error && 'syscall' in error ? error.message : 'the credential plugin failed';
      throw new KubeError('credentials', `cannot get the credential for ${server.origin}: ${told}`);
    }
    // Token files may end with a line break, which no header may hold.
    if (typeof headers.Authorization === 'string') headers.Authorization = headers.Authorization.trim();
    // Only the library's agent knows the way through a proxy; it is made anew each time and keeps no connections.
    return { ...applied, headers, agent: cluster?.proxyUrl && applied.agent ? applied.agent : agent };
  }

  async function send(
    outgoing: Outgoing,
    signal: AbortSignal,
    again = outgoing.method === 'GET',
  ): Promise<IncomingMessage> {
    const { headers, ...applied } = await authenticate(signal);
    const request = transport.request({
      ...applied,
      signal,
      method: outgoing.method,
      protocol: server.protocol,
      hostname: server.hostname.replace(/^\[|\]$/g, ''),
      port: server.port,
      path: server.pathname.replace(/\/$/, '') + outgoing.path,
      headers: {
        ...headers,
        accept: outgoing.accept ?? 'application/json',
        'user-agent': 'podpass',
        ...(outgoing.body === undefined ? {} : { 'content-type': outgoing.contentType ?? 'application/json' }),
      },
    });
    try {
      return await new Promise<IncomingMessage>((resolve, reject) => {
        request.on('response', resolve).on('error', reject);
        request.on('socket', (socket) => {
          socket.setKeepAlive(true, TCP_KEEP_ALIVE_MS);
          if (request.reusedSocket) outgoing.onReused?.();
        });
        request.end(outgoing.body);
      });
    } catch (error) {
      if (request.reusedSocket && isTimeout(signal.reason)) giveUpIdle();
      // An idle connection that the server closed this very moment says nothing about the server.
      if (again && request.reusedSocket && (error as NodeJS.ErrnoException).code === 'ECONNRESET' && !signal.aborted) {
        return send(outgoing, signal, false);
      }
      throw error;
    }
  }

  /** What was idle together with a connection that has died without a word is likely to be as dead. */
  function giveUpIdle(): void {
    for (const sockets of Object.values(agent.freeSockets)) for (const socket of sockets ?? []) socket.destroy();
  }

  /**
   * Like `send`, for a GET. A connection that was idle may be dead without a word, as after a failover of what is between
   * us and the API server. Where one says nothing for `doubtMs`, a new one is tried beside it; the first answer counts.
   * Where that is the one on the new connection, streams are doubted that have been silent as long as the old one.
   */
  async function sendInDoubt(outgoing: Outgoing, signal: AbortSignal, doubtMs: number): Promise<IncomingMessage> {
    const [first, second] = [new AbortController(), new AbortController()];
    const stop = () => [first, second].forEach((each) => void each.abort(signal.reason));
    if (signal.aborted) stop();
    signal.addEventListener('abort', stop, { once: true });
    let doubt: NodeJS.Timeout | undefined;
    let sentAt = 0;
    let beside: Promise<IncomingMessage> | undefined;
    const attempt = async (own: AbortController, other: AbortController, asked: Outgoing) => {
      const response = await send(asked, own.signal);
      // The other one was first by a moment.
      own.signal.throwIfAborted();
      clearTimeout(doubt);
      other.abort();
      return response;
    };
    const tryBeside = () => {
      giveUpIdle();
      beside = attempt(second, first, outgoing);
      beside.then(
        () => streams.doubt(sentAt),
        () => undefined,
      );
      return beside;
    };
    return new Promise((resolve, reject) => {
      const onReused = () => {
        sentAt ||= now();
        doubt ??= setTimeout(() => tryBeside().then(resolve, () => undefined), doubtMs);
      };
      attempt(first, second, { ...outgoing, onReused }).then(resolve, (error: unknown) => {
        clearTimeout(doubt);
        if (beside === undefined) reject(error);
        else beside.then(resolve, () => reject(error));
      });
    });
  }

  async function* chunksOf(response: IncomingMessage, outgoing: Outgoing, limit: Limit, { lifetimeMs, graceMs }: Life) {
    const dueAt = now() + lifetimeMs;
    limit.expect(lifetimeMs + graceMs);
    const why = `${named(outgoing)}: given up, as another connection has died without a word`;
    const stream = streams.add(() => limit.giveUp(new KubeError('unreachable', why)));
    try {
      for await (const chunk of response as AsyncIterable<Buffer>) {
        if (now() > dueAt) limit.expect(graceMs);
        stream.heard();
        yield chunk;
      }
      // Node lets one that is given up while nobody reads it end as if it were whole.
      limit.signal.throwIfAborted();
    } catch (error) {
      if (isTimeout(limit.signal.reason)) {
        giveUpIdle();
        streams.doubt(dueAt);
      }
      throw asKubeError(error, outgoing, limit.signal);
    } finally {
      limit.clear();
      stream.remove();
      response.destroy();
    }
  }

  async function exchange(outgoing: Outgoing, options: KubeRequestOptions): Promise<KubeResponse> {
    const { timeoutMs, maxBytes = MAX_BYTES, signal } = options;
    const limit = limitFor(outgoing, signal);
    limit.expect(timeoutMs);
    try {
      const asked = { ...outgoing, accept: options.accept };
      const response =
        outgoing.method === 'GET'
          ? await sendInDoubt(asked, limit.signal, timeoutMs / 2)
          : await send(asked, limit.signal);
      const chunks: Buffer[] = [];
      let size = 0;
      for await (const chunk of response as AsyncIterable<Buffer>) {
        size += chunk.length;
        if (size > maxBytes)
          throw new KubeError('too-large', `${named(outgoing)}: the answer is over ${maxBytes} bytes`);
        chunks.push(chunk);
      }
      return { status: response.statusCode ?? 0, headers: response.headers, body: Buffer.concat(chunks) };
    } catch (error) {
      throw asKubeError(error, outgoing, limit.signal);
    } finally {
      limit.clear();
    }
  }

  return {
    server: cluster.server,
    get: (path, options) => exchange({ method: 'GET', path }, options),
    post: (path, json, options) => exchange({ method: 'POST', path, body: JSON.stringify(json) }, options),
    put: (path, json, options) => exchange({ method: 'PUT', path, body: JSON.stringify(json) }, options),
    patch(path, operations, options) {
      const contentType = 'application/json-patch+json';
      return exchange({ method: 'PATCH', path, body: JSON.stringify(operations), contentType }, options);
    },

    async stream(path, { signal, connectTimeoutMs, accept, ...life }) {
      const outgoing: Outgoing = { method: 'GET', path, accept };
      const limit = limitFor(outgoing, signal);
      limit.expect(connectTimeoutMs);
      let response: IncomingMessage;
      try {
        response = await sendInDoubt(outgoing, limit.signal, connectTimeoutMs / 2);
      } catch (error) {
        limit.clear();
        throw asKubeError(error, outgoing, limit.signal);
      }
      const { statusCode: status = 0, headers } = response;
      // Between the chunks there is no reader to hear of an error.
      response.on('error', () => undefined);
      if (status !== 200) {
        // Read to its end, so that its connection can be used again.
        response.on('close', () => limit.clear()).resume();
        throw new KubeError('status', `${named(outgoing)}: HTTP ${status}`, status);
      }
      limit.pause();
      return { headers, body: chunksOf(response, outgoing, limit, life) };
    },

    async credentialAudiences() {
      const { headers } = await authenticate(AbortSignal.timeout(CREDENTIAL_TIMEOUT_MS));
      return audiencesOf(String(headers.Authorization ?? ''));
    },

    close: () => agent.destroy(),
  };
}

/** The same kubeconfig, looked at through one context; the original may serve other clients meanwhile. */
function inContext(kubeConfig: KubeConfig, context = kubeConfig.currentContext): KubeConfig {
  const { clusters, users, contexts } = kubeConfig;
  if (!contexts.some((one: Context) => one.name === context)) {
    const known = contexts.map((one: Context) => one.name).join(', ') || 'none';
    throw new Failure(
      `${context ? `the kubeconfig has no context ${context}` : 'no context is chosen'}; it has: ${known}`,
    );
  }
  const config = new KubeConfig();
  config.loadFromOptions({ clusters, users, contexts, currentContext: context });
  return config;
}

type Life = Pick<KubeStreamOptions, 'lifetimeMs' | 'graceMs'>;

interface Limit {
  readonly signal: AbortSignal;
  /** Something must happen within this time; counts from now and replaces what was expected before. */
  expect(ms: number): void;
  /** Nothing is expected until it is said again. */
  pause(): void;
  /** Gives up now. */
  giveUp(reason: KubeError): void;
  clear(): void;
}

/** One signal for both reasons to give up: the caller's and the time. Its reason is the KubeError to throw. */
function limitFor(outgoing: Outgoing, signal: AbortSignal | undefined): Limit {
  const controller = new AbortController();
  let timer: NodeJS.Timeout | undefined;
  const giveUp = (reason: KubeError) => {
    clearTimeout(timer);
    controller.abort(reason);
  };
  const stop = () => giveUp(new KubeError('aborted', `${named(outgoing)}: given up by the caller`));
  if (signal?.aborted) stop();
  signal?.addEventListener('abort', stop, { once: true });
  return {
    signal: controller.signal,
    expect(ms) {
      clearTimeout(timer);
      if (controller.signal.aborted) return;
      const late = () => giveUp(new KubeError('timeout', `${named(outgoing)}: nothing within ${Math.round(ms)} ms`));
      timer = setTimeout(late, ms);
    },
    pause: () => clearTimeout(timer),
    giveUp,
    clear() {
      clearTimeout(timer);
      signal?.removeEventListener('abort', stop);
    },
  };
}

function unlessAborted<T>(signal: AbortSignal, promise: Promise<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    const give = () => reject(signal.reason);
    if (signal.aborted) give();
    signal.addEventListener('abort', give, { once: true });
    promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', give));
  });
}

const isTimeout = (reason: unknown) => reason instanceof KubeError && reason.code === 'timeout';

/** The rest are Node's own errors of sockets, TLS and HTTP, whose messages name hosts, ports and certificates' names. */
function asKubeError(error: unknown, outgoing: Outgoing, signal: AbortSignal): KubeError {
  if (error instanceof KubeError) return error;
  if (signal.aborted && signal.reason instanceof KubeError) return signal.reason;
  const { code } = error as { code?: unknown };
  return new KubeError('unreachable', `${named(outgoing)}: ${messageOf(error) || String(code)}`);
}

function named({ method, path }: Outgoing): string {
  return `${method} ${path.replace(/\?.*/s, '')}`;
}

function audiencesOf(authorization: string): readonly string[] {
  const payload = /^Bearer [^.]+\.([^.]+)\.[^.]*$/.exec(authorization)?.[1];
  if (payload === undefined) return [];
  try {
    const { aud } = JSON.parse(Buffer.from(payload, 'base64url').toString()) as { aud?: unknown };
    return [aud].flat().filter((one): one is string => typeof one === 'string');
  } catch {
    return [];
  }
}
