import { jwkSet } from '../../discovery/jwk-set.ts';
import { createClusterSource } from '../../discovery/key-source/cluster.ts';
import { createFilesSource } from '../../discovery/key-source/files.ts';
import { KeySourceFailure } from '../../discovery/key-source/key-source.ts';
import { mergeKeys } from '../../discovery/merge-keys.ts';
import { describeRefused, type KeyReading } from '../../discovery/public-key.ts';
import type { CommandSettings } from '../catalog/commands.ts';
import { quote } from '../fault.ts';
import type { Terminal } from './terminal.ts';

type Settings = CommandSettings<'jwks'>;

export async function runJwks(settings: Settings, terminal: Terminal): Promise<number> {
  const { reading, fault } = await read(settings, terminal);
  for (const refused of reading.refused) terminal.err(`refused: ${describeRefused(refused)}\n`);
  for (const kid of mergeKeys(reading.keys).conflicts) {
    terminal.err(`warning: the kid ${quote(kid)} has more than one key; the last one counts\n`);
  }
  if (fault !== undefined) terminal.err(`podpass jwks: ${fault}\n`);
  if (reading.keys.length > 0) terminal.out(`${JSON.stringify(jwkSet(reading.keys), undefined, 2)}\n`);
  return reading.refused.length === 0 && fault === undefined ? 0 : 1;
}

/** The good keys are read in spite of the others. */
async function read(settings: Settings, terminal: Terminal): Promise<{ reading: KeyReading; fault?: string }> {
  const { source, close } = await open(settings, terminal);
  try {
    return { reading: await source.read(new AbortController().signal) };
  } catch (error) {
    if (!(error instanceof KeySourceFailure)) throw error;
    return { reading: error.partial, fault: error.message };
  } finally {
    close();
  }
}

async function open({ keys, kubeconfig, allowPrivateKeys }: Settings, terminal: Terminal) {
  if (keys.length > 0) return { source: createFilesSource({ paths: keys, allowPrivateKeys }), close() {} };
  const { createKubeClient, loadKubeConfig } = await import('../runtime/kube-client.ts');
  const client = createKubeClient(loadKubeConfig({ kubeconfig, env: terminal.env }));
  return { source: createClusterSource(client.get), close: () => client.close() };
}
