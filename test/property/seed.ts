/** What the inputs of a file are drawn from. Printed, so that a failure can be run again: PODPASS_TEST_SEED=… */
export function printedSeed(tests: string): number {
  const seed = Number(process.env.PODPASS_TEST_SEED ?? Date.now() % 2 ** 31);
  console.log(`${tests}: seed ${seed}`);
  return seed;
}
