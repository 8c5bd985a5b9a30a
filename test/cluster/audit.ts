/** The API server's audit log: what it was asked, by whom, and what admission noted. */
import { existsSync, readFileSync, rmSync } from 'node:fs';
import { mkdtemp, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export interface AuditEvent {
  verb: string;
  requestURI: string;
  userAgent?: string;
  user: { username: string };
  objectRef?: { resource: string; namespace?: string; name?: string; subresource?: string };
  responseStatus?: { code: number };
  annotations?: Record<string, string>;
}

export interface AuditLog {
  /** Flags of the API server. */
  readonly args: string[];
  events(): AuditEvent[];
  remove(): void;
}

export async function createAuditLog(): Promise<AuditLog> {
  const folder = await mkdtemp(join(tmpdir(), 'podpass-audit-'));
  const policy = join(folder, 'policy.json');
  const log = join(folder, 'audit.log');
  const rules = [{ level: 'Metadata' }];
  const head = { apiVersion: 'audit.k8s.io/v1', kind: 'Policy', omitStages: ['RequestReceived', 'ResponseStarted'] };
  await writeFile(policy, JSON.stringify({ ...head, rules }));
  return {
    // An event is written before the answer is complete, so that a test finds it at once.
    args: [`--audit-policy-file=${policy}`, `--audit-log-path=${log}`, '--audit-log-mode=blocking'],
    events() {
      const lines = existsSync(log) ? readFileSync(log, 'utf8').split('\n') : [];
      return lines.slice(0, -1).map((line) => JSON.parse(line) as AuditEvent);
    },
    remove: () => rmSync(folder, { recursive: true, force: true }),
  };
}
