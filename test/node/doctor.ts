/** podpass doctor as an administrator runs it: beside the cluster, with its kubeconfig. */
import { describe, expect, it } from 'vitest';
import type { Finding } from '../../src/cli/doctor/rule.ts';
import { podpass } from '../cluster/podpass.ts';
import type { Installed } from './installed.ts';

export function describeDoctor(installed: () => Installed): void {
  describe('podpass doctor', () => {
    it('finds no error, verifies a token, and warns of nothing but what is true of this machine', async () => {
      const { node, caFile } = installed();
      const flags = ['--kubeconfig', node.cluster.kubeconfigPath, '--ca', caFile, '-o', 'json'];
      const { code, stdout, stderr } = await podpass(['doctor', ...flags]);
      const { findings } = JSON.parse(stdout) as { findings: Finding[] };
      const at = (level: Finding['severity']) => findings.filter(({ severity }) => severity === level);
      expect(at('error')).toEqual([]);
      expect([code, stderr]).toEqual([0, '']);
      expect(at('info').map(({ code }) => code)).toContain('token-verified');
      const here = ['address-private', 'tls-private-ca'];
      expect(at('warning').filter(({ code }) => !here.includes(code))).toEqual([]);
    });
  });
}
