import fc from 'fast-check';
import { expect, test } from 'vitest';
import { createBag } from '../../src/runtime/bag.ts';

test('a bag has what was added and not removed, in whatever order that happens', () => {
  const steps = fc.array(fc.record({ adds: fc.boolean(), which: fc.nat(20) }), { maxLength: 200 });
  fc.assert(
    fc.property(steps, (all) => {
      const bag = createBag<{ place: number }>();
      const members = Array.from({ length: 21 }, () => ({ place: -1 }));
      const expected = new Set<{ place: number }>();
      for (const { adds, which } of all) {
        const member = members[which] as { place: number };
        if (adds === expected.has(member)) continue;
        if (adds) bag.add(member);
        else bag.remove(member);
        if (adds) expected.add(member);
        else expected.delete(member);
        expect(new Set(bag.all())).toEqual(expected);
        expect(bag.all()).toHaveLength(expected.size);
      }
    }),
  );
});

test('what is not in it is removed without harm', () => {
  const bag = createBag<{ place: number }>();
  const [inside, outside] = [{ place: -1 }, { place: -1 }];
  bag.add(inside);
  bag.remove(outside);
  bag.remove(inside);
  bag.remove(inside);
  bag.add(outside);
  expect(bag.all()).toEqual([outside]);
});
