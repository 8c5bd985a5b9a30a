/** The preset aws, judged by AWS' own libraries. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { testCa } from './podpass.ts';
import type { AskedToken, SimulatedContainer } from './sdks/container.ts';
import { type Asked, Internet } from './sdks/internet.ts';
import { verifyAsCloud } from './sdks/issuer-keys.ts';
import { type Sdk, sdk } from './sdks/packages.ts';
import { regionOf, STS_VERSION, StsDouble } from './sdks/sts-double.ts';
import { NAMESPACE, TestBed } from './sdks/test-bed.ts';
import { describeCluster } from './suite.ts';

const ROLE = 'arn:aws:iam::111122223333:role/shop/reader';
const ROLE_ARN = 'eks.amazonaws.com/role-arn';
const AUDIENCE = 'sts.amazonaws.com';
const REGION = 'eu-central-1';
const TOKEN_FILE = '/var/run/secrets/eks.amazonaws.com/serviceaccount/token';
const CREDENTIALS_FOLDER = '/var/run/secrets/pods.eks.amazonaws.com/serviceaccount';

describeCluster('AWS libraries in Pods of the preset aws', () => {
  let folder: string;
  let internet: Internet;
  let bed: TestBed;
  let javaScript: Sdk;
  let boto3: Sdk;

  const sts = new StsDouble((token) => verifyAsCloud(bed.issuer, AUDIENCE, token));
  /** What the agent of EKS Pod Identity gives out. */
  const agentCredentials = {
    AccessKeyId: 'ASIAAGENT00000000001',
    SecretAccessKey: 'secret of the agent',
    Token: 'session of the agent',
    Expiration: new Date(Date.now() + 3_600_000).toISOString(),
  };

  async function agent({ method, path, headers }: Asked) {
    if (method !== 'GET' || path !== '/v1/credentials') return { status: 404, body: {} };
    try {
      await verifyAsCloud(bed.issuer, 'pods.eks.amazonaws.com', headers.authorization ?? '');
      return { body: agentCredentials };
    } catch (error) {
      return { status: 403, body: { message: String(error) } };
    }
  }

  beforeAll(async () => {
    [javaScript, boto3] = await Promise.all([sdk('aws-sdk.mjs'), sdk('aws-boto3.py')]);
    folder = await mkdtemp(join(tmpdir(), 'podpass-aws-'));
    internet = await new Internet(testCa(), {
      'sts.amazonaws.com': sts.site,
      [`sts.${REGION}.amazonaws.com`]: sts.site,
      localhost: (asked) => (asked.path === '/' ? sts.site(asked) : agent(asked)),
    }).listen();
    const identities = join(folder, 'identities.json');
    await writeFile(
      identities,
      JSON.stringify({ identities: [{ namespace: NAMESPACE, serviceAccount: 'with-container-credentials' }] }),
    );
    bed = await TestBed.start([
      ...['--presets', 'aws', '--aws-default-region', REGION, '--aws-sts-regional-endpoint'],
      ...['--aws-container-credentials-config', identities],
      // Instead of a link-local address of the node: the libraries take hosts of the loopback, too.
      ...['--aws-container-credentials-full-uri', `${internet.plainUrl}/v1/credentials`],
    ]);
  }, 600_000);
  afterAll(async () => {
    await bed?.stop();
    await internet?.stop();
    await rm(folder, { recursive: true, force: true });
  });

  /** For JavaScript, which knows no proxy by the environment: the address of STS. */
  const direct = () => ({ AWS_ENDPOINT_URL_STS: internet.url, NODE_EXTRA_CA_CERTS: bed.issuer.caFile });
  const throughProxy = () => ({ HTTPS_PROXY: internet.plainUrl, AWS_CA_BUNDLE: bed.issuer.caFile });

  function tokenOf(container: SimulatedContainer, file: string): AskedToken {
    const found = container.tokens.find((token) => token.file === file);
    if (found === undefined) throw new Error(`the container has no token ${file}`);
    return found;
  }

  /** The form of AssumeRoleWithWebIdentity, but for the session's name, which each library invents. */
  const assumption = (container: SimulatedContainer) => ({
    Action: 'AssumeRoleWithWebIdentity',
    Version: STS_VERSION,
    RoleArn: ROLE,
    RoleSessionName: expect.stringMatching(/^[\w+=,.@-]{2,64}$/),
    WebIdentityToken: tokenOf(container, TOKEN_FILE).token,
  });

  const lastSession = () => {
    const { accessKeyId, secretAccessKey, sessionToken } = sts.sessions.at(-1) ?? {};
    return { accessKeyId, secretAccessKey, sessionToken };
  };

  async function webIdentity(env: { name: string; value: string }[] = []) {
    const pod = await bed.createPod('with-role', { [ROLE_ARN]: ROLE }, [{ name: 'app', env }]);
    const container = await bed.enter(pod);
    internet.take();
    return container;
  }

  it('find all they need in variables and one token file', async () => {
    const container = await webIdentity();
    expect(container.env).toEqual({
      AWS_STS_REGIONAL_ENDPOINTS: 'regional',
      AWS_DEFAULT_REGION: REGION,
      AWS_REGION: REGION,
      AWS_ROLE_ARN: ROLE,
      AWS_WEB_IDENTITY_TOKEN_FILE: TOKEN_FILE,
    });
    expect(tokenOf(container, TOKEN_FILE)).toMatchObject({ audience: AUDIENCE, expirationSeconds: 86_400 });
  });

  it.for(['token-file', 'identity'])('JavaScript assumes the role (%s)', async (what, context) => {
    const container = await webIdentity();
    const said = await javaScript.run(context, container, [what], direct());
    expect(said).toMatchObject({ ok: true, credentials: lastSession() });
    const [assumed, ...others] = internet.take();
    expect(assumed?.form).toEqual(assumption(container));
    if (what === 'token-file') return expect(others).toEqual([]);
    expect(said).toMatchObject({ arn: ROLE, region: REGION });
    expect(others.map(({ form }) => form.Action)).toEqual(['GetCallerIdentity']);
    expect(others.map(regionOf)).toEqual([REGION]);
  });

  it.for([
    { why: 'at the endpoint of the region', own: [], host: `sts.${REGION}.amazonaws.com` },
    {
      why: 'at the old endpoint, where the container itself wants that',
      own: [{ name: 'AWS_STS_REGIONAL_ENDPOINTS', value: 'legacy' }],
      host: 'sts.amazonaws.com',
    },
  ])('boto3 assumes the role $why', async ({ own, host }, context) => {
    const container = await webIdentity(own);
    const said = await boto3.run(context, container, ['identity'], throughProxy());
    expect(said).toEqual({
      ok: true,
      arn: ROLE,
      region: REGION,
      method: 'assume-role-with-web-identity',
      credentials: lastSession(),
    });
    const asked = internet.take();
    expect(asked.map((each) => [each.host, each.form.Action])).toEqual([
      [host, 'AssumeRoleWithWebIdentity'],
      [host, 'GetCallerIdentity'],
    ]);
    expect(asked[0]?.form).toEqual(assumption(container));
    expect(internet.refused).toEqual([]);
  });

  it('assume no role with a token for another audience', async (context) => {
    const account = { [ROLE_ARN]: ROLE, 'eks.amazonaws.com/audience': 'https://other.example.com' };
    const container = await bed.enter(await bed.createPod('with-audience', account, [{ name: 'app' }]));
    expect(tokenOf(container, TOKEN_FILE).audience).toBe('https://other.example.com');
    const sessions = sts.sessions.length;
    const refused = { ok: false, error: expect.stringMatching(/InvalidIdentityToken.*"aud"/) };
    expect(await boto3.run(context, container, ['identity'], throughProxy())).toEqual(refused);
    const inJavaScript = await javaScript.run(context, container, ['token-file'], direct());
    expect(inJavaScript).toEqual({ ok: false, error: expect.stringMatching(/"aud"/) });
    expect(sts.sessions).toHaveLength(sessions);
  });

  it('get container credentials from an agent', async (context) => {
    const pod = await bed.createPod('with-container-credentials', {}, [{ name: 'app' }]);
    const container = await bed.enter(pod);
    const file = `${CREDENTIALS_FOLDER}/eks-pod-identity-token`;
    expect(container.env).toMatchObject({
      AWS_CONTAINER_CREDENTIALS_FULL_URI: `${internet.plainUrl}/v1/credentials`,
      AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE: file,
    });
    const { token } = tokenOf(container, file);
    const expected = {
      accessKeyId: agentCredentials.AccessKeyId,
      secretAccessKey: agentCredentials.SecretAccessKey,
      sessionToken: agentCredentials.Token,
    };
    for (const library of [javaScript, boto3]) {
      internet.take();
      const said = await library.run(context, container, ['credentials']);
      expect(said).toMatchObject({ ok: true, credentials: expected });
      expect(internet.take().map(({ path, headers }) => [path, headers.authorization])).toEqual([
        ['/v1/credentials', token],
      ]);
    }
  });
});
