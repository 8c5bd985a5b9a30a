/** A real API server with its ServiceAccounts' tokens, and the built `podpass discovery` that serves its issuer. */
import { createPrivateKey, createPublicKey } from 'node:crypto';
import { decodeJwt, decodeProtectedHeader, type JWTPayload, SignJWT } from 'jose';
import type { Facts } from '../../src/cli/render/facts.ts';
import { sampleFacts } from '../render-facts.ts';
import { type ControlPlane, serviceAccountKeyPair, startControlPlane } from './control-plane.ts';
import { type Podpass, startDiscovery } from './podpass.ts';
import { freePort } from './servers.ts';
import { clusterBinaries } from './suite.ts';
import type { Issuer } from './verifiers.ts';

const NAMESPACE = 'shop';
/** The one that is rendered for, and one that is not. */
export const ACCOUNT = 'web';
export const OTHER_ACCOUNT = 'other';
export const SUBJECT = `system:serviceaccount:${NAMESPACE}:${ACCOUNT}`;

interface Forged {
  readonly claims?: JWTPayload;
  /** Signed by a key that nobody knows. */
  readonly foreignKey?: boolean;
}

export class Callers {
  readonly issuer: Issuer;
  readonly #cluster: ControlPlane;
  readonly #discovery: Podpass;
  readonly #keys: 'rsa' | 'ec';

  private constructor(cluster: ControlPlane, discovery: Podpass, issuer: Issuer, keys: 'rsa' | 'ec') {
    this.#keys = keys;
    this.#cluster = cluster;
    this.#discovery = discovery;
    this.issuer = issuer;
  }

  static async start(keys: 'rsa' | 'ec' = 'rsa'): Promise<Callers> {
    const port = await freePort();
    const url = `https://localhost:${port}`;
    const cluster = await startControlPlane({ binaries: clusterBinaries(), issuer: url, keys });
    try {
      await cluster.createNamespace(NAMESPACE);
      for (const name of [ACCOUNT, OTHER_ACCOUNT]) await cluster.createServiceAccount(NAMESPACE, name);
      const discovery = await startDiscovery(cluster, ['--port', String(port)]);
      return new Callers(cluster, discovery, { url, caFile: discovery.files.caFile }, keys);
    } catch (error) {
      await cluster.stop();
      throw error;
    }
  }

  /** The cluster's own (PEM). */
  get publicKey(): string {
    return createPublicKey(this.#cluster.signingKey).export({ type: 'spki', format: 'pem' }).toString();
  }

  /** What is rendered from: one audience, and one caller. */
  facts(audience: string, over: Partial<Facts> = {}): Facts {
    return sampleFacts({
      issuer: this.issuer.url,
      tokens: [{ audience, file: '/var/run/secrets/podpass.dev/tokens/token', lifetime: 3600 }],
      callers: [{ namespace: NAMESPACE, name: ACCOUNT }],
      ...over,
    });
  }

  /** From the API server itself. */
  token(account: string, audience: string): Promise<string> {
    return this.#cluster.requestToken(NAMESPACE, account, { audiences: [audience] });
  }

  /** A token of the caller with other claims, signed with the cluster's key. */
  async forged(audience: string, { claims = {}, foreignKey = false }: Forged): Promise<string> {
    const genuine = await this.token(ACCOUNT, audience);
    const { alg = '', kid = '' } = decodeProtectedHeader(genuine);
    const key = createPrivateKey(foreignKey ? serviceAccountKeyPair(this.#keys).privatePem : this.#cluster.signingKey);
    return new SignJWT({ ...decodeJwt(genuine), ...claims }).setProtectedHeader({ alg, kid }).sign(key);
  }

  /** A token that has ended, by more than anybody's tolerance for clocks. */
  expired(audience: string): Promise<string> {
    const now = Math.floor(Date.now() / 1000);
    return this.forged(audience, { claims: { iat: now - 7200, nbf: now - 7200, exp: now - 3600 } });
  }

  async stop(): Promise<void> {
    await this.#discovery.stop();
    await this.#cluster.stop();
  }
}
