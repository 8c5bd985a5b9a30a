import type { ConsumerName, FormatName } from '../../catalog/consumers.ts';
import { authentik } from './consumers/authentik.ts';
import { aws } from './consumers/aws.ts';
import { azure } from './consumers/azure.ts';
import { envoy } from './consumers/envoy.ts';
import { envoyGateway } from './consumers/envoy-gateway.ts';
import { gatewayApi } from './consumers/gateway-api.ts';
import { gcp } from './consumers/gcp.ts';
import { githubActions } from './consumers/github-actions.ts';
import { gitlabCi } from './consumers/gitlab-ci.ts';
import { istio } from './consumers/istio.ts';
import { kafka } from './consumers/kafka.ts';
import { keycloak } from './consumers/keycloak.ts';
import { minio } from './consumers/minio.ts';
import { nginx } from './consumers/nginx.ts';
import { oauth2Proxy } from './consumers/oauth2-proxy.ts';
import { prometheus } from './consumers/prometheus.ts';
import { traefik } from './consumers/traefik.ts';
import { vault } from './consumers/vault.ts';
import type { Body, Facts } from './facts.ts';

/** What one consumer writes, by format. Pure. */
export type Consumer<C extends ConsumerName> = { readonly [F in FormatName<C>]: (facts: Facts) => Body };

/** One for each row of the catalog. */
export const consumers: { readonly [C in ConsumerName]: Consumer<C> } = {
  ...{
    'oauth2-proxy': oauth2Proxy,
    nginx,
    traefik,
    istio,
    envoy,
    'envoy-gateway': envoyGateway,
    'gateway-api': gatewayApi,
  },
  ...{ vault, aws, azure, gcp, keycloak, authentik, minio, prometheus, kafka, 'github-actions': githubActions },
  'gitlab-ci': gitlabCi,
};
