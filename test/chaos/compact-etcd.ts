/** Forgets all of etcd's past, by its JSON gateway: https://etcd.io/docs/v3.6/dev-guide/api_grpc_gateway/ */
export async function compactEtcd(port: number): Promise<void> {
  const { header } = (await post(port, 'range', { key: btoa('/') })) as { header: { revision: string } };
  await post(port, 'compaction', { revision: header.revision, physical: true });
}

async function post(port: number, what: 'range' | 'compaction', body: object): Promise<unknown> {
  const path = what === 'range' ? 'kv/range' : 'kv/compaction';
  const answer = await fetch(`http://127.0.0.1:${port}/v3/${path}`, { method: 'POST', body: JSON.stringify(body) });
  if (!answer.ok) throw new Error(`etcd answered ${path} with HTTP ${answer.status}: ${await answer.text()}`);
  return answer.json();
}
