/** A real broker of Kafka and a client with what `podpass render kafka` prints: whose tokens open which topics. */
import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { outputOf } from '../render-facts.ts';
import { ACCOUNT, Callers, OTHER_ACCOUNT } from './callers.ts';
import { Kafka, KafkaClient, kafkaJava } from './kafka.ts';
import { runProgram, testCa } from './podpass.ts';
import { describeCluster } from './suite.ts';
import { reportMissing } from './verifiers.ts';

const AUDIENCE = 'kafka';
const PREFIX = 'orders';

/** What the output says about the JVM, where no property can say it. */
const jvmFlags = (printed: string) => printed.match(/-D(?:org\.apache\.kafka|javax)\.\S+?(?=:? |$)/gm) ?? [];

const java = await kafkaJava();
if ('reason' in java) reportMissing('Apache Kafka', java);

describeCluster('Kafka with what render prints', () => {
  let folder: string;
  let callers: Callers;
  let kafka: Kafka;
  let client: KafkaClient;
  const tokenFile = () => join(folder, 'token');
  const facts = () =>
    callers.facts(AUDIENCE, {
      tokens: [{ audience: AUDIENCE, file: tokenFile(), lifetime: 3600 }],
      ca: testCa().pem,
      jwksUrl: `${callers.issuer.url}/openid/v1/jwks`,
      options: { name: PREFIX },
    });

  /** The rules of the printed commands: kafka-acls.sh is not in Maven's repository, so a script of that name writes down. */
  async function rules(): Promise<string[]> {
    const script = join(folder, 'kafka-acls.sh');
    await writeFile(script, '#!/bin/sh\nprintf "%s\\n" "$@" END\n');
    await chmod(script, 0o755);
    const env = { PATH: `${folder}:${process.env.PATH}`, BOOTSTRAP: kafka.address, CONFIG: kafka.adminProperties };
    const { code, stdout } = await runProgram('/bin/sh', ['-c', outputOf('kafka', 'acl', facts())], { env });
    expect(code).toBe(0);
    return stdout
      .trim()
      .split('\nEND')
      .filter((each) => each !== '')
      .flatMap((each) => {
        const words = each.trim().split('\n');
        const after = (flag: string) => words.flatMap((word, at) => (word === flag ? [words[at + 1] ?? ''] : []));
        expect(after('--resource-pattern-type')).toEqual(['prefixed']);
        const [principal, topic] = [after('--allow-principal')[0], after('--topic')[0]];
        return after('--operation').map((operation) => `acl ${principal} ${operation} ${topic}`);
      });
  }

  beforeAll(async () => {
    if ('reason' in java) return;
    folder = await mkdtemp(join(tmpdir(), 'podpass-render-kafka-'));
    callers = await Callers.start();
    const trust = join(folder, 'issuer.crt');
    await writeFile(trust, testCa().pem);
    // Its places are of this test's folder here.
    const broker = outputOf('kafka', 'broker', facts()).replaceAll('/etc/kafka/', `${folder}/`);
    const [, keytool = ''] = /JVM: (keytool .*?);/.exec(broker) ?? [];
    const imported = await runProgram('/bin/sh', ['-c', keytool], { env: { PATH: process.env.PATH ?? '' } });
    expect([imported.code, imported.stdout]).toEqual([0, '']);
    expect(jvmFlags(broker)).toHaveLength(3);
    kafka = await Kafka.start(java, testCa(), broker, jvmFlags(broker));
    const admin = new KafkaClient(java, kafka.adminProperties);
    const found = await rules();
    expect(found).toHaveLength(3);
    for (const line of ['topic orders-today', 'topic salaries', ...found]) expect(await admin.ask(line)).toBe('ok');
    await admin.stop();
    const printed = outputOf('kafka', 'client', facts());
    expect(jvmFlags(printed)).toHaveLength(2);
    const properties = join(folder, 'client.properties');
    const own = `bootstrap.servers=${kafka.address}\nssl.truststore.type=PEM\nssl.truststore.location=${trust}\n`;
    await writeFile(properties, own + printed);
    await writeFile(tokenFile(), await callers.token(ACCOUNT, AUDIENCE));
    client = new KafkaClient(java, properties, jvmFlags(printed));
  }, 300_000);
  afterAll(async () => {
    await client?.stop();
    await kafka?.stop();
    await callers?.stop();
    if (folder !== undefined) await rm(folder, { recursive: true });
  });

  it.skipIf('reason' in java)('lets the caller see and write its topics, and no other', async () => {
    await writeFile(tokenFile(), await callers.token(ACCOUNT, AUDIENCE));
    expect(await client.ask('list')).toBe('ok orders-today');
    expect(await client.ask('write orders-today')).toBe('ok');
    expect(await client.ask('write salaries')).toMatch(/^no TopicAuthorizationException/);
  });

  it.skipIf('reason' in java)('knows another ServiceAccount, and gives it nothing', async () => {
    await writeFile(tokenFile(), await callers.token(OTHER_ACCOUNT, AUDIENCE));
    expect(await client.ask('list')).toBe('ok');
    expect(await client.ask('write orders-today')).toMatch(/^no TopicAuthorizationException/);
  });

  it.skipIf('reason' in java).each([
    ['as it is', () => callers.token(ACCOUNT, AUDIENCE), /^ok orders-today$/],
    // So it is not the forging that is refused below.
    ['that the test has signed', () => callers.forged(AUDIENCE, {}), /^ok orders-today$/],
    ['of another audience', () => callers.token(ACCOUNT, 'other'), /^no SaslAuthenticationException: .*invalid_token/],
    ['that has ended', () => callers.expired(AUDIENCE), /^no SaslAuthenticationException: .*invalid_token/],
    [
      'of another issuer with the same key',
      () => callers.forged(AUDIENCE, { claims: { iss: 'https://elsewhere' } }),
      /^no SaslAuthenticationException: .*invalid_token/,
    ],
    [
      'of a key that is not published',
      () => callers.forged(AUDIENCE, { foreignKey: true }),
      /^no SaslAuthenticationException: .*invalid_token/,
    ],
  ] as const)('the broker itself judges a token %s', async (_, token, answer) => {
    expect(await client.ask(`raw ${await token()}`)).toMatch(answer);
  });
});
