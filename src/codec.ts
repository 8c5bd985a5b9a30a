/** Text to value, and what to tell the user when it is not one. Everything a user can write passes through here. */

export type Parsed<T> = { readonly ok: true; readonly value: T } | { readonly ok: false; readonly wrong: string };

export interface Codec<T> {
  /** What stands for the value in help texts: `DURATION`, `FILE`. */
  readonly metavar: string;
  /** One phrase that says everything that is accepted. */
  readonly accepted: string;
  /** What a message may show of a value that is refused, where that is not all of it. */
  shown?(text: string): string;
  parse(text: string): Parsed<T>;
}

const ok = <T>(value: T): Parsed<T> => ({ ok: true, value });
const bad = (wrong: string): Parsed<never> => ({ ok: false, wrong });

/** The codec's value, for constants that are known to be right: throws a TypeError where they are not. */
export function parsed<T>(codec: Codec<T>, text: string): T {
  const result = codec.parse(text);
  if (!result.ok) throw new TypeError(`${JSON.stringify(text)} ${result.wrong}; accepted: ${codec.accepted}`);
  return result.value;
}

// ---- durations -------------------------------------------------------------------------------------------------------

const UNIT_SECONDS: Readonly<Record<string, number>> = { '': 1, s: 1, m: 60, h: 3600 };

/** Whole seconds between two bounds. One whole number with `s`, `m` or `h`, or whole seconds; no sums, signs, fractions. */
export function duration(min: number, max: number): Codec<number> {
  return {
    metavar: 'DURATION',
    accepted: `a whole number of seconds, or one with s, m or h, from ${min} s to ${max} s`,
    parse(text) {
      const match = /^(\d+)([smh]?)$/.exec(text.trim());
      if (match === null) return bad('is not a duration');
      const seconds = Number(match[1]) * (UNIT_SECONDS[match[2] ?? ''] ?? Number.NaN);
      if (seconds < min) return bad('is too short');
      if (seconds > max) return bad('is too long');
      return ok(seconds);
    },
  };
}

/** 600 s to 2^32 s: kubernetes/pkg/apis/core/validation, validateProjectedVolumeSource. */
export const tokenLifetime: Codec<number> = duration(600, 2 ** 32);

// ---- audiences -------------------------------------------------------------------------------------------------------

const SEPARATORS = /[\s,]+/u;

/** Items separated by commas or white space; empty items and repeats are ignored. */
export function listItems(text: string): string[] {
  return [...new Set(text.split(SEPARATORS).filter((item) => item !== ''))];
}

export const audience: Codec<string> = {
  metavar: 'AUDIENCE',
  accepted: 'one audience, without white space or control characters',
  parse(text) {
    const value = text.trim();
    if (value === '') return bad('is empty');
    if (/\s/u.test(value)) return bad('has white space in it');
    if (/\p{Cc}/u.test(value)) return bad('has control characters in it');
    return ok(value);
  },
};

// ---- names -----------------------------------------------------------------------------------------------------------

const FILE_NAME_MAX = 63;

/** A token's file name: one path element that the API server and the kubelet accept on every platform. */
export const tokenFileName: Codec<string> = {
  metavar: 'NAME',
  accepted: `1 to ${FILE_NAME_MAX} characters A-Z a-z 0-9 . _ -, not starting with two dots and not a single dot`,
  parse(name) {
    if (name === '') return bad('is empty');
    if (name.length > FILE_NAME_MAX) return bad(`has ${name.length} characters`);
    if (!/^[A-Za-z0-9._-]+$/.test(name)) return bad('has characters that a file name here may not have');
    // The API server refuses a path that starts with "..": kubernetes/pkg/apis/core/validation, ValidateLocalNonReservedPath.
    if (name === '.' || name.startsWith('..')) return bad('is a reserved file name');
    return ok(name);
  },
};

/** The file name that an audience is given: `https://api.example.com/v1` becomes `api.example.com-v1`. May be empty. */
export function fileNameOf(value: string): string {
  const name = value.replace(/^[A-Za-z][A-Za-z0-9+.-]*:\/\//, '').replace(/[^A-Za-z0-9._-]+/g, '-');
  let start = 0;
  let end = name.length;
  const isTrimmed = (at: number) => name[at] === '.' || name[at] === '-';
  while (start < end && isTrimmed(start)) start += 1;
  while (end > start && isTrimmed(end - 1)) end -= 1;
  return name.slice(start, end);
}

const DENIED_VARIABLES: readonly RegExp[] = [
  /^LD_/,
  /^DYLD_/,
  /^(PATH|HOME|SHELL|IFS|ENV|BASH_ENV|NODE_OPTIONS|RUBYLIB|RUBYOPT|JAVA_TOOL_OPTIONS|JDK_JAVA_OPTIONS)$/,
  /^PYTHON/,
  /^PERL5/,
  /_PROXY$/,
  /^KUBERNETES_/,
];

export const environmentVariable: Codec<string> = {
  metavar: 'NAME',
  accepted:
    'a name like API_TOKEN_FILE (^[A-Z][A-Z0-9_]*$) that does not change how programs load or reach the network',
  parse(text) {
    const name = text.trim();
    if (!/^[A-Z][A-Z0-9_]*$/.test(name)) return bad('is not the name of a variable');
    if (DENIED_VARIABLES.some((pattern) => pattern.test(name)))
      return bad('changes how programs load or reach the network');
    return ok(name);
  },
};

/** The part before the slash of an annotation's key: a DNS subdomain (kubernetes/apimachinery, IsQualifiedName). */
export const annotationPrefix: Codec<string> = {
  metavar: 'PREFIX',
  accepted: 'a DNS name of lower-case letters, digits, dots and dashes, at most 253 characters, such as podpass.dev',
  parse(text) {
    const label = '[a-z0-9](?:[-a-z0-9]*[a-z0-9])?';
    const valid = text.length <= 253 && new RegExp(`^${label}(?:\\.${label})*$`).test(text);
    if (!valid) return bad('is not a DNS name');
    // Keys under these are Kubernetes' own (kubernetes.io/docs/reference/labels-annotations-taints).
    if (/(^|\.)(kubernetes|k8s)\.io$/.test(text)) return bad('is reserved for Kubernetes');
    return ok(text);
  },
};

const DNS_LABEL = /^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/;
const isDnsName = (name: string) => name.length <= 253 && name.split('.').every((label) => DNS_LABEL.test(label));

/** A namespace or a Service: RFC 1123 label. */
export const dnsLabel: Codec<string> = {
  metavar: 'NAME',
  accepted: '1 to 63 lower-case letters, digits and dashes, a letter or digit at both ends',
  parse: (text) => (DNS_LABEL.test(text) ? ok(text) : bad('is not such a name')),
};

// A part between dots has no limit of its own there: apimachinery/pkg/util/validation, IsDNS1123Subdomain.
const OBJECT_NAME = /^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$/;
const isObjectName = (name: string) => name.length <= 253 && OBJECT_NAME.test(name);

/** Any other object of Kubernetes: RFC 1123 subdomain. */
export const objectName: Codec<string> = {
  metavar: 'NAME',
  accepted: 'a name of lower-case letters, digits, dots and dashes, at most 253 characters',
  parse: (text) => (isObjectName(text) ? ok(text) : bad('is not such a name')),
};

/** An object in a namespace, as people write it for kubectl. */
export const objectRef: Codec<{ readonly namespace: string; readonly name: string }> = {
  metavar: 'NAMESPACE/NAME',
  accepted: 'a namespace and a name, such as shop/web',
  parse(text) {
    const [namespace = '', name = '', ...rest] = text.split('/');
    if (rest.length > 0 || name === '') return bad('is not a namespace and a name with a slash between them');
    if (!DNS_LABEL.test(namespace) || !isObjectName(name)) return bad('has a name in it that no object can have');
    return ok({ namespace, name });
  },
};

/** A ServiceAccount that may call. No wildcard: whoever may create one in the namespace would be let in. */
export const callerName: Codec<{ readonly namespace: string; readonly name: string }> = {
  ...objectRef,
  accepted: 'one ServiceAccount by its namespace and name, such as shop/web; each caller by itself, no wildcards',
  parse(text) {
    if (text.includes('*')) return bad('has a wildcard in it, which lets in accounts that do not exist yet');
    return objectRef.parse(text.replace(/^system:serviceaccount:([^:/]+):/, '$1/'));
  },
};

/** The same labels as kubectl takes for `-l`, but no other conditions. */
export const labels: Codec<Readonly<Record<string, string>>> = {
  metavar: 'KEY=VALUE,…',
  accepted: 'labels such as app=web, with commas between them',
  parse(text) {
    const found: Record<string, string> = {};
    for (const item of text.split(',')) {
      const [, key, value] = /^((?:[a-z0-9.-]{1,253}\/)?[A-Za-z0-9][\w.-]{0,62})=([\w.-]{0,63})$/.exec(item) ?? [];
      if (key === undefined || value === undefined) return bad('is not a list of labels');
      found[key] = value;
    }
    return ok(found);
  },
};

/** https://docs.aws.amazon.com/accounts/latest/reference/manage-acct-identifiers.html */
export const awsAccount: Codec<string> = {
  metavar: 'ID',
  accepted: 'the 12 digits of an AWS account',
  parse: (text) => (/^\d{12}$/.test(text) ? ok(text) : bad('is not such an ID')),
};

// ---- paths -----------------------------------------------------------------------------------------------------------

/** Where a mount would hide what the container's system or its own credential needs. `/lib*` stands for every such name. */
const PROTECTED = [
  ...['/etc', '/proc', '/sys', '/dev', '/bin', '/sbin', '/usr', '/boot'],
  ...['/run/secrets/kubernetes.io', '/var/run/secrets/kubernetes.io'],
];
/** The same on Windows, where neither case nor dots and spaces at the end count. */
const WINDOWS = /^\/(windows|program files[^/]*)(\/|$)/;

/** Without repeated slashes, `.` and `..` elements and a trailing slash, as the kernel sees it but for links. */
export function normalisePath(path: string): string {
  if (isNormal(path)) return path;
  const elements: string[] = [];
  for (const element of path.split('/')) {
    if (element === '..') elements.pop();
    else if (element !== '' && element !== '.') elements.push(element);
  }
  return `/${elements.join('/')}`;
}

/** True for nearly all paths; false does not mean that something would change. */
function isNormal(path: string): boolean {
  if (!path.startsWith('/') || path.includes('//') || path.includes('/.')) return false;
  return path.length === 1 || !path.endsWith('/');
}

/** True where `outer` is `inner` or one of the folders above it, by either name that they have; both normalised. */
export function isAtOrAbove(outer: string, inner: string): boolean {
  return isOver(outer, inner) || isOver(behindLink(outer), behindLink(inner));
}

function isOver(above: string, below: string): boolean {
  if (!below.startsWith(above)) return false;
  return above === '/' || below.length === above.length || below[above.length] === '/';
}

/** In nearly all images /var/run is a link to /run: Filesystem Hierarchy Standard 3.0, sections 3.15.1 and 5.13.1. */
function behindLink(path: string): string {
  return isOver('/var/run', path) ? path.slice('/var'.length) : path;
}

/** A path of a Windows Pod, where `C:\Data.` is `/data`: learn.microsoft.com/windows/win32/fileio/naming-a-file */
export function normaliseWindowsPath(path: string): string {
  const elements = normalisePath(path.replace(/^[A-Za-z]:/, '').replaceAll('\\', '/')).split('/');
  return normalisePath(elements.map((element) => element.replace(/(?<![. ])[. ]+$/, '')).join('/')).toLowerCase();
}

/** A folder in which token files may appear, normalised. */
export const mountPath: Codec<string> = {
  metavar: 'PATH',
  accepted: `an absolute path without ".." or ":", not in or above ${PROTECTED.join(', ')}, /lib*, /Windows or /Program Files, and not /`,
  parse(text) {
    const path = text.trim();
    if (!path.startsWith('/')) return bad('is not an absolute path');
    if (/\p{Cc}/u.test(path)) return bad('has control characters in it');
    if (path.includes(':')) return bad('has ":" in it');
    // On Windows a backslash is a slash.
    const asWindows = path.replaceAll('\\', '/');
    if (asWindows.split('/').includes('..')) return bad('has ".." in it');
    const normal = normalisePath(path);
    for (const each of new Set([normal, normalisePath(asWindows)])) {
      if (each === '/') return bad('is the root folder');
      if (/^\/lib[^/]*(\/|$)/.test(each)) return bad('is a system path (/lib*)');
      const hidden = PROTECTED.find((folder) => isAtOrAbove(folder, each) || isAtOrAbove(each, folder));
      if (hidden !== undefined) return bad(`lies in or above ${hidden}`);
    }
    if (WINDOWS.test(normaliseWindowsPath(path))) return bad('is a system path of Windows');
    return ok(normal);
  },
};

/** A tag that moves would run two versions beside each other. */
export const image: Codec<string> = {
  metavar: 'IMAGE',
  accepted: 'an image with a tag other than latest, or with a digest: registry.example.com/podpass:1.2.3',
  parse(name) {
    if (!/^[A-Za-z0-9][\w.:/-]*(@sha256:[0-9a-f]{64})?$/.test(name)) return bad('is no name of an image');
    const tag = /:([\w.-]+)$/.exec(name.replace(/@.*/, ''))?.[1];
    if (name.includes('@')) return ok(name);
    if (tag === undefined) return bad('has neither a tag nor a digest');
    return tag === 'latest' ? bad('has the tag latest, which moves') : ok(name);
  },
};

export const filePath: Codec<string> = {
  metavar: 'FILE',
  accepted: 'the path of a file',
  parse: (text) => (text === '' ? bad('is empty') : text.includes('\0') ? bad('has a NUL character in it') : ok(text)),
};

export const filesOrFolder: Codec<string> = {
  ...filePath,
  metavar: 'FILE-or-DIR',
  accepted: 'the path of a file or a folder',
};

/** Where an object storage has a copy: `s3://bucket/some/prefix`. Nothing where the text names no bucket. */
export function s3Location(text: string): { readonly bucket: string; readonly prefix: string } | undefined {
  const [, bucket, rest = ''] =
    /^s3:\/\/([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])((?:\/[\w.~!*'()+=,-]+)*)\/?$/.exec(text) ?? [];
  if (bucket === undefined || rest.split('/').some((part) => part === '.' || part === '..')) return undefined;
  return { bucket, prefix: rest.slice(1) };
}

/** A place for copies of the documents. */
export const publishTarget: Codec<string> = {
  metavar: 'DIR-or-S3',
  accepted: 'a folder, or a bucket with or without a prefix: s3://bucket/prefix',
  // People write credentials there, as in other URLs.
  shown: (text) => text.replace(/:\/\/[^/]*@/, '://…@'),
  parse(text) {
    if (/^[a-z][a-z0-9+.-]*:\/\//i.test(text)) {
      if (s3Location(text) !== undefined) return ok(text.replace(/\/$/, ''));
      return bad(text.startsWith('s3://') ? 'is no name of a bucket and a prefix' : 'is neither a folder nor s3://');
    }
    return filePath.parse(text);
  },
};

// ---- network ---------------------------------------------------------------------------------------------------------

export const port: Codec<number> = {
  metavar: 'PORT',
  accepted: 'a port from 0 to 65535; 0 takes a free one',
  parse(text) {
    if (!/^\d{1,5}$/.test(text.trim()) || Number(text) > 65535) return bad('is not a port');
    return ok(Number(text));
  },
};

export const bindAddress: Codec<string> = {
  metavar: 'ADDRESS',
  accepted: 'an IP address such as 127.0.0.1, 0.0.0.0 or :: (all addresses, IPv4 too)',
  parse(text) {
    const address = text.trim().replace(/^\[(.*)\]$/, '$1');
    const v4 = /^(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})$/.exec(address);
    if (v4 !== null)
      return v4.slice(1).every((part) => Number(part) <= 255) ? ok(address) : bad('is not an IP address');
    return /^[0-9a-fA-F:.]*:[0-9a-fA-F:.]*(%[\w.-]+)?$/.test(address) &&
      URL.canParse(`http://[${address.split('%')[0]}]/`)
      ? ok(address)
      : bad('is not an IP address');
  },
};

/** What a client may call a server by. */
export const hostOrAddress: Codec<string> = {
  metavar: 'NAME',
  accepted: 'a DNS name in lower case, or an IP address',
  parse(text) {
    const address = bindAddress.parse(text);
    if (address.ok && !address.value.includes('%')) return address;
    return isDnsName(text) && !/^[\d.]+$/.test(text) ? ok(text) : bad('is neither');
  },
};

/** True for the names and addresses that never leave the machine. */
function isLoopback(hostname: string): boolean {
  return hostname === 'localhost' || /^127\.\d+\.\d+\.\d+$/.test(hostname) || hostname === '[::1]';
}

/** An http issuer proves nothing, as anyone on the way can change its keys; on loopback there is no way. */
export function isUnsafeIssuer(issuer: string): boolean {
  const { protocol, hostname } = new URL(issuer);
  return protocol === 'http:' && !isLoopback(hostname);
}

/**
 * The issuer's URL, kept byte for byte (OpenID Connect Discovery 1.0 section 4.3 compares it so). What an http issuer
 * needs is checked where the setting for it is known.
 */
export const issuerUrl: Codec<string> = {
  metavar: 'URL',
  accepted:
    'an https URL without query, fragment or user, exactly as in the "iss" of the tokens (http only for loopback)',
  parse(text) {
    if (/[\s\p{Cc}]/u.test(text)) return bad('has white space or control characters in it');
    if (!URL.canParse(text)) return bad('is not a URL');
    const [, authority] = /^https?:\/\/([^/?#]+)/.exec(text) ?? [];
    if (authority === undefined) return bad('is not an https URL');
    if (text.includes('?') || text.includes('#')) return bad('has a query or a fragment');
    if (authority.includes('@')) return bad('has a user in it');
    // Clients rewrite these, each in its own way, and would ask for another path than the one that is served.
    if (text.includes('\\') || /\/(\.|%2e){1,2}(\/|$)/i.test(text))
      return bad('has "\\", "." or ".." as a part of its path');
    return ok(text);
  },
};

/** A caller of another issuer: an issuer has no "#", and what follows it is the "sub" as it is. */
export const otherCaller: Codec<{ readonly issuer: string; readonly subject: string }> = {
  metavar: 'ISSUER#SUBJECT',
  accepted:
    'an issuer and one "sub" of its tokens: https://token.actions.githubusercontent.com#repo:acme/app:ref:refs/heads/main',
  parse(text) {
    const at = text.indexOf('#');
    const [issuer, subject] = [text.slice(0, Math.max(at, 0)), text.slice(at + 1)];
    if (at < 0 || subject === '') return bad('has no "#" with a subject after it');
    if (subject.includes('*')) return bad('has a wildcard in it; each subject is named by itself');
    if (/[\s\p{Cc}]/u.test(subject)) return bad('has white space or control characters in it');
    const parsedIssuer = issuerUrl.parse(issuer);
    if (!parsedIssuer.ok) return parsedIssuer;
    return isUnsafeIssuer(issuer) ? bad('is not https') : ok({ issuer, subject });
  },
};

/** https://docs.cloud.google.com/iam/docs/reference/rest/v1/projects.locations.workloadIdentityPools.providers */
export const gcpProvider: Codec<{
  readonly project: string;
  readonly location: string;
  readonly pool: string;
  readonly provider: string;
}> = {
  metavar: 'PROVIDER',
  accepted: 'projects/NUMBER/locations/global/workloadIdentityPools/POOL/providers/PROVIDER',
  parse(text) {
    const name = '([a-z0-9-]{4,32})';
    const [, project, location, pool, provider] =
      new RegExp(`^projects/(\\d+)/locations/([a-z0-9-]+)/workloadIdentityPools/${name}/providers/${name}$`).exec(
        text,
      ) ?? [];
    if (project === undefined || location === undefined || pool === undefined || provider === undefined)
      return bad('is not the name of a provider');
    return ok({ project, location, pool, provider });
  },
};

/** A URL for programs in a container, kept as it is written. */
export const webUrl: Codec<string> = {
  metavar: 'URL',
  accepted: 'an http or https URL',
  parse(text) {
    if (/[\s\p{Cc}]/u.test(text)) return bad('has white space or control characters in it');
    return /^https?:\/\//.test(text) && URL.canParse(text) ? ok(text) : bad('is not such a URL');
  },
};

/**
 * Where a JWK Set is. A query is part of some such addresses; a user is not, as a password would be told in errors. What
 * an http address needs is checked where the setting for it is known.
 */
export const documentUrl: Codec<string> = {
  metavar: 'URL',
  accepted: 'an https URL without fragment or user (http only for loopback)',
  parse(text) {
    if (/[\s\p{Cc}]/u.test(text)) return bad('has white space or control characters in it');
    if (!URL.canParse(text)) return bad('is not a URL');
    const { protocol, username, password } = new URL(text);
    if (protocol !== 'https:' && protocol !== 'http:') return bad('is not an https URL');
    if (text.includes('#')) return bad('has a fragment');
    if (username !== '' || password !== '') return bad('has a user in it');
    return ok(text);
  },
};

const CONFIG_MAP = 'configmap/';

/** Where a state is kept: `{ file }`, or `{ configMap }` in the namespace that we run in. */
export const statePlace: Codec<{ readonly file: string } | { readonly configMap: string }> = {
  metavar: 'FILE|configmap/NAME',
  accepted: 'the path of a file, or configmap/ and the name of a ConfigMap',
  parse(text) {
    if (text.startsWith(CONFIG_MAP)) {
      const name = objectName.parse(text.slice(CONFIG_MAP.length));
      return name.ok ? ok({ configMap: name.value }) : name;
    }
    const file = filePath.parse(text);
    return file.ok ? ok({ file: file.value }) : file;
  },
};

/** Epoch milliseconds of a time as RFC 3339 section 5.6 writes it. */
export const instant: Codec<number> = {
  metavar: 'TIME',
  accepted: 'a time with its zone, such as 2026-01-31T18:00:00Z',
  parse(text) {
    if (!/^\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d(\.\d{1,9})?)?(Z|[+-]\d\d:\d\d)$/.test(text))
      return bad('is not such a time');
    const ms = Date.parse(text);
    return Number.isNaN(ms) ? bad('is not such a time') : ok(ms);
  },
};

// ---- plain values ----------------------------------------------------------------------------------------------------

export const text: Codec<string> = {
  metavar: 'TEXT',
  accepted: 'any text that is not empty',
  parse: (value) => (value === '' ? bad('is empty') : ok(value)),
};

export const flag: Codec<boolean> = {
  metavar: '',
  accepted: 'true or false',
  parse: (value) => (value === 'true' ? ok(true) : value === 'false' ? ok(false) : bad('is neither')),
};

export function choice<const T extends string>(...values: readonly T[]): Codec<T> {
  return {
    metavar: values.join('|'),
    accepted: values.join(', '),
    parse(value) {
      const found = values.find((each) => each === value);
      return found === undefined ? bad('is not one of them') : ok(found);
    },
  };
}
