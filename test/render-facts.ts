/** Facts for outputs of `podpass render`, and every output that there is for them: for tests that loop over consumers. */
import { type ConsumerName, type ConsumerRow, consumerRows, type FormatRow } from '../src/catalog/consumers.ts';
import { type Facts, servedJwksUrl, type TokenFact } from '../src/cli/render/facts.ts';
import { type Made, make } from '../src/cli/render/make.ts';

export const ISSUER = 'https://k8s.example.com/cluster-a';

const token = (audience: string): TokenFact => ({
  audience,
  file: '/var/run/secrets/podpass.dev/tokens/token',
  lifetime: 3600,
});

/** One audience, two callers, RS256, and a value for each option. */
export function sampleFacts(over: Partial<Facts> = {}): Facts {
  const issuer = over.issuer ?? ISSUER;
  return {
    issuer,
    tokens: [token('https://sso.example.com/realms/main')],
    callers: [
      { namespace: 'shop', name: 'web' },
      { namespace: 'shop', name: 'worker.v2' },
    ],
    jwksUrl: servedJwksUrl(issuer),
    keys: undefined,
    inlineKeys: false,
    annotationPrefix: 'podpass.dev',
    ...over,
    options: {
      authUrl: 'http://oauth2-proxy.auth.svc:4180',
      serviceUrl: 'http://web.shop.svc:8080',
      tokenUrl: 'https://sso.example.com/application/o/token/',
      clientId: 'client',
      gateway: 'public',
      account: '123456789012',
      workloadIdentityProvider: { project: '1234', location: 'global', pool: 'clusters', provider: 'cluster-a' },
      ...over.options,
    },
  };
}

export interface Output extends Made {
  readonly consumer: ConsumerName;
  readonly format: string;
  readonly row: FormatRow;
}

/** Every output of every consumer for the same facts: those that are refused have problems and no text. */
export function everyOutput(facts: Facts): readonly Output[] {
  return (Object.entries(consumerRows) as [ConsumerName, ConsumerRow][]).flatMap(([consumer, { formats }]) =>
    Object.entries(formats).map(([format, row]) => ({ consumer, format, row, ...make(consumer, format, facts) })),
  );
}

/** One of them, which must not be refused. */
export function outputOf(consumer: ConsumerName, format: string, facts: Facts = sampleFacts()): string {
  const { text, problems } = make(consumer, format, facts);
  if (problems.length > 0) throw new Error(`${consumer} -o ${format} is refused: ${JSON.stringify(problems)}`);
  return text;
}
