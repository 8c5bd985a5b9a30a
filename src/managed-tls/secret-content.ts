import { type Authority, isKeyOf, newestFirst, pemBlocks, readAuthority } from './authority.ts';

/**
 * What the Secret says: `ca.crt` has all CAs that are to be trusted, the newest first, and `ca.key` the keys of those
 * that may still sign, in any order. Serving certificates are not in it.
 */
export interface SecretContent {
  readonly authorities: readonly Authority[];
  /** What is in it and cannot be used; never what it says. */
  readonly problems: readonly string[];
}

export type SecretData = Readonly<Record<string, unknown>>;

const [CERTIFICATES, KEYS] = ['ca.crt', 'ca.key'];

/** Reads the `data` of the Secret, in base64 as the API server gives it. Nothing at all is no problem. */
export function readSecretData(data: SecretData | null | undefined): SecretContent {
  const problems: string[] = [];
  const certificates = pemBlocks(decode(data?.[CERTIFICATES]));
  const keys = pemBlocks(decode(data?.[KEYS]));
  if (certificates.rest) problems.push(`${CERTIFICATES} has something in it that is not PEM`);
  if (keys.rest) problems.push(`${KEYS} has something in it that is not PEM`);
  const authorities = certificates.blocks.flatMap((pem) => {
    const authority = readAuthority(pem);
    if (authority === undefined) problems.push(`${CERTIFICATES} has something in it that is not a CA of podpass`);
    return authority ?? [];
  });
  const paired = authorities.map((authority) => ({
    ...authority,
    key: keys.blocks.find((key) => isKeyOf(key, authority)),
  }));
  if (keys.blocks.some((key) => !paired.some((authority) => authority.key === key))) {
    problems.push(`${KEYS} has a key of no certificate in ${CERTIFICATES}`);
  }
  if (paired.length > 0 && paired.every(({ key }) => key === undefined)) {
    problems.push(`${KEYS} has no key for the certificates in ${CERTIFICATES}`);
  }
  return { authorities: newestFirst(paired), problems: [...new Set(problems)] };
}

/** The part of the Secret's `data` that is ours. */
export function writeSecretData(authorities: readonly Authority[]): Record<string, string> {
  const keys = authorities.flatMap(({ key }) => key ?? []);
  return {
    [CERTIFICATES as string]: encode(authorities.map(({ cert }) => cert).join('')),
    [KEYS as string]: encode(keys.map((key) => `${key.trim()}\n`).join('')),
  };
}

function decode(value: unknown): string {
  return typeof value === 'string' ? Buffer.from(value, 'base64').toString('utf8') : '';
}

function encode(text: string): string {
  return Buffer.from(text).toString('base64');
}
