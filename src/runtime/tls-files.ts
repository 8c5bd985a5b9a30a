import { createHash, createPrivateKey, X509Certificate } from 'node:crypto';
import { readFile, realpath } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { createSecureContext } from 'node:tls';
import { Failure, messageOf, whyUnreadable } from '../fault.ts';
import type { Log } from '../log.ts';

/** A certificate chain and its key that were seen to fit. */
export interface TlsPair {
  readonly cert: string;
  readonly key: string;
  /** When the leaf begins to be valid, and when it expires, in epoch milliseconds. */
  readonly notBefore: number;
  readonly notAfter: number;
}

export interface TlsFiles {
  /** Stops the watch. */
  stop(): void;
}

/**
 * Reads a pair and checks it whole: Node itself takes a certificate of another key, or none, and then fails every
 * handshake. Throws a Failure that names the file and the reason.
 */
export async function readPair(certFile: string, keyFile: string): Promise<TlsPair> {
  return checkPair(await readTexts(certFile, keyFile), certFile, keyFile);
}

interface Texts {
  readonly cert: string;
  readonly key: string;
}

async function readTexts(certFile: string, keyFile: string): Promise<Texts> {
  const [certPath = '', keyPath = ''] = await sameVersion(certFile, keyFile);
  // One after the other, so that of two missing files always the same one is named.
  return { cert: await readText(certPath), key: await readText(keyPath) };
}

/** A mounted Secret switches all its files at once through the link `..data`: both are then read from one version of it. */
async function sameVersion(certFile: string, keyFile: string): Promise<string[]> {
  if (dirname(certFile) !== dirname(keyFile)) return [certFile, keyFile];
  try {
    const data = await realpath(join(dirname(certFile), '..data'));
    return [join(data, basename(certFile)), join(data, basename(keyFile))];
  } catch {
    return [certFile, keyFile];
  }
}

async function readText(path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8');
  } catch (cause) {
    throw new Failure(`the file ${path} ${whyUnreadable(cause)}`, { cause });
  }
}

/** Throws a Failure where the two do not fit, or cannot be used; `certFile` and `keyFile` name them in it. */
export function checkPair({ cert, key }: Texts, certFile: string, keyFile: string): TlsPair {
  const leaf = attempt(`${certFile} holds no certificate in PEM`, () => new X509Certificate(cert));
  const privateKey = attempt(`${keyFile} holds no unencrypted private key in PEM`, () => createPrivateKey(key));
  if (!leaf.checkPrivateKey(privateKey)) {
    throw new Failure(`the key in ${keyFile} is not the key of the first certificate in ${certFile}`);
  }
  attempt(`${certFile} and ${keyFile} cannot be used for TLS`, () => createSecureContext({ cert, key }));
  return { cert, key, notBefore: Date.parse(leaf.validFrom), notAfter: Date.parse(leaf.validTo) };
}

/** The error of OpenSSL is left out: it says no more, and it may quote what it read. */
function attempt<T>(wrong: string, work: () => T): T {
  try {
    return work();
  } catch {
    throw new Failure(wrong);
  }
}

const POLL_MS = 1000;

/**
 * Looks at the files once a second (a watch of the file system misses what a Secret does) and hands over each new pair
 * that fits. One that does not is reported, once for what is in the files, and the pair before stays.
 */
export function watchPair(
  certFile: string,
  keyFile: string,
  current: TlsPair,
  on: { pair(pair: TlsPair): void; error(error: unknown): void },
  log: Log,
): TlsFiles {
  let seen = digest([current.cert, current.key]);
  let busy = false;
  const look = async () => {
    if (busy) return;
    busy = true;
    const texts = await readTexts(certFile, keyFile).catch((error: unknown) => new Failure(messageOf(error)));
    const now = digest(texts instanceof Failure ? [texts.message] : [texts.cert, texts.key]);
    if (now !== seen) use(texts);
    seen = now;
    busy = false;
  };
  const use = (texts: Texts | Failure) => {
    try {
      if (texts instanceof Failure) throw texts;
      const pair = checkPair(texts, certFile, keyFile);
      on.pair(pair);
      log.info({ certFile, notAfter: new Date(pair.notAfter).toISOString() }, 'certificate reloaded');
    } catch (error) {
      on.error(error);
      log.error({ err: error, certFile, keyFile }, 'certificate not reloaded; the one before stays in use');
    }
  };
  const timer = setInterval(() => void look(), POLL_MS);
  return { stop: () => clearInterval(timer) };
}

function digest(parts: readonly string[]): string {
  return createHash('sha256').update(JSON.stringify(parts)).digest('hex');
}
