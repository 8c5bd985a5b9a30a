import { clusterIssuer, type KubeGet } from '../src/cluster-issuer.ts';
import { issuerUrl, isUnsafeIssuer } from '../src/codec.ts';
import { Failure, quote } from '../src/fault.ts';

/**
 * The cluster's own issuer, byte for byte, held to the rules of one that is configured. Throws a Failure where the API
 * server does not tell, or tells one that cannot be served.
 */
export async function discoveredIssuer(get: KubeGet, allowHttp: boolean, signal?: AbortSignal): Promise<string> {
  const issuer = await clusterIssuer(get, signal);
  const refuse = (wrong: string) => new Failure(`the cluster's issuer ${quote(issuer)} ${wrong}`);
  const parsed = issuerUrl.parse(issuer);
  if (!parsed.ok) throw refuse(`${parsed.wrong}; name one with --issuer`);
  if (isUnsafeIssuer(issuer) && !allowHttp) {
    throw refuse('is not https; name one with --issuer, or accept it with --allow-http-issuer');
  }
  return parsed.value;
}
