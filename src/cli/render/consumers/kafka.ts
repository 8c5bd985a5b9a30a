import { type Facts, nameOf, subjectsOf, tokenOf } from '../facts.ts';
import type { Consumer } from '../registry.ts';
import { propertyLine } from '../syntax/properties.ts';
import { shellWord } from '../syntax/shell.ts';

const MODULE = 'org.apache.kafka.common.security.oauthbearer.OAuthBearerLoginModule required;';
const CLASSES = 'org.apache.kafka.common.security.oauthbearer';
/** The listener is SASL_SSL: a token in the clear is anybody's. */
const LISTENER = 'listener.name.sasl_ssl';

/**
 * In the JVM: options for TLS in sasl.jaas.config are taken for those of the broker's own login, which then wants a name, so
 * that the broker does not start (OAuthBearerUnsecuredLoginCallbackHandler).
 */
const TRUST =
  'The broker trusts the certificates of --ca by the JVM: keytool -importcert -noprompt -alias issuer -file /etc/kafka/issuer.crt -keystore /etc/kafka/issuer.p12 -storepass changeit; KAFKA_OPTS has -Djavax.net.ssl.trustStore=/etc/kafka/issuer.p12 -Djavax.net.ssl.trustStorePassword=changeit too.';

const properties = (lines: Readonly<Record<string, string>>) =>
  Object.entries(lines)
    .map(([key, value]) => `${propertyLine(key, value)}\n`)
    .join('');

/** Kafka's own validator, since 4.0 with a list of addresses and files that the JVM may read. */
export const kafka: Consumer<'kafka'> = {
  broker: (facts) => ({
    text: properties({
      'sasl.enabled.mechanisms': 'OAUTHBEARER',
      [`${LISTENER}.sasl.enabled.mechanisms`]: 'OAUTHBEARER',
      [`${LISTENER}.oauthbearer.sasl.jaas.config`]: MODULE,
      [`${LISTENER}.oauthbearer.sasl.server.callback.handler.class`]: `${CLASSES}.OAuthBearerValidatorCallbackHandler`,
      [`${LISTENER}.oauthbearer.sasl.oauthbearer.jwks.endpoint.url`]: facts.jwksUrl,
      [`${LISTENER}.oauthbearer.sasl.oauthbearer.expected.issuer`]: facts.issuer,
      [`${LISTENER}.oauthbearer.sasl.oauthbearer.expected.audience`]: audiences(facts),
      [`${LISTENER}.oauthbearer.sasl.oauthbearer.sub.claim.name`]: 'sub',
    }),
    checks: [
      `KAFKA_OPTS has -Dorg.apache.kafka.sasl.oauthbearer.allowed.urls=${facts.jwksUrl}: no property can say it.`,
      ...(facts.ca === undefined ? [] : [TRUST]),
      'The listeners have one of the name SASL_SSL, and super.users and the authorizer are set: by itself Kafka lets everybody do everything.',
      'The principal is User: and the "sub" (podpass render kafka -o acl).',
    ],
  }),
  client: (facts) => {
    const { file } = tokenOf(facts);
    return {
      text: properties({
        'security.protocol': 'SASL_SSL',
        'sasl.mechanism': 'OAUTHBEARER',
        'sasl.jaas.config': MODULE,
        'sasl.login.callback.handler.class': `${CLASSES}.OAuthBearerLoginCallbackHandler`,
        'sasl.oauthbearer.token.endpoint.url': fileUrl(file),
      }),
      checks: [
        `KAFKA_OPTS or JAVA_TOOL_OPTIONS has -Dorg.apache.kafka.sasl.oauthbearer.allowed.urls=${fileUrl(file)} and -Dorg.apache.kafka.sasl.oauthbearer.allowed.files=${file}: no property can say it.`,
        'The client reads the file again when it changes. librdkafka has no such property: use its token callback.',
      ],
    };
  },
  acl: (facts) => ({
    text: [
      `: "\${BOOTSTRAP:?the address of a broker}" "\${CONFIG:?the properties of an administrator}"`,
      ...subjectsOf(facts).map((subject) =>
        [
          'kafka-acls.sh --bootstrap-server "$BOOTSTRAP" --command-config "$CONFIG" --add',
          `--allow-principal ${shellWord(`User:${subject}`)}`,
          `--operation Read --operation Write --operation Describe --topic ${shellWord(nameOf(facts))} --resource-pattern-type prefixed`,
        ].join(' \\\n  '),
      ),
      '',
    ].join('\n'),
    checks: [
      'A consumer needs --operation Read on its --group too.',
      'Another principal.builder.class, or super.users with a wildcard, makes these rules about somebody else.',
    ],
  }),
};

/** A rule has seen that none of them has a comma in it. */
const audiences = ({ tokens }: Facts) => tokens.map(({ audience }) => audience).join(',');

/** A path of Windows too: `C:\a` is `file:///C:/a`. */
function fileUrl(file: string): string {
  const path = file.startsWith('/') ? file : `/${file.replaceAll('\\', '/')}`;
  return `file://${path.split('/').map(encodeURIComponent).join('/').replaceAll('%3A', ':')}`;
}
