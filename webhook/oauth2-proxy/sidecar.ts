import { isDeepStrictEqual } from 'node:util';
import { type Problem, quote } from '../../src/fault.ts';
import { type At, type Effective, problemAt } from '../effective-annotations.ts';
import type { Injection, Volume } from '../injection.ts';
import { isWindows, type Pod, PROXY_CONTAINER, proxyPlace } from '../pod.ts';
import { CA, CALLERS, proxyArguments, proxyContainer } from './container.ts';
import { findProtectedPort, PAST_PROXY, type ProtectedPort } from './protected-port.ts';
import type { ProxySettings } from './settings.ts';
import { readWishes } from './wishes.ts';

/** What annotations want of oauth2-proxy. With problems, the rest is not to be used. */
export interface SidecarReading {
  /** Absent where nobody asks for it. */
  readonly injection?: Injection;
  /** Whose tokens are let through to which port. */
  readonly protects?: { readonly port: number; readonly audiences: readonly string[] };
  readonly problems: readonly Problem[];
  readonly warnings: readonly string[];
}

/** True where the Pod's own annotations ask for oauth2-proxy, whatever its ServiceAccount says. */
export function asksForProxy(annotations: Readonly<Record<string, string>>, prefix: string): boolean {
  return (annotations[`${prefix}/oauth2-proxy`] ?? '').trim() !== '';
}

/** It might have asked for more, and without oauth2-proxy the application would be open to all. */
export function proxyWithoutAccount(pod: string, account: string): Problem {
  const wrong = 'was not found, and without it nobody knows how oauth2-proxy is to protect this Pod';
  return {
    object: pod,
    key: 'spec.serviceAccountName',
    value: account,
    wrong,
    accepted: 'a ServiceAccount that exists',
  };
}

/** Reads the annotations about oauth2-proxy. Pure; `reserved` are the audiences of the API server. */
export function readSidecar(
  pod: Pod,
  object: string,
  effective: Effective,
  {
    annotationPrefix: prefix,
    reservedAudiences: reserved,
    oauth2Proxy: settings,
  }: {
    readonly annotationPrefix: string;
    readonly reservedAudiences: ReadonlySet<string>;
    readonly oauth2Proxy?: ProxySettings;
  },
): SidecarReading {
  const at = effective.get('oauth2-proxy');
  if (at === undefined) return { problems: forgotten(pod, effective, prefix), warnings: [] };
  const problems: Problem[] = unsuitable(pod, object);
  const { own, people, details } = readWishes(effective, { object, prefix, reserved, settings }, problems);
  const place = proxyPlace(pod.spec);
  const port = findProtectedPort(pod, at, own, place?.container, problems);
  if (port === undefined || details === undefined || settings === undefined) return { problems, warnings: [] };

  const wishes = { ...details.wishes, upstream: `http://127.0.0.1:${port.port}` };
  const present = place !== undefined && isDeepStrictEqual(place.container.args, proxyArguments(wishes));
  if (place !== undefined && !present) {
    const key = `spec.${place.list}[${place.index}].name`;
    const wrong = 'is the name of the container that podpass adds, and this one has other arguments';
    const accepted = 'another name for your container, or exactly the arguments that podpass writes';
    problems.push({ object, key, value: PROXY_CONTAINER, wrong, accepted });
  }
  const native = isNative(settings, port);
  const volumes = volumesOf(details, `${prefix}/oauth2-proxy-allowed`);
  const container = proxyContainer({
    wishes,
    image: details.image,
    native,
    portName: port.name,
    secret: people,
    resources: details.resources,
    volumes,
    rootByDefault: pod.spec.securityContext?.runAsUser === 0,
  });
  const list = native ? ('initContainers' as const) : ('containers' as const);
  const injection: Injection = {
    by: 'oauth2-proxy',
    names: ['oauth2-proxy'],
    volumes,
    containers: [],
    sidecar: { list, container, present, changes: port.changes },
    ...(details.allowed === undefined
      ? {}
      : { annotations: { [`${prefix}/oauth2-proxy-allowed`]: details.allowed.join('\n') } }),
    uniform: true,
  };
  return {
    injection,
    protects: { port: port.port, audiences: wishes.audiences },
    problems,
    // Who wrote the Pod has seen them in the first round.
    warnings: present ? [] : warningsOf(pod, object, at, port, wishes.port, native, wishes.issuer),
  };
}

/** Where oauth2-proxy cannot run, or would protect nothing. */
function unsuitable({ spec }: Pod, object: string): Problem[] {
  const problems: Problem[] = [];
  if (spec.hostNetwork === true) {
    const wrong = 'opens the port to the whole network of the node, past oauth2-proxy';
    problems.push({ object, key: 'spec.hostNetwork', value: 'true', wrong, accepted: 'false' });
  }
  if (isWindows(spec)) {
    const wrong = 'is a system that oauth2-proxy has no image for';
    problems.push({ object, key: 'spec.os.name', value: 'windows', wrong, accepted: 'linux' });
  }
  return problems;
}

/** A Pod whose owner believes it to be protected. An empty key is a way to say that it is not to be. */
function forgotten(pod: Pod, effective: Effective, prefix: string): Problem[] {
  const key = `${prefix}/oauth2-proxy`;
  if (pod.metadata?.annotations?.[key] !== undefined) return [];
  const keys = ['oauth2-proxy-audiences', 'oauth2-proxy-callers', 'oauth2-proxy-callers-config-map'] as const;
  return [...keys, 'oauth2-proxy-sso' as const].flatMap((each) => {
    const entry = effective.get(each);
    if (entry?.on !== 'Pod') return [];
    return problemAt(entry, 'protects nothing alone', `the port to protect in ${key}, or an empty ${key} for none`);
  });
}

/** Native sidecars are there from Kubernetes 1.29 on (KEP-753, the gate SidecarContainers). */
const NATIVE_FROM = 29;
/** Services see their named ports from 1.33 on: kubernetes/kubernetes pulls 127976 and 128850. */
const NATIVE_NAMES_FROM = 33;

function isNative({ mode, minor = NATIVE_NAMES_FROM }: ProxySettings, { takenOver }: ProtectedPort): boolean {
  return mode === 'native' || (mode === 'auto' && minor >= (takenOver ? NATIVE_NAMES_FROM : NATIVE_FROM));
}

function volumesOf(
  { allowed, configMap, caConfigMap }: NonNullable<ReturnType<typeof readWishes>['details']>,
  allowedKey: string,
): Volume[] {
  const ofConfigMap = (name: string, path: string) => ({ name, items: [{ key: path, path }] });
  const fieldRef = { apiVersion: 'v1', fieldPath: `metadata.annotations['${allowedKey}']` };
  return [
    ...(allowed === undefined
      ? []
      : [{ name: CALLERS.volume, downwardAPI: { items: [{ path: CALLERS.file, fieldRef }] } }]),
    ...(configMap === undefined ? [] : [{ name: CALLERS.volume, configMap: ofConfigMap(configMap, CALLERS.file) }]),
    ...(caConfigMap === undefined ? [] : [{ name: CA.volume, configMap: ofConfigMap(caConfigMap, CA.file) }]),
  ];
}

const SHOWN_NAMES = 3;

/** The object comes last: the API server cuts long warnings. */
function warningsOf(
  { spec }: Pod,
  object: string,
  at: At,
  { port, takenOver, alsoCalled }: ProtectedPort,
  ownPort: number,
  native: boolean,
  issuer: string,
): string[] {
  const open = `anyone who reaches port ${port} of the Pod itself is past oauth2-proxy: allow ${ownPort} alone by a NetworkPolicy, or have the program listen on 127.0.0.1 (${object})`;
  const service = `${at.key}: Services do not come by oauth2-proxy until they have "targetPort: ${ownPort}" in place of ${port} (${object})`;
  const renamed = `${at.key}: the name ${quote(at.value)} is oauth2-proxy's port ${ownPort} now, and that of ${port} is ${quote(PAST_PROXY)} (${object})`;
  const endless = `oauth2-proxy runs as a container, so that this Pod never ends by itself (${object})`;
  const inCluster = `the API server answers oauth2-proxy only where anyone may read its keys: serve ${quote(issuer)} with podpass discovery, or bind system:service-account-issuer-discovery to system:unauthenticated (${object})`;
  const names = [...new Set(alsoCalled)].slice(0, SHOWN_NAMES).map(quote).join(', ');
  const others = `${at.key}: port ${port} has other names, and Services that go by one are past oauth2-proxy: ${names} (${object})`;
  return [
    takenOver ? renamed : service,
    ...(names === '' ? [] : [others]),
    open,
    ...(native || (spec.restartPolicy ?? 'Always') === 'Always' ? [] : [endless]),
    ...(isApiServer(issuer) ? [inCluster] : []),
  ];
}

/** The issuer of clusters that nobody gave another one: it is the API server's own Service. */
function isApiServer(issuer: string): boolean {
  return URL.canParse(issuer) && /^kubernetes(\.default(\.svc(\..*)?)?)?$/.test(new URL(issuer).hostname);
}
