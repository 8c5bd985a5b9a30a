/** The load generator: sends ready bytes and reads as little of the answers as it can, so that it is never what waits. */
import { Connection, checkStatus } from './connection.ts';
import type { Questions, Round } from './protocol.ts';
import { bodyOf, statusOf } from './response.ts';

const targets = new Map<string, readonly Connection[]>();

const answers: { [Ask in keyof Questions]: (ask: Questions[Ask]['ask']) => Promise<Questions[Ask]['answer']> } = {
  async connect({ target, port, ca, connections }) {
    const open = Array.from({ length: connections }, () => Connection.open(port, ca));
    targets.set(target, await Promise.all(open));
    return {};
  },
  async disconnect({ target }) {
    for (const each of connectionsTo(target)) each.close();
    targets.delete(target);
    return {};
  },
  async once({ target, request }) {
    const response = await first(target).ask(Buffer.from(request, 'base64'));
    return { status: statusOf(response), body: bodyOf(response).toString('base64') };
  },
  async run({ target, request, ms }) {
    return round(connectionsTo(target), Buffer.from(request, 'base64'), ms);
  },
  async turns({ turns, count }) {
    const requests = turns.map(({ request }) => Buffer.from(request, 'base64'));
    const ms: number[][] = turns.map(() => []);
    for (let i = 0; i < count; i++) {
      for (const [at, { target }] of turns.entries()) {
        const began = performance.now();
        const response = await first(target).ask(requests[at] ?? Buffer.alloc(0));
        ms[at]?.push(performance.now() - began);
        checkStatus(response);
      }
    }
    return { ms };
  },
};

function connectionsTo(target: string): readonly Connection[] {
  const found = targets.get(target);
  if (found === undefined) throw new Error(`no connection to ${target}`);
  return found;
}

function first(target: string): Connection {
  const [found] = connectionsTo(target);
  if (found === undefined) throw new Error(`no connection to ${target}`);
  return found;
}

async function round(connections: readonly Connection[], request: Buffer, ms: number): Promise<Round> {
  const times: number[] = [];
  const cpu = process.cpuUsage();
  const began = performance.now();
  const until = began + ms;
  await Promise.all(
    connections.map(
      (connection) =>
        new Promise<void>((fulfil, reject) => {
          let sent = began;
          const next = () => {
            sent = performance.now();
            if (sent >= until) return fulfil();
            connection.send(request, answered, reject);
          };
          const answered = (response: Buffer) => {
            times.push(performance.now() - sent);
            try {
              checkStatus(response);
            } catch (error) {
              return reject(error);
            }
            next();
          };
          next();
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
