/**
 * The verifiers that tests run: the README's table is made of these rows, and test/cluster/verified-with.test.ts and,
 * for Keycloak, test/cluster/render-keycloak.test.ts compare them with what really ran.
 */
import { readFileSync } from 'node:fs';

export interface VerifiedWith {
  readonly name: string;
  readonly is: string;
  /** The file that pins its version, and where in it. */
  readonly pinnedIn: string;
  readonly pin: RegExp;
  readonly keys: string;
  readonly rotation: string;
}

const kept = 'kept running all the time';
const both = 'RSA, EC, both in one set';

export const verifiedWith = [
  {
    name: 'jose',
    is: 'a library for JavaScript',
    pinnedIn: 'package.json',
    pin: /"jose": "(.+?)"/,
    keys: both,
    rotation: kept,
  },
  {
    name: 'go-oidc',
    is: 'a library for Go, of oauth2-proxy and many others',
    pinnedIn: 'test/go/go.mod',
    pin: /coreos\/go-oidc\/v3 v(\S+)/,
    keys: both,
    rotation: kept,
  },
  {
    name: 'cap',
    is: "HashiCorp's library for Go, Vault's verifier",
    pinnedIn: 'test/go/cap/go.mod',
    pin: /hashicorp\/cap v(\S+)/,
    keys: both,
    rotation: kept,
  },
  {
    name: 'PyJWT',
    is: 'a library for Python',
    pinnedIn: 'test/cluster/verifiers/requirements.txt',
    pin: /^PyJWT\[crypto\]==(.+)$/m,
    keys: both,
    rotation: kept,
  },
  {
    name: 'Nimbus',
    is: 'a library for Java (nimbus-jose-jwt)',
    pinnedIn: 'test/cluster/verifiers/pom.xml',
    pin: /nimbus-jose-jwt<\/artifactId>\s*<version>(.+?)</,
    keys: both,
    rotation: kept,
  },
  {
    name: 'MinIO',
    is: 'a server: its STS',
    pinnedIn: 'test/go/minio/go.mod',
    pin: /minio\/minio v(\S+)/,
    keys: both,
    rotation: kept,
  },
  {
    name: 'Keycloak',
    is: 'a server: its identity provider of the kind kubernetes',
    pinnedIn: 'test/cluster/consumers/keycloak/pom.xml',
    pin: /keycloak-quarkus-dist<\/artifactId>\s*<version>(.+?)</,
    keys: 'RSA, EC',
    rotation: 'no',
  },
] as const satisfies readonly VerifiedWith[];

export function pinnedVersion({ name, pinnedIn, pin }: VerifiedWith): string {
  const version = readFileSync(new URL(`../${pinnedIn}`, import.meta.url), 'utf8').match(pin)?.[1];
  if (version === undefined) throw new Error(`${pinnedIn} pins no version of ${name}`);
  return version;
}
