import { createHash } from 'node:crypto';
import { type Caller, type Facts, subjectOf, tokenOf } from '../facts.ts';
import type { Consumer } from '../registry.ts';
import { shellWord } from '../syntax/shell.ts';

const MOST_NAME = 120;

const checks = [
  'Both documents answer at the issuer to everybody on the internet: podpass doctor --issuer ISSUER --target azure.',
  'Issuer, subject and audience are compared byte for byte; there are no wildcards, and an identity has at most 20 credentials.',
  'Entra remembers the first 100 keys of the JWK Set only: publish a new key a day before it signs.',
  'The ServiceAccount has the annotation azure.workload.identity/client-id, and the Pods the label azure.workload.identity/use: "true".',
];

/** A name of letters, digits, dashes and underscores; no two callers have the same. A namespace has no dot. */
function credentialName(caller: Caller): string {
  const name = `${caller.namespace}_${caller.name.replaceAll('.', '__')}`;
  if (name.length <= MOST_NAME) return name.padEnd(3, '_');
  const digest = createHash('sha256').update(subjectOf(caller)).digest('hex').slice(0, 16);
  return `${name.slice(0, MOST_NAME - 17)}_${digest}`;
}

const credentialsOf = (facts: Facts) =>
  facts.callers.map((caller) => ({
    name: credentialName(caller),
    issuer: facts.issuer,
    subject: subjectOf(caller),
    audiences: [tokenOf(facts).audience],
  }));

export const azure: Consumer<'azure'> = {
  json: (facts) => ({
    text: `${JSON.stringify(credentialsOf(facts), undefined, 2)}\n`,
    checks: [...checks, 'Each member is what az ad app federated-credential create --parameters takes.'],
  }),
  shell: (facts) => ({
    text: [
      `: "\${IDENTITY:?the name of the managed identity}" "\${RESOURCE_GROUP:?its resource group}"`,
      ...credentialsOf(facts).map(({ name, issuer, subject, audiences }) =>
        [
          'az identity federated-credential create --identity-name "$IDENTITY" --resource-group "$RESOURCE_GROUP"',
          `--name ${shellWord(name)} --issuer ${shellWord(issuer)} --subject ${shellWord(subject)}`,
          `--audiences ${audiences.map(shellWord).join(' ')}`,
        ].join(' \\\n  '),
      ),
      '',
    ].join('\n'),
    checks,
  }),
};
