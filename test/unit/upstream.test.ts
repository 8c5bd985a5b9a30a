/**
 * What the clouds' own webhooks are known to do, from the inputs and results of their own tests, typed anew. Where
 * podpass does something else on purpose, the case says so.
 */
import { describe, expect, test } from 'vitest';
import type { AddOperation } from '../../src/json-patch.ts';
import { mutatePod } from '../../webhook/mutate-pod.ts';
import type { Container, PodSpec } from '../../webhook/pod.ts';
import { mutationSettings, type WrittenSettings } from '../mutation-settings.ts';

function added(
  settings: WrittenSettings,
  account: Record<string, string>,
  spec: PodSpec,
  { annotations = {}, labels = {}, credentials = false } = {},
): { volumes: unknown[]; env: Record<string, string[]>; mounts: Record<string, string[]>; metadata: object } {
  const { patch, problems } = mutatePod(
    { metadata: { name: 'pod', annotations, labels }, spec },
    'Pod default/pod',
    { namespace: 'default', name: 'default', object: 'ServiceAccount default/default', annotations: account },
    mutationSettings(settings, () => credentials),
  );
  expect(problems).toEqual([]);
  const values = (pattern: RegExp) =>
    patch.flatMap(({ path, value }: AddOperation) => (pattern.test(path) ? [value].flat() : []));
  const of = (list: 'env' | 'volumeMounts', write: (each: Record<string, string>) => string) =>
    Object.fromEntries(
      (['initContainers', 'containers'] as const).flatMap((lists) =>
        (spec[lists] ?? []).map(({ name }: Container, index) => [
          `${lists === 'containers' ? '' : 'init '}${name}`,
          (values(new RegExp(`^/spec/${lists}/${index}/${list}(/-)?$`)) as Record<string, string>[]).map(write),
        ]),
      ),
    );
  return {
    volumes: values(/^\/spec\/volumes(\/-)?$/),
    env: of('env', ({ name, value }) => `${name}=${value}`),
    mounts: of('volumeMounts', ({ name, mountPath, readOnly }) => `${name} ${mountPath} ${readOnly}`),
    metadata: Object.assign({}, ...(values(/^\/metadata\/(labels|annotations)$/) as object[])),
  };
}

describe('amazon-eks-pod-identity-webhook, pkg/handler/testdata', () => {
  const CN = 'arn:aws-cn:iam::111122223333:role/s3-reader';
  const US = 'arn:aws:iam::111122223333:role/s3-reader';
  const FILE = 'AWS_WEB_IDENTITY_TOKEN_FILE=/var/run/secrets/eks.amazonaws.com/serviceaccount/token';
  const MOUNT = ['aws-iam-token /var/run/secrets/eks.amazonaws.com/serviceaccount true'];
  const volume = (expirationSeconds = 86_400) => ({
    name: 'aws-iam-token',
    projected: {
      sources: [{ serviceAccountToken: { audience: 'sts.amazonaws.com', expirationSeconds, path: 'token' } }],
    },
  });
  const role = (arn: string, more: Record<string, string> = {}) => ({
    'eks.amazonaws.com/role-arn': arn,
    'eks.amazonaws.com/audience': 'sts.amazonaws.com',
    ...Object.fromEntries(Object.entries(more).map(([key, value]) => [`eks.amazonaws.com/${key}`, value])),
  });
  const env = (...written: string[]) =>
    written.map((each) => ({ name: each.split('=')[0] ?? '', value: each.split('=')[1] ?? '' }));
  const app = (...written: string[]): Container => ({ name: 'app', env: env(...written) });
  const cn = { awsDefaultRegion: 'cn-north-1', awsStsRegionalEndpoint: 'true' };

  test('rawPodHasSTS', () => {
    const spec = { containers: [app('AWS_REGION=cn-northwest-1', 'AWS_STS_REGIONAL_ENDPOINTS=regional')] };
    expect(added(cn, role(CN), spec)).toMatchObject({
      volumes: [volume()],
      env: { app: [`AWS_ROLE_ARN=${CN}`, FILE] },
      mounts: { app: MOUNT },
    });
  });

  test('rawPodHasAll, but for its volume, which no container mounts', () => {
    const spec = {
      containers: [app('AWS_REGION=cn-northwest-1', 'AWS_STS_REGIONAL_ENDPOINTS=regional', `AWS_ROLE_ARN=${CN}`)],
    };
    const result = added(cn, role(CN, { 'token-expiration': '3600' }), spec);
    expect(result).toEqual({ volumes: [], env: { app: [] }, mounts: { app: [] }, metadata: {} });
  });

  test('rawPodNoSTSAnnotationOverride', () => {
    const settings = { awsDefaultRegion: 'us-east-1', awsStsRegionalEndpoint: 'true' };
    expect(added(settings, role(US, { 'sts-regional-endpoints': 'false' }), { containers: [app()] }).env.app).toEqual([
      'AWS_DEFAULT_REGION=us-east-1',
      'AWS_REGION=us-east-1',
      `AWS_ROLE_ARN=${US}`,
      FILE,
    ]);
  });

  test('rawPodRegionPresent', () => {
    expect(added({}, role(US), { containers: [app('AWS_REGION=paris')] }).env.app).toEqual([
      `AWS_ROLE_ARN=${US}`,
      FILE,
    ]);
  });

  test('rawPodSkip', () => {
    const spec = { containers: [{ name: 'sidecar' }, app('AWS_ROLE_ARN=already-defined')] };
    const annotations = { 'eks.amazonaws.com/skip-containers': 'sidecar' };
    expect(added({ awsDefaultRegion: 'us-west-2' }, role(US), spec, { annotations })).toMatchObject({
      volumes: [volume()],
      env: { sidecar: [], app: ['AWS_DEFAULT_REGION=us-west-2', 'AWS_REGION=us-west-2'] },
      mounts: { sidecar: [], app: MOUNT },
    });
  });

  test('rawPodMinTokenExpiration', () => {
    const annotations = { 'eks.amazonaws.com/token-expiration': '0' };
    expect(added(cn, role(CN), { containers: [app()] }, { annotations }).volumes).toEqual([volume(600)]);
  });

  test('initPodNeedsRegion', () => {
    const spec = { initContainers: [app()], containers: [app()] };
    const all = ['AWS_DEFAULT_REGION=seattle', 'AWS_REGION=seattle', `AWS_ROLE_ARN=${US}`, FILE];
    expect(added({ awsDefaultRegion: 'seattle' }, role(US), spec)).toMatchObject({
      env: { 'init app': all, app: all },
      mounts: { 'init app': MOUNT, app: MOUNT },
    });
  });

  test('windowsPodWithoutVolumes and betaWindowsPodWithoutVolumes', () => {
    for (const label of ['kubernetes.io/os', 'beta.kubernetes.io/os']) {
      const spec = { containers: [app()], nodeSelector: { [label]: 'windows' } };
      expect(added({}, role(US), spec)).toMatchObject({
        env: {
          app: [
            `AWS_ROLE_ARN=${US}`,
            'AWS_WEB_IDENTITY_TOKEN_FILE=C:\\var\\run\\secrets\\eks.amazonaws.com\\serviceaccount\\token',
          ],
        },
        mounts: { app: MOUNT },
      });
    }
  });

  test('containercredentials/rawPodWithRoleArn', () => {
    const settings = {
      awsContainerCredentialsAudience: 'con-creds-aud',
      awsContainerCredentialsMountPath: '/con-creds-mount-path',
      awsContainerCredentialsFullUri: 'http://con-creds-uri',
    };
    const account = role(CN, { 'sts-regional-endpoints': 'true', 'token-expiration': '10000' });
    const name = 'eks-pod-identity-token';
    expect(added(settings, account, { containers: [app()] }, { credentials: true })).toMatchObject({
      volumes: [
        {
          name,
          projected: {
            sources: [{ serviceAccountToken: { audience: 'con-creds-aud', expirationSeconds: 10_000, path: name } }],
          },
        },
      ],
      env: {
        app: [
          'AWS_STS_REGIONAL_ENDPOINTS=regional',
          'AWS_CONTAINER_CREDENTIALS_FULL_URI=http://con-creds-uri',
          `AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE=/con-creds-mount-path/${name}`,
        ],
      },
      mounts: { app: [`${name} /con-creds-mount-path true`] },
    });
  });
});

describe('azure-workload-identity, pkg/webhook/webhook_test.go', () => {
  const settings = { presets: 'azure', azureTenantId: 'tenantID' };
  const account = { 'azure.workload.identity/client-id': 'clientID' };
  const labels = { 'azure.workload.identity/use': 'true' };

  test('TestAddEnvironmentVariables', () => {
    const mine = [
      { name: 'AZURE_CLIENT_ID', value: 'myClientID' },
      { name: 'AZURE_TENANT_ID', value: 'myTenantID' },
    ];
    const spec = { containers: [{ name: 'cont1' }, { name: 'cont2', env: mine }] };
    const rest = [
      'AZURE_FEDERATED_TOKEN_FILE=/var/run/secrets/azure/wi/token/azure-identity-token',
      'AZURE_AUTHORITY_HOST=https://login.microsoftonline.com/',
    ];
    expect(added(settings, account, spec, { labels }).env).toEqual({
      cont1: ['AZURE_CLIENT_ID=clientID', 'AZURE_TENANT_ID=tenantID', ...rest],
      cont2: rest,
    });
  });

  test('TestGetSkipContainers', () => {
    const containers = ['container1', 'container2', 'container3'].map((name) => ({ name }));
    for (const [written, left] of [
      ['container1', ['container2', 'container3']],
      ['container1;container2', ['container3']],
      ['container1; container2', ['container3']],
    ] as const) {
      const annotations = { 'azure.workload.identity/skip-containers': written };
      const { mounts } = added(settings, account, { containers }, { labels, annotations });
      expect(Object.keys(mounts).filter((name) => mounts[name]?.length === 1)).toEqual(left);
    }
  });
});

describe('gcp-workload-identity-federation-webhook, webhooks/external_account_config_test.go', () => {
  test('TestExternalAccountCredentials_Render', () => {
    const provider =
      'projects/123456789/locations/global/workloadIdentityPools/workload-identity-pool/providers/workload-identity';
    const email = 'workload@PROJECT.iam.gserviceaccount.com';
    const account = {
      'cloud.google.com/workload-identity-provider': provider,
      'cloud.google.com/service-account-email': email,
    };
    const result = added({ presets: 'gcp' }, account, { containers: [{ name: 'ctr' }] }, {});
    expect(result.env.ctr).toContain('CLOUDSDK_CORE_PROJECT=PROJECT');
    const patch = mutatePod(
      { spec: { containers: [{ name: 'ctr' }] } },
      'Pod default/pod',
      { namespace: 'default', name: 'direct', object: 'ServiceAccount default/direct', annotations: account },
      mutationSettings({ presets: 'gcp' }),
    ).patch;
    const metadata = patch.find(({ path }) => path === '/metadata')?.value as { annotations: Record<string, string> };
    expect(JSON.parse(metadata.annotations['cloud.google.com/external-credentials-json'] ?? '')).toEqual({
      type: 'external_account',
      audience: `//iam.googleapis.com/${provider}`,
      subject_token_type: 'urn:ietf:params:oauth:token-type:jwt',
      token_url: 'https://sts.googleapis.com/v1/token',
      service_account_impersonation_url: `https://iamcredentials.googleapis.com/v1/projects/-/serviceAccounts/${email}:generateAccessToken`,
      credential_source: {
        file: '/var/run/secrets/sts.googleapis.com/serviceaccount/token',
        format: { type: 'text' },
      },
    });
  });
});
