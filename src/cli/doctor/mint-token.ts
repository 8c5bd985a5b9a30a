import { type Asking, messageIn } from './asking.ts';
import { jsonObject } from './outsider.ts';

/** Long enough to meet the usual limits; the presets for AWS and Google ask for as much. */
const LONG_LIFETIME = 86_400;
const SHORT_LIFETIME = 600;
/** Of tokens that are for nobody. */
export const DOCTOR_AUDIENCE = 'podpass-doctor';

interface Minted {
  readonly name: string;
  readonly token?: string | undefined;
  readonly notMinted?: string | undefined;
  readonly lifetime?: { readonly asked: number; readonly got: number } | undefined;
}

/** Of the ServiceAccount that we are, else of one that an installation or every namespace has. */
export async function mintToken(asking: Asking, namespace: string, audience = DOCTOR_AUDIENCE): Promise<Minted> {
  const accounts = [...(await ownAccount(asking)), `${namespace}/podpass-discovery`, `${namespace}/podpass-webhook`];
  let why = 'no ServiceAccount to ask for';
  for (const account of [...accounts, 'default/default']) {
    const name = `a new token of ServiceAccount ${account}`;
    const answer = await requestToken(asking, account, audience, SHORT_LIFETIME);
    if (answer === undefined) return { name };
    if (answer.status === 404) continue;
    if (answer.token === undefined) {
      why = `ServiceAccount ${account}: HTTP ${answer.status} ${answer.message}`;
      continue;
    }
    // Only to be measured, so it is for nobody.
    const long = await requestToken(asking, account, DOCTOR_AUDIENCE, LONG_LIFETIME);
    const got = long?.token === undefined ? undefined : lifetimeOf(long.token);
    const lifetime = got === undefined ? undefined : { asked: LONG_LIFETIME, got };
    return { name, token: answer.token, lifetime };
  }
  return { name: '', notMinted: why };
}

async function ownAccount(asking: Asking): Promise<string[]> {
  const review = { apiVersion: 'authentication.k8s.io/v1', kind: 'SelfSubjectReview' };
  const path = '/apis/authentication.k8s.io/v1/selfsubjectreviews';
  const response = await asking.post(path, review, 'create selfsubjectreviews');
  const { status } = (jsonObject(response?.body) ?? {}) as { status?: { userInfo?: { username?: unknown } } };
  const match = /^system:serviceaccount:([^:]+):([^:]+)$/.exec(String(status?.userInfo?.username ?? ''));
  return match === null ? [] : [`${match[1]}/${match[2]}`];
}

async function requestToken(asking: Asking, account: string, audience: string, expirationSeconds: number) {
  const [namespace, name] = account.split('/');
  const path = `/api/v1/namespaces/${namespace}/serviceaccounts/${name}/token`;
  const spec = { audiences: [audience], expirationSeconds };
  const body = { apiVersion: 'authentication.k8s.io/v1', kind: 'TokenRequest', spec };
  const response = await asking.post(path, body, `create serviceaccounts/token in ${namespace}`);
  if (response === undefined) return undefined;
  const { status } = (jsonObject(response.body) ?? {}) as { status?: { token?: unknown } };
  const token = typeof status?.token === 'string' ? status.token : undefined;
  return { status: response.status, token, message: messageIn(response.body) };
}

function lifetimeOf(token: string): number | undefined {
  const claims = jsonObject(Buffer.from(token.split('.')[1] ?? '', 'base64url'));
  return typeof claims?.exp === 'number' && typeof claims.iat === 'number' ? claims.exp - claims.iat : undefined;
}
