// Preloaded into a process whose clock is to jump. `Date` is shifted by as many milliseconds as the file in $CHAOS_CLOCK
// says, read at the start and at each SIGUSR2. Timers, performance.now() and process.hrtime() go on, as they do when
// somebody sets a machine's clock: they are the monotonic one. What OpenSSL itself compares with the time, as a client's
// look at the API server's certificate, is not shifted.
import { readFileSync } from 'node:fs';

const TrueDate = Date;
let offset = 0;

function read() {
  offset = Number(readFileSync(process.env.CHAOS_CLOCK, 'utf8'));
}

const now = () => TrueDate.now() + offset;

globalThis.Date = new Proxy(TrueDate, {
  construct: (target, given, newTarget) => Reflect.construct(target, given.length === 0 ? [now()] : given, newTarget),
  apply: () => new TrueDate(now()).toString(),
  get: (target, key) => (key === 'now' ? now : Reflect.get(target, key)),
});

process.on('SIGUSR2', read);
read();
