/** The preset azure, judged by Azure's own libraries. */
import { randomBytes } from 'node:crypto';
import { decodeJwt } from 'jose';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { testCa } from './podpass.ts';
import { type Answer, type Asked, Internet } from './sdks/internet.ts';
import { verifyAsCloud } from './sdks/issuer-keys.ts';
import { type Sdk, sdk } from './sdks/packages.ts';
import { TestBed } from './sdks/test-bed.ts';
import { describeCluster } from './suite.ts';

const MICROSOFT = 'login.microsoftonline.com';
const TENANT = '11111111-2222-4333-8444-555555555555';
const CLIENT = '66666666-7777-4888-9999-aaaaaaaaaaaa';
const ACCOUNT = { 'azure.workload.identity/client-id': CLIENT };
const AUDIENCE = 'api://AzureADTokenExchange';
const TOKEN_FILE = '/var/run/secrets/azure/wi/token/azure-identity-token';
const LABELS = { 'azure.workload.identity/use': 'true' };

describeCluster('Azure libraries in Pods of the preset azure', () => {
  let internet: Internet;
  let bed: TestBed;
  const libraries: Record<string, Sdk> = {};
  const names = ['azure-identity.mjs', 'azure-identity.py'];
  const given: string[] = [];

  /** Of Entra ID: where endpoints are, and access tokens for tokens of the cluster. */
  async function entra({ host, method, path, form }: Asked): Promise<Answer> {
    const authority = `https://${host}`;
    const [, tenant, rest] = /^\/([^/]+)(\/[^?]*)/.exec(path) ?? [];
    if (tenant !== TENANT) return refusal('invalid_request', 'AADSTS90002: no such tenant');
    if (method === 'GET' && rest === '/v2.0/.well-known/openid-configuration') {
      const endpoint = `${authority}/${tenant}/oauth2/v2.0`;
      const endpoints = { token_endpoint: `${endpoint}/token`, authorization_endpoint: `${endpoint}/authorize` };
      return { body: { ...endpoints, issuer: `${authority}/${tenant}/v2.0`, jwks_uri: `${endpoint}/keys` } };
    }
    if (method !== 'POST' || rest !== '/oauth2/v2.0/token') return { status: 404, body: {} };
    if (form.client_id !== CLIENT) return refusal('unauthorized_client', 'AADSTS700016: no such application');
    try {
      await verifyAsCloud(bed.issuer, AUDIENCE, form.client_assertion ?? '');
    } catch (error) {
      return refusal('invalid_client', `AADSTS7002xx: ${error}`);
    }
    const token = randomBytes(20).toString('hex');
    given.push(token);
    return { body: { token_type: 'Bearer', expires_in: 3599, ext_expires_in: 3599, access_token: token } };
  }

  function refusal(error: string, error_description: string): Answer {
    return { status: 400, body: { error, error_description } };
  }

  beforeAll(async () => {
    for (const name of names) libraries[name] = await sdk(name);
    internet = await new Internet(testCa(), { [MICROSOFT]: entra, localhost: entra }).listen();
    bed = await TestBed.start(['--presets', 'azure', '--azure-tenant-id', TENANT]);
  }, 600_000);
  afterAll(async () => {
    await bed?.stop();
    await internet?.stop();
  });

  const cas = () => ({ NODE_EXTRA_CA_CERTS: bed.issuer.caFile, REQUESTS_CA_BUNDLE: bed.issuer.caFile });
  const throughProxy = () => ({ HTTPS_PROXY: internet.plainUrl, ...cas() });

  async function enter(env: { name: string; value: string }[] = []) {
    const container = await bed.enter(await bed.createPod('reader', ACCOUNT, [{ name: 'app', env }], LABELS));
    const asked = container.tokens.find(({ file }) => file === TOKEN_FILE);
    internet.take();
    return { container, asked };
  }

  /** Besides what libraries tell of themselves. */
  const exchange = (assertion: string | undefined) => ({
    grant_type: 'client_credentials',
    client_id: CLIENT,
    scope: expect.stringContaining('https://vault.azure.net/.default'),
    client_assertion_type: 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer',
    client_assertion: assertion,
  });

  const tokenRequests = (asked: Asked[]) => asked.filter(({ method }) => method === 'POST');

  it('find all they need in variables and one token file', async () => {
    const { container, asked } = await enter();
    expect(container.env).toEqual({
      AZURE_CLIENT_ID: CLIENT,
      AZURE_TENANT_ID: TENANT,
      AZURE_FEDERATED_TOKEN_FILE: TOKEN_FILE,
      AZURE_AUTHORITY_HOST: `https://${MICROSOFT}/`,
    });
    expect(asked).toMatchObject({ audience: AUDIENCE, expirationSeconds: 3600 });
  });

  const ways = names.flatMap((name) => ['workload', 'default'].map((credential) => ({ name, credential })));

  it.for(ways)('$name gets an access token from Microsoft ($credential)', async ({ name, credential }, context) => {
    const { container, asked } = await enter();
    const said = await libraries[name]?.run(context, container, [credential], throughProxy());
    expect(said).toEqual({ ok: true, token: given.at(-1) });
    const requests = internet.take();
    expect(new Set(requests.map(({ host }) => host))).toEqual(new Set([MICROSOFT]));
    expect(internet.refused).toEqual([]);
    expect(tokenRequests(requests).map(({ path, form }) => ({ path: path.split('?')[0], form }))).toEqual([
      { path: `/${TENANT}/oauth2/v2.0/token`, form: expect.objectContaining(exchange(asked?.token)) },
    ]);
  });

  it.for(names)('%s gets one from the authority that the container names', async (name, context) => {
    const { container, asked } = await enter([{ name: 'AZURE_AUTHORITY_HOST', value: internet.url }]);
    expect(container.env.AZURE_AUTHORITY_HOST).toBe(internet.url);
    const said = await libraries[name]?.run(context, container, ['default', 'private'], cas());
    expect(said).toEqual({ ok: true, token: given.at(-1) });
    const requests = internet.take();
    expect(requests.every(({ host }) => internet.url === `https://${host}`)).toBe(true);
    expect(tokenRequests(requests).map(({ form }) => form)).toEqual([expect.objectContaining(exchange(asked?.token))]);
  });

  it.for(names)('%s gets none for a token of another audience', async (name, context) => {
    const { container } = await enter();
    const other = await bed.tokenFor('reader', 'https://other.example.com');
    expect(decodeJwt(other).aud).toEqual(['https://other.example.com']);
    await container.write(TOKEN_FILE, other);
    const before = given.length;
    const said = await libraries[name]?.run(context, container, ['workload'], throughProxy());
    expect(said).toEqual({ ok: false, error: expect.stringMatching(/AADSTS7002xx: .*"aud"/s) });
    expect(given).toHaveLength(before);
  });
});
