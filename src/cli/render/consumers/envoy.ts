import { isIP } from 'node:net';
import { toYaml } from '../../manifests/text.ts';
import { CALLER_HEADERS, CHECK_PATH, type Endpoint, endpointOf, envoyChecks } from '../address.ts';
import { needed } from '../facts.ts';
import { type TrustedIssuer, trustedIssuers } from '../issuers.ts';
import type { Consumer } from '../registry.ts';

const HTTP = 'type.googleapis.com/envoy.extensions.filters.http';
const JWT_FILTER = 'envoy.filters.http.jwt_authn';
const TIMEOUT = '5s';
/** On Debian and in the images of Envoy. */
const SYSTEM_CAS = '/etc/ssl/certs/ca-certificates.crt';

const typed = (type: string, value: object) => ({ '@type': type, ...value });

function clusterOf(name: string, { host, port, tls }: Endpoint, ca: string | undefined): object {
  const trusted = ca === undefined ? { filename: SYSTEM_CAS } : { inline_string: ca };
  const names = [{ san_type: isIP(host) === 0 ? 'DNS' : 'IP_ADDRESS', matcher: { exact: host } }];
  const context = {
    common_tls_context: { validation_context: { trusted_ca: trusted, match_typed_subject_alt_names: names } },
  };
  const type = 'type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext';
  const socket = { name: 'envoy.transport_sockets.tls', typed_config: typed(type, { sni: host, ...context }) };
  return {
    ...{ name, type: 'STRICT_DNS', connect_timeout: TIMEOUT },
    load_assignment: {
      cluster_name: name,
      endpoints: [
        { lb_endpoints: [{ endpoint: { address: { socket_address: { address: host, port_value: port } } } }] },
      ],
    },
    ...(tls ? { transport_socket: socket } : {}),
  };
}

/** Headers that a client must not send are taken out before any filter sees them. */
const withoutHeaders = (names: readonly string[]) => ({
  name: 'envoy.http.early_header_mutation.header_mutation',
  typed_config: typed(
    'type.googleapis.com/envoy.extensions.http.early_header_mutation.header_mutation.v3.HeaderMutation',
    {
      mutations: names.map((remove) => ({ remove })),
    },
  ),
});

function bootstrap(filters: readonly object[], clusters: readonly object[]): string {
  const router = { name: 'envoy.filters.http.router', typed_config: typed(`${HTTP}.router.v3.Router`, {}) };
  const routes = [{ match: { prefix: '/' }, route: { cluster: 'service' } }];
  const manager = typed(
    'type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager',
    {
      ...{ stat_prefix: 'podpass', normalize_path: true, merge_slashes: true },
      ...{ path_with_escaped_slashes_action: 'REJECT_REQUEST' },
      early_header_mutation_extensions: [withoutHeaders(CALLER_HEADERS)],
      route_config: { virtual_hosts: [{ name: 'service', domains: ['*'], routes }] },
      http_filters: [...filters, router],
    },
  );
  const filter = { name: 'envoy.filters.network.http_connection_manager', typed_config: manager };
  const address = { socket_address: { address: '0.0.0.0', port_value: 8080 } };
  return toYaml([
    {
      static_resources: {
        listeners: [{ name: 'podpass', address, filter_chains: [{ filters: [filter] }] }],
        clusters,
      },
    },
  ]);
}

function providerOf({ id, issuer, audiences, jwksUrl, jwks }: TrustedIssuer): object {
  const uri = { http_uri: { uri: jwksUrl, cluster: `keys-${id}`, timeout: TIMEOUT }, async_fetch: {} };
  return {
    ...{ issuer, audiences, require_expiration: true, payload_in_metadata: 'jwt' },
    ...(jwks === undefined ? { remote_jwks: uri } : { local_jwks: { inline_string: jwks } }),
  };
}

const claim = (name: string, value: string) => ({
  metadata: { filter: JWT_FILTER, path: [{ key: 'jwt' }, { key: name }], value: { string_match: { exact: value } } },
});

export const envoy: Consumer<'envoy'> = {
  jwt: (facts) => {
    const issuers = trustedIssuers(facts);
    const requirements = issuers.map(({ id }) => ({ provider_name: id }));
    const jwt = typed(`${HTTP}.jwt_authn.v3.JwtAuthentication`, {
      providers: Object.fromEntries(issuers.map((each) => [each.id, providerOf(each)])),
      rules: [
        {
          match: { prefix: '/' },
          requires: requirements.length > 1 ? { requires_any: { requirements } } : requirements[0],
        },
      ],
    });
    const principals = issuers.flatMap(({ issuer, subjects }) =>
      subjects.map((sub) => ({ and_ids: { ids: [claim('iss', issuer), claim('sub', sub)] } })),
    );
    const rbac = typed(`${HTTP}.rbac.v3.RBAC`, {
      rules: { action: 'ALLOW', policies: { callers: { permissions: [{ any: true }], principals } } },
    });
    return {
      text: bootstrap(
        [
          { name: JWT_FILTER, typed_config: jwt },
          { name: 'envoy.filters.http.rbac', typed_config: rbac },
        ],
        [
          clusterOf('service', endpointOf(needed(facts, 'serviceUrl')), undefined),
          ...issuers.flatMap(({ id, jwks, jwksUrl }) =>
            jwks === undefined && jwksUrl !== undefined
              ? [clusterOf(`keys-${id}`, endpointOf(jwksUrl), id === 'podpass' ? facts.ca : undefined)]
              : [],
          ),
        ],
      ),
      checks: [
        'A request without a token, or with a wrong one, is answered 401; one of another caller 403.',
        'Envoy has the keys for 10 minutes and fetches none for a kid that it does not know: publish a new key that long before it signs.',
        'The token is not sent on to the service; forward: true of the provider would.',
      ],
    };
  },
  'ext-authz': (facts) => {
    const asked = endpointOf(needed(facts, 'authUrl'));
    const patterns = (names: readonly string[]) => ({
      patterns: names.map((name) => ({ exact: name, ignore_case: true })),
    });
    const filter = typed(`${HTTP}.ext_authz.v3.ExtAuthz`, {
      transport_api_version: 'V3',
      failure_mode_allow: false,
      allowed_headers: patterns(['authorization']),
      http_service: {
        server_uri: { uri: needed(facts, 'authUrl'), cluster: 'verifier', timeout: TIMEOUT },
        path_prefix: CHECK_PATH,
        authorization_response: { allowed_upstream_headers: patterns(CALLER_HEADERS) },
      },
    });
    return {
      text: bootstrap(
        [{ name: 'envoy.filters.http.ext_authz', typed_config: filter }],
        [
          clusterOf('service', endpointOf(needed(facts, 'serviceUrl')), undefined),
          clusterOf('verifier', asked, undefined),
        ],
      ),
      checks: envoyChecks,
    };
  },
};
