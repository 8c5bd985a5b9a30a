/**
 * The two actions of AWS STS that clients need, in its query protocol: AssumeRoleWithWebIdentity, which takes a token, and
 * GetCallerIdentity, by which a client shows that it has the credentials. Signatures of requests are not checked here;
 * MinIO does that.
 */
import { randomBytes } from 'node:crypto';
import type { JWTPayload } from 'jose';
import type { Answer, Asked, Site } from './internet.ts';

export const STS_VERSION = '2011-06-15';

export interface Session {
  role: string;
  claims: JWTPayload;
  accessKeyId: string;
  secretAccessKey: string;
  sessionToken: string;
}

export class StsDouble {
  readonly sessions: Session[] = [];
  readonly #verify: (token: string) => Promise<JWTPayload>;

  /** `verify` throws an Error that says why a token is refused. */
  constructor(verify: (token: string) => Promise<JWTPayload>) {
    this.#verify = verify;
  }

  readonly site: Site = (asked) => {
    const { Action: action, Version: version, ...form } = asked.form;
    if (asked.method !== 'POST' || version !== STS_VERSION) return failed('InvalidAction', `${action} ${version}`);
    if (action === 'AssumeRoleWithWebIdentity') return this.#assumeRole(form);
    if (action === 'GetCallerIdentity') return this.#callerIdentity(asked);
    return failed('InvalidAction', String(action));
  };

  /** The patterns are those of the AWS Security Token Service API Reference. */
  async #assumeRole(form: Record<string, string>): Promise<Answer> {
    const { RoleArn: role = '', RoleSessionName: name = '', WebIdentityToken: token = '', ...rest } = form;
    const { DurationSeconds: _, ...unknown } = rest;
    if (Object.keys(unknown).length > 0) return failed('ValidationError', `unknown: ${Object.keys(unknown)}`);
    if (!/^arn:aws[a-z-]*:iam::\d{12}:role\/[\w+=,.@/-]+$/.test(role)) return failed('ValidationError', 'RoleArn');
    if (!/^[\w+=,.@-]{2,64}$/.test(name)) return failed('ValidationError', 'RoleSessionName');
    const claims = await this.#verify(token).catch((error) => String(error));
    if (typeof claims === 'string') return failed('InvalidIdentityToken', claims);
    const session = {
      ...{ role, claims, accessKeyId: `ASIA${randomBytes(8).toString('hex').toUpperCase()}` },
      ...{ secretAccessKey: randomBytes(30).toString('base64'), sessionToken: randomBytes(60).toString('base64') },
    };
    this.sessions.push(session);
    const arn = `arn:aws:sts::${role.split(':')[4]}:assumed-role/${role.split('/').at(-1)}/${name}`;
    return {
      body: envelope(
        'AssumeRoleWithWebIdentity',
        `<SubjectFromWebIdentityToken>${claims.sub}</SubjectFromWebIdentityToken>
    <Audience>${claims.aud}</Audience>
    <Provider>${claims.iss}</Provider>
    <AssumedRoleUser><Arn>${arn}</Arn><AssumedRoleId>AROATEST:${name}</AssumedRoleId></AssumedRoleUser>
    <Credentials>
      <AccessKeyId>${session.accessKeyId}</AccessKeyId>
      <SecretAccessKey>${session.secretAccessKey}</SecretAccessKey>
      <SessionToken>${session.sessionToken}</SessionToken>
      <Expiration>${new Date(Date.now() + 3_600_000).toISOString()}</Expiration>
    </Credentials>`,
      ),
    };
  }

  #callerIdentity({ headers }: Asked): Answer {
    const [, accessKeyId] = /^AWS4-HMAC-SHA256 Credential=([^/]+)\//.exec(headers.authorization ?? '') ?? [];
    const session = this.sessions.find((each) => each.accessKeyId === accessKeyId);
    if (session === undefined || headers['x-amz-security-token'] !== session.sessionToken)
      return failed('InvalidClientTokenId', 'these credentials are not of this server');
    const result = `<Arn>${session.role}</Arn><UserId>AROATEST</UserId><Account>${session.role.split(':')[4]}</Account>`;
    return { body: envelope('GetCallerIdentity', result) };
  }
}

/** The region of a signed request: it is signed for it. */
export function regionOf({ headers }: Asked): string | undefined {
  return headers.authorization?.match(/Credential=[^/]+\/\d{8}\/([^/]+)\/sts\/aws4_request/)?.[1];
}

const NAMESPACE = 'https://sts.amazonaws.com/doc/2011-06-15/';

function envelope(action: string, result: string): string {
  return `<${action}Response xmlns="${NAMESPACE}">
  <${action}Result>
    ${result}
  </${action}Result>
  <ResponseMetadata><RequestId>00000000-0000-4000-8000-000000000000</RequestId></ResponseMetadata>
</${action}Response>`;
}

function failed(code: string, message: string): Answer {
  const escaped = message.replaceAll('&', '&amp;').replaceAll('<', '&lt;');
  const error = `<Error><Type>Sender</Type><Code>${code}</Code><Message>${escaped}</Message></Error>`;
  return { status: 400, body: `<ErrorResponse xmlns="${NAMESPACE}">${error}<RequestId>1</RequestId></ErrorResponse>` };
}
