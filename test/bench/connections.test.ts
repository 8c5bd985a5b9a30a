import { once } from 'node:events';
import { mkdtemp } from 'node:fs/promises';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { testCa, until } from '../cluster/podpass.ts';
import { Guardian } from '../cluster/servers.ts';
import { LoadGenerator } from './load/client.ts';
import { requestBytes } from './load/request.ts';

test('a connection that the server has ended is opened anew', async () => {
  const server = createServer(testCa().issue(), (_, response) => response.end('here'));
  server.keepAliveTimeout = 1;
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  let ended = 0;
  server.on('secureConnection', (socket) => socket.once('close', () => ended++));
  const guardian = new Guardian(await mkdtemp(join(tmpdir(), 'podpass-bench-')));
  const generator = new LoadGenerator({ guardian });
  try {
    await generator.connect('server', (server.address() as AddressInfo).port, testCa().pem, 1);
    for (const times of [1, 2]) {
      const { status, body } = await generator.once('server', requestBytes('GET', '/'));
      expect([status, body.toString()]).toEqual([200, 'here']);
      await until('its end', () => ended === times);
    }
  } finally {
    await generator.stop();
    await guardian.end();
    server.close();
  }
});
