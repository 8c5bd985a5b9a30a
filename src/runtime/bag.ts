/** What is in a bag. */
export interface InBag {
  /** Kept by the bag. */
  place: number;
}

/**
 * What comes and goes with each request, in no order. V8 makes the table of a `Set` anew for every few of them, and what is
 * left of the old ones keeps dead requests in memory until the next full collection.
 */
export interface Bag<T extends InBag> {
  add(each: T): void;
  /** False where it was not in it. */
  remove(each: T): boolean;
  /** All that are in it now. */
  all(): readonly T[];
}

export function createBag<T extends InBag>(): Bag<T> {
  const members: T[] = [];
  return {
    add(each) {
      each.place = members.push(each) - 1;
    },
    remove(each) {
      if (members[each.place] !== each) return false;
      const last = members.pop();
      if (last === undefined || last === each) return true;
      members[each.place] = last;
      last.place = each.place;
      return true;
    },
    all: () => [...members],
  };
}
