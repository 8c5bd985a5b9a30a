import { clause, type Refusal } from '../refusal.ts';

/** Keys that a consumer cannot verify with, where it is known which there are. */
export const algorithmRefusals: readonly Refusal[] = [
  {
    source: 'the limits of the consumer',
    severity: 'refused',
    find: ({ limits: { algorithms }, facts: { keys } }) => {
      if (algorithms === undefined || algorithms.configurable || keys === undefined) return [];
      if (keys.algorithms.some((each) => algorithms.taken.includes(each))) return [];
      const wrong = `are the algorithms of the keys; ${clause(algorithms.why)}`;
      return [{ key: 'keys', value: keys.algorithms.join(','), wrong, accepted: algorithms.taken.join(', ') }];
    },
  },
  {
    source: 'the limits of the consumer',
    severity: 'warning',
    find: ({ limits: { algorithms }, facts: { keys } }) => {
      if (algorithms === undefined || algorithms.configurable || keys === undefined) return [];
      const unfit = keys.algorithms.filter((each) => !algorithms.taken.includes(each));
      if (unfit.length === 0 || unfit.length === keys.algorithms.length) return [];
      const wrong = `is for some of the keys, and tokens that they sign are refused: ${clause(algorithms.why)}`;
      return [{ key: 'keys', value: unfit.join(','), wrong, accepted: algorithms.taken.join(', ') }];
    },
  },
  {
    source: 'the limits of the consumer',
    severity: 'warning',
    find: ({ limits: { algorithms }, facts: { keys } }) => {
      if (algorithms === undefined || keys !== undefined) return [];
      const wrong = `are not given, so nobody looked at their algorithms; ${clause(algorithms.why)}`;
      return [{ key: 'keys', wrong, accepted: 'the keys by --keys or --kubeconfig' }];
    },
  },
];
