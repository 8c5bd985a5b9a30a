/** Everything that `podpass doctor` can find: one row for each code. A code keeps its meaning once it was released. */
export interface FindingRow {
  readonly about: 'issuer' | 'document' | 'keys' | 'answer' | 'TLS' | 'token' | 'cluster' | 'webhook';
  readonly meaning: string;
}

const issuer = (meaning: string): FindingRow => ({ about: 'issuer', meaning });
const answer = (meaning: string): FindingRow => ({ about: 'answer', meaning });
const tls = (meaning: string): FindingRow => ({ about: 'TLS', meaning });
const document = (meaning: string): FindingRow => ({ about: 'document', meaning });
const keys = (meaning: string): FindingRow => ({ about: 'keys', meaning });
const token = (meaning: string): FindingRow => ({ about: 'token', meaning });
const cluster = (meaning: string): FindingRow => ({ about: 'cluster', meaning });
const webhook = (meaning: string): FindingRow => ({ about: 'webhook', meaning });

export const findingRows = {
  'issuer-not-https': issuer('The issuer is not an https URL.'),
  'issuer-port': issuer('The issuer names a port.'),
  'issuer-case': issuer('The host of the issuer has upper-case letters.'),
  'issuer-trailing-slash': issuer('The issuer ends with a slash.'),
  'issuer-too-long': issuer('The issuer is longer than a verifier takes.'),

  'dns-failed': answer('The host of a document has no address.'),
  'address-private': answer('The host of a document has an address that is not on the internet.'),
  'address-ipv6-only': answer('The host of a document has no IPv4 address.'),
  'no-answer': answer('No connection, no answer in time, or one that broke off.'),
  redirect: answer('The answer is a redirect.'),
  'status-not-200': answer('The answer has another status than 200.'),
  'too-large': answer('The answer is over 1 MiB.'),
  slow: answer('The answer took so long that verifiers give up.'),
  'content-type': answer('The answer has another Content-Type than JSON.'),
  compressed: answer('The answer is compressed though that was not asked for.'),
  'cache-missing': answer('The answer does not say how long it may be kept.'),
  'cache-none': answer('The answer may not be kept.'),
  'cache-long': answer('The answer may be kept so long that a new key is not seen in time.'),
  'cache-shared': answer('The answer has Set-Cookie or Vary, which keep caches from sharing it.'),
  unsteady: answer('The same question failed when it was put again.'),
  'answers-differ': answer('The same question had answers with other keys or another issuer.'),
  'accept-refused': answer('The answer depends on the Accept header, and a verifier does not get it.'),
  'clock-skew': answer('The clock of this machine and that of a server differ.'),

  'tls-failed': tls('There is no TLS connection.'),
  'tls-expired': tls('A certificate has expired.'),
  'tls-not-yet-valid': tls('A certificate is not valid yet.'),
  'tls-expires-soon': tls('A certificate should have been renewed: it expires within 14 days, or a third of its life.'),
  'tls-wrong-host': tls('The certificate is for another host.'),
  'tls-chain-incomplete': tls('The server does not send the certificates between its own and a trusted CA.'),
  'tls-untrusted': tls('The certificate is not from a trusted CA.'),
  'tls-private-ca': tls('The certificate is trusted with --ca only.'),
  thumbprint: tls('The SHA-1 thumbprint that AWS asks for.'),

  'document-not-json': document('The document is not a JSON object.'),
  'issuer-mismatch': document('The document names another issuer.'),
  'document-members-missing': document('Required members are missing in the document.'),
  'document-algorithms': document('The document does not list the algorithm of a key.'),
  'authorization-endpoint-empty': document('The document has an empty endpoint.'),
  'jwks-uri-missing': document('The document has no usable jwks_uri.'),
  'jwks-uri-not-https': document('The jwks_uri is not https.'),
  'jwks-uri-other-host': document('The JWK Set is on another host than the issuer.'),
  'jwks-uri-private': document('The jwks_uri leads to an address that outsiders do not reach; it was not asked.'),
  'jwks-uri-api-server': document('The jwks_uri is the API server itself.'),

  'jwks-not-json': keys('The JWK Set is not a JSON object with a list "keys".'),
  'jwks-empty': keys('The JWK Set has no keys.'),
  'jwks-large': keys('The JWK Set is larger than a verifier reads.'),
  'keys-many': keys('The JWK Set has more keys than a verifier takes.'),
  'key-private': keys('A private key is published.'),
  'key-duplicate-kid': keys('Two keys have the same kid.'),
  'key-without-kid': keys('A key has no kid.'),
  'key-without-use': keys('A key has no "use", or another one than "sig".'),
  'key-without-alg': keys('A key has no "alg".'),
  'key-unsupported': keys('A key of a type or on a curve that verifiers do not know.'),
  'key-unusable': keys('A key that cannot be read, or whose members contradict each other.'),
  'key-weak': keys('An RSA key under 2048 bits.'),
  'key-exponent': keys('An RSA key with an unusual exponent.'),
  'key-certificate': keys('A key with members for certificates.'),
  'algorithm-unfit': keys('Keys or a token with an algorithm that a verifier does not take.'),

  'token-malformed': token('The token is not a JSON Web Token in its compact form.'),
  'token-algorithm': token('The token is signed with an algorithm that API servers do not use.'),
  'token-key-unknown': token('The key that signed the token is not in the JWK Set.'),
  'token-signature': token('The signature was not made by the key with that kid.'),
  'token-issuer': token('The token is from another issuer.'),
  'token-audience': token('The token is for another audience.'),
  'token-audiences-several': token('The token has several audiences.'),
  'token-claims-missing': token('The token lacks a claim.'),
  'token-expired': token('The token has expired.'),
  'token-not-yet-valid': token('The token is not valid yet.'),
  'token-lifetime': token('The token lives longer than a verifier takes.'),
  'token-claim-long': token('An audience or a subject is longer than a verifier takes.'),
  'token-large': token('The token is longer than a verifier or a header takes.'),
  'token-verified': token('The token is verified by what is public.'),

  'api-server-no-answer': cluster('The API server does not answer, or does not know the credential.'),
  'rights-missing': cluster('The credential may not look; a check was left out.'),
  'cluster-documents': cluster('The API server does not serve its discovery document or its JWK Set.'),
  'cluster-issuer-mismatch': cluster("The issuer of the cluster's tokens is another one."),
  'api-servers-differ': cluster('API servers answer with different issuers or keys.'),
  'keys-missing': cluster('A key of the cluster is not published.'),
  'keys-differ': cluster('A key is published with another value than it has in the cluster.'),
  'keys-extra': cluster('A key is published that the cluster does not name.'),
  'discovery-rights': cluster('ServiceAccounts may not read the documents of the API server.'),
  'api-server-anonymous': cluster('The API server gives its JWK Set to everybody who reaches it.'),
  'token-not-minted': cluster('The cluster did not issue a token to try.'),
  'token-shortened': cluster('The API server shortens the lifetime of tokens.'),

  'webhook-not-registered': webhook('The webhook is not registered.'),
  'webhook-entry-missing': webhook('An entry of the registration is not there.'),
  'failure-policy-changed': webhook(
    'An entry of the registration has another failurePolicy than it was installed with.',
  ),
  'ca-bundle-missing': webhook('The registration has no usable caBundle.'),
  'ca-bundle-mismatch': webhook("The API server does not trust the webhook's certificate."),
  'ca-bundle-expires': webhook('The last CA of a caBundle has expired or should have been renewed.'),
  'webhook-unreachable': webhook('The API server does not reach the webhook.'),
  'webhook-not-injecting': webhook('A Pod that asks for a token gets none.'),
  'dry-run-refused': webhook('The Pod to try was refused for another reason.'),
  'webhook-fails-open': webhook('No Pod waits for the webhook when it is away.'),
  'webhook-broad': webhook('Pods of the system wait for the webhook when it is away.'),
  'policy-missing': webhook('The policy that refuses Pods without their tokens is not there.'),
  'deployment-missing': webhook('A Deployment is not there.'),
  'deployment-unavailable': webhook(
    'No replica of a Deployment is available, nor one of the other half of the webhook.',
  ),
  'deployment-degraded': webhook('Some replicas of a Deployment are not available, or all of one half of the webhook.'),
  'version-skew': webhook('The services run different versions.'),
  'cli-version': webhook('The services run another version than this podpass.'),
} as const satisfies Record<string, FindingRow>;

export type FindingCode = keyof typeof findingRows;
