/** The load generator: sends ready bytes and reads as little of the answers as it can, so that it is never what waits. */
import { Connection, checkStatus } from './connection.ts';
import { counted } from './counter.ts';
import type { Questions, Round } from './protocol.ts';
import { bodyOf, statusOf } from './response.ts';

interface Target {
  readonly open: () => Promise<Connection>;
  readonly connections: Connection[];
}

let number = 0;
const next = () => ++number;
const targets = new Map<string, Target>();

const answers: { [Ask in keyof Questions]: (ask: Questions[Ask]['ask']) => Promise<Questions[Ask]['answer']> } = {
  async connect({ target, port, ca, connections }) {
    const open = () => Connection.open(port, ca);
    targets.set(target, { open, connections: await Promise.all(Array.from({ length: connections }, open)) });
    return {};
  },
  async disconnect({ target }) {
    for (const each of await connectionsTo(target)) each.close();
    targets.delete(target);
    return {};
  },
  async once({ target, request }) {
    const response = await (await first(target)).ask(Buffer.from(request, 'base64'));
    return { status: statusOf(response), body: bodyOf(response).toString('base64') };
  },
  async run({ target, request, counters, ms }) {
    const bytes = Buffer.from(request, 'base64');
    return round(await connectionsTo(target), () => counted(bytes, counters, next), ms);
  },
  async turns({ turns, count }) {
    const requests = turns.map(({ request }) => Buffer.from(request, 'base64'));
    const ms: number[][] = turns.map(() => []);
    for (let i = 0; i < count; i++) {
      for (const [at, { target }] of turns.entries()) {
        const connection = await first(target);
        const began = performance.now();
        const response = await connection.ask(requests[at] ?? Buffer.alloc(0));
        ms[at]?.push(performance.now() - began);
        checkStatus(response);
      }
    }
    return { ms };
  },
};

/** Servers end connections that were idle for long, while another one is measured: those are opened anew. */
async function connectionsTo(target: string): Promise<readonly Connection[]> {
  const found = targets.get(target);
  if (found === undefined) throw new Error(`no connection to ${target}`);
  for (const [i, each] of found.connections.entries()) if (each.broken) found.connections[i] = await found.open();
  return found.connections;
}

async function first(target: string): Promise<Connection> {
  const [found] = await connectionsTo(target);
  if (found === undefined) throw new Error(`no connection to ${target}`);
  return found;
}

async function round(connections: readonly Connection[], requestOf: () => () => Buffer, ms: number): Promise<Round> {
  const times: number[] = [];
  const cpu = process.cpuUsage();
  const began = performance.now();
  const until = began + ms;
  await Promise.all(
    connections.map(
      (connection) =>
        new Promise<void>((fulfil, reject) => {
          let sent = began;
          const request = requestOf();
          const send = () => {
            sent = performance.now();
            if (sent >= until) return fulfil();
            connection.send(request(), answered, reject);
          };
          const answered = (response: Buffer) => {
            times.push(performance.now() - sent);
            try {
              checkStatus(response);
            } catch (error) {
              return reject(error);
            }
            send();
          };
          send();
        }),
    ),
  );
  const took = performance.now() - began;
  const { user, system } = process.cpuUsage(cpu);
  times.sort((a, b) => a - b);
  const at = (share: number) => times[Math.floor(times.length * share)] ?? Number.NaN;
  return { count: times.length, ms: took, cpuMs: (user + system) / 1000, p50: at(0.5), p99: at(0.99) };
}

process.on('message', ({ id, ask, ...rest }: { id: number; ask: keyof Questions }) => {
  const answer = answers[ask] as (ask: object) => Promise<object>;
  answer(rest).then(
    (each) => process.send?.({ id, answer: each }),
    (error: Error) => process.send?.({ id, error: error.message }),
  );
});
process.on('disconnect', () => process.exit());
