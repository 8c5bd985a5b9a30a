/** MinIO's token service as a verifier: it gives credentials for a token that it accepts. */
import { request } from 'node:https';
import { text as textOf } from 'node:stream/consumers';
import type { TestCa } from './podpass.ts';
import { Minio } from './sdks/minio.ts';
import { clusterBinaries } from './suite.ts';
import type { Resident } from './verifiers.ts';

/** It reads the issuer's documents now, and keys again for a token that it does not accept. */
export async function minioSts(issuer: string, audience: string, ca: TestCa): Promise<Resident> {
  const options = { ca, issuer, audience, region: 'eu-central-1', rolePolicy: 'readonly' };
  const minio = await Minio.start(clusterBinaries().minio, options);

  async function ask(token: string): Promise<{ status: number; answer: string }> {
    const form = new URLSearchParams({
      Action: 'AssumeRoleWithWebIdentity',
      Version: '2011-06-15',
      RoleArn: minio.role,
      DurationSeconds: '900',
      WebIdentityToken: token,
    });
    return new Promise((fulfil, reject) => {
      const outgoing = request(
        minio.url,
        {
          method: 'POST',
          ca: ca.pem,
          agent: false,
          timeout: 30_000,
          headers: { 'content-type': 'application/x-www-form-urlencoded' },
        },
        (incoming) => {
          const status = incoming.statusCode ?? 0;
          textOf(incoming).then((answer) => fulfil({ status, answer }), reject);
        },
      );
      outgoing.on('error', reject);
      outgoing.on('timeout', () => outgoing.destroy(new Error('MinIO does not answer')));
      outgoing.end(form.toString());
    });
  }

  return {
    async judge(tokens) {
      const verdicts = [];
      for (const token of tokens) {
        const { status, answer } = await ask(token);
        const subject = answer.match(/<SubjectFromWebIdentityToken>(.*?)</)?.[1];
        if (status === 200 && subject !== undefined) verdicts.push({ ok: true as const, subject, claims: {} });
        else verdicts.push({ ok: false as const, error: answer.match(/<Message>(.*?)</s)?.[1] ?? `status ${status}` });
      }
      return verdicts;
    },
    stop: () => minio.stop(),
  };
}
