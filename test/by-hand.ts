/** For clusters that are tried by hand: stays until it is told to end, and takes down what was started. */

export const say = (line: string) => void process.stderr.write(`${line}\n`);

/** Prints what `start` returns. `stop` is called once, also after a start that failed. */
export async function runByHand(start: () => Promise<string>, stop: () => Promise<void>): Promise<void> {
  let ending = false;
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.on(signal, () => {
      if (ending) process.exit(1);
      ending = true;
      say('taking everything down');
      void stop().then(
        () => process.exit(0),
        () => process.exit(1),
      );
    });
  }
  try {
    console.log(await start());
    // Nothing else keeps this process alive.
    setInterval(() => undefined, 60_000);
  } catch (error) {
    if (ending) return;
    await stop();
    say(error instanceof Error ? error.message : String(error));
    process.exitCode = 1;
  }
}
