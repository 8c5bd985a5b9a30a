/** The preset gcp, judged by Google's own libraries. */
import { randomBytes } from 'node:crypto';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { testCa } from './podpass.ts';
import { type Answer, type Asked, Internet } from './sdks/internet.ts';
import { verifyAsCloud } from './sdks/issuer-keys.ts';
import { type Sdk, sdk } from './sdks/packages.ts';
import { TestBed } from './sdks/test-bed.ts';
import { describeCluster } from './suite.ts';

const STS = 'sts.googleapis.com';
const IAM = 'iamcredentials.googleapis.com';
const PROJECTS = 'cloudresourcemanager.googleapis.com';
/** Where the library for Node asks for the project of the machine, before all else; there is none. */
const METADATA = '169.254.169.254:80';
const PROVIDER = 'projects/123456789/locations/global/workloadIdentityPools/clusters/providers/blue';
const EMAIL = 'reader@shop-project.iam.gserviceaccount.com';
const ACCOUNT = {
  'cloud.google.com/workload-identity-provider': PROVIDER,
  'cloud.google.com/service-account-email': EMAIL,
};
const EXCHANGE = `${STS}/v1/token`;
const IMPERSONATION = `${IAM}/v1/projects/-/serviceAccounts/${EMAIL}:generateAccessToken`;
const TOKEN_FILE = '/var/run/secrets/sts.googleapis.com/serviceaccount/token';

describeCluster('Google libraries in Pods of the preset gcp', () => {
  let internet: Internet;
  let bed: TestBed;
  const libraries: Record<string, Sdk> = {};
  const names = ['google-auth.mjs', 'google-auth.py'];
  const federated: string[] = [];
  const given: string[] = [];
  let mayReadProjects = true;

  /** The Security Token Service: a federated token for a token of the cluster (RFC 8693). */
  async function exchange({ method, path, form }: Asked): Promise<Answer> {
    if (method !== 'POST' || path !== '/v1/token') return { status: 404, body: {} };
    if (form.grant_type !== 'urn:ietf:params:oauth:grant-type:token-exchange') return refusal('unsupported_grant_type');
    if (form.audience !== `//iam.googleapis.com/${PROVIDER}`) return refusal('invalid_target');
    if (form.subject_token_type !== 'urn:ietf:params:oauth:token-type:jwt') return refusal('invalid_request');
    try {
      await verifyAsCloud(bed.issuer, STS, form.subject_token ?? '');
    } catch (error) {
      return refusal('invalid_grant', String(error));
    }
    const access_token = newToken(federated);
    const issued_token_type = 'urn:ietf:params:oauth:token-type:access_token';
    return { body: { access_token, issued_token_type, token_type: 'Bearer', expires_in: 3600 } };
  }

  /** IAM: an access token of the service account for a federated token. */
  function impersonate({ method, path, headers }: Asked): Answer {
    const wanted = `/v1/projects/-/serviceAccounts/${EMAIL}:generateAccessToken`;
    if (method !== 'POST' || decodeURIComponent(path) !== wanted) return { status: 404, body: {} };
    if (headers.authorization !== `Bearer ${federated.at(-1)}`) return { status: 401, body: { error: { code: 401 } } };
    const expireTime = new Date(Date.now() + 3_600_000).toISOString().replace(/\.\d+/, '');
    return { body: { accessToken: newToken(given), expireTime } };
  }

  /** Resource Manager: the libraries ask it for the provider's project, as no variable that they read names one. */
  function project({ path, headers }: Asked): Answer {
    if (!mayReadProjects) return { status: 403, body: { error: { code: 403, status: 'PERMISSION_DENIED' } } };
    if (path !== '/v1/projects/123456789') return { status: 404, body: {} };
    if (headers.authorization !== `Bearer ${given.at(-1)}`) return { status: 401, body: { error: { code: 401 } } };
    return { body: { projectNumber: '123456789', projectId: 'clusters-project' } };
  }

  function refusal(error: string, error_description = error): Answer {
    return { status: 400, body: { error, error_description } };
  }

  function newToken(list: string[]): string {
    const token = randomBytes(20).toString('hex');
    list.push(token);
    return token;
  }

  // The library for Node tries again and again.
  const patient = { timeout: 150_000 };

  beforeAll(async () => {
    for (const name of names) libraries[name] = await sdk(name);
    internet = await new Internet(testCa(), { [STS]: exchange, [IAM]: impersonate, [PROJECTS]: project }).listen();
    bed = await TestBed.start(['--presets', 'gcp', '--gcp-default-region', 'europe-west3']);
  }, 600_000);
  afterAll(async () => {
    await bed?.stop();
    await internet?.stop();
  });

  const outside = () => ({
    HTTPS_PROXY: internet.plainUrl,
    NODE_EXTRA_CA_CERTS: bed.issuer.caFile,
    REQUESTS_CA_BUNDLE: bed.issuer.caFile,
  });

  interface Wanted {
    name?: string;
    account?: Record<string, string>;
    env?: { name: string; value: string }[];
  }

  async function enter({ name = 'reader', account = {}, env = [] }: Wanted = {}) {
    const container = await bed.enter(await bed.createPod(name, { ...ACCOUNT, ...account }, [{ name: 'app', env }]));
    const asked = container.tokens.find(({ file }) => file === TOKEN_FILE);
    internet.take();
    return { container, asked };
  }

  it('find all they need in variables and two files', async () => {
    const { container, asked } = await enter();
    expect(container.env).toEqual({
      GOOGLE_APPLICATION_CREDENTIALS: '/var/run/secrets/workload-identity/federation.json',
      CLOUDSDK_COMPUTE_REGION: 'europe-west3',
      CLOUDSDK_CORE_PROJECT: 'shop-project',
    });
    expect(asked).toMatchObject({ audience: STS, expirationSeconds: 86_400 });
  });

  it.for(names)('%s exchanges the token and becomes the service account', patient, async (name, context) => {
    const { container, asked } = await enter();
    const said = await libraries[name]?.run(context, container, [], outside());
    expect(said).toEqual({ ok: true, token: given.at(-1) });
    const requests = internet.take();
    const urls = requests.map(({ host, path }) => host + decodeURIComponent(path));
    expect(urls.slice(0, 2)).toEqual([EXCHANGE, IMPERSONATION]);
    expect(urls).toContain(`${PROJECTS}/v1/projects/123456789`);
    expect(requests[0]?.form).toMatchObject({ subject_token: asked?.token });
    expect(JSON.parse(requests[1]?.body ?? '')).toMatchObject({
      scope: ['https://www.googleapis.com/auth/devstorage.read_only'],
    });
    expect(internet.refused.filter((target) => target !== METADATA)).toEqual([]);
  });

  it.for(names)('%s asks for no project where the container names one', async (name, context) => {
    const { container } = await enter({ env: [{ name: 'GOOGLE_CLOUD_PROJECT', value: 'shop-project' }] });
    mayReadProjects = false;
    const said = await libraries[name]?.run(context, container, [], outside());
    mayReadProjects = true;
    expect(said).toEqual({ ok: true, token: given.at(-1) });
    expect(internet.take().map(({ host }) => host)).not.toContain(PROJECTS);
  });

  it('need, for Node only, the right to read the project where the container names none', patient, async (context) => {
    const { container } = await enter();
    mayReadProjects = false;
    const [forNode, forPython] = [
      await libraries['google-auth.mjs']?.run(context, container, [], outside()),
      await libraries['google-auth.py']?.run(context, container, [], outside()),
    ];
    mayReadProjects = true;
    expect(forNode).toEqual({ ok: false, error: 'Error: Request failed with status code 403' });
    expect(forPython).toEqual({ ok: true, token: given.at(-1) });
  });

  it.for(names)('%s gets nothing for a token of another audience', async (name, context) => {
    const other = { 'cloud.google.com/audience': 'https://other.example.com' };
    const { container, asked } = await enter({ name: 'with-audience', account: other });
    expect(asked?.audience).toBe('https://other.example.com');
    const before = federated.length;
    const said = await libraries[name]?.run(context, container, [], outside());
    expect(said).toEqual({ ok: false, error: expect.stringMatching(/invalid_grant.*"?aud/s) });
    expect(federated).toHaveLength(before);
    expect(internet.take().map(({ host }) => host)).toEqual([STS]);
  });
});
