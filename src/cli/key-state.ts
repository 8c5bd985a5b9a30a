import type { StatePlace } from '../../discovery/key-state-store.ts';
import type { CommandSettings } from '../catalog/commands.ts';
import { createKubeClient, findNamespace, loadKubeConfig } from '../runtime/kube-client.ts';
import { createStateConfigMap } from '../runtime/state-config-map.ts';
import { createStateFile } from '../runtime/state-file.ts';
import type { Terminal } from './terminal.ts';

/** The place that `--state` names. A ConfigMap is in the cluster that we run in, else in the one of the settings. */
export function openState(
  { state, kubeconfig, context }: Pick<CommandSettings<'discovery'>, 'state' | 'kubeconfig' | 'context'>,
  { env }: Pick<Terminal, 'env'>,
): { readonly place: StatePlace; close(): void } | undefined {
  if (state === undefined) return undefined;
  if ('file' in state) return { place: createStateFile(state.file), close() {} };
  const inPod = env.KUBERNETES_SERVICE_HOST !== undefined;
  const kubeConfig = loadKubeConfig(inPod ? { env } : { env, kubeconfig });
  const client = createKubeClient(kubeConfig, inPod || context === undefined ? {} : { context });
  return {
    place: createStateConfigMap(client, findNamespace(kubeConfig), state.configMap),
    close: () => client.close(),
  };
}
