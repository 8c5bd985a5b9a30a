import { Failure } from '../fault.ts';
import type { KubeClient } from './kube-client.ts';

const TIMEOUT_MS = 10_000;
const KEY = 'state.json';

interface ConfigMap {
  readonly metadata: { readonly resourceVersion: string };
  readonly data?: Readonly<Record<string, string>>;
}

/**
 * A ConfigMap for one text, in its data under `state.json`; other data stay. An update is refused where somebody wrote it
 * meanwhile. Throws a Failure that names the path.
 */
export function createStateConfigMap(
  client: Pick<KubeClient, 'get' | 'post' | 'put'>,
  namespace: string,
  name: string,
) {
  const folder = `/api/v1/namespaces/${encodeURIComponent(namespace)}/configmaps`;
  const path = `${folder}/${encodeURIComponent(name)}`;
  let seen: ConfigMap | undefined;
  return {
    name: `configmap/${name}`,
    async read(): Promise<{ text: string; version: string } | undefined> {
      seen = undefined;
      const { status, body } = await client.get(path, { timeoutMs: TIMEOUT_MS });
      if (status === 404) return undefined;
      if (status !== 200) throw new Failure(`GET ${path}: HTTP ${status}`);
      seen = JSON.parse(body.toString('utf8')) as ConfigMap;
      return { text: seen.data?.[KEY] ?? '', version: seen.metadata.resourceVersion };
    },
    async write(text: string, version: string | undefined): Promise<boolean> {
      const isNew = version === undefined;
      const object = isNew
        ? { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name, namespace }, data: { [KEY]: text } }
        : { ...seen, data: { ...seen?.data, [KEY]: text } };
      const { status } = isNew
        ? await client.post(folder, object, { timeoutMs: TIMEOUT_MS })
        : await client.put(path, object, { timeoutMs: TIMEOUT_MS });
      // Created or changed by another one, or deleted.
      if (status === 409 || (status === 404 && !isNew)) return false;
      if (status === 200 || status === 201) return true;
      throw new Failure(`${isNew ? `POST ${folder}` : `PUT ${path}`}: HTTP ${status}`);
    },
  };
}
