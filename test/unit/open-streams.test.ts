import { expect, test } from 'vitest';
import { createOpenStreams } from '../../src/runtime/open-streams.ts';

test('doubt ends what has said nothing since, but nothing that spoke within five seconds, and nothing twice', () => {
  let now = 1_000;
  const streams = createOpenStreams(() => now);
  const ended: string[] = [];
  const open = (name: string) => {
    const stream = streams.add(() => {
      ended.push(name);
      stream.remove();
    });
    return stream;
  };
  open('old');
  const talking = open('talking');
  open('gone').remove();
  now = 9_000;
  talking.heard();
  open('young');
  now = 10_000;
  // A read on a dead connection was sent at 3000, and answered on a new one now.
  streams.doubt(3_000);
  expect(ended).toEqual(['old']);
  now = 13_999;
  streams.doubt(13_500);
  expect(ended).toEqual(['old']);
  now = 14_000;
  streams.doubt(8_999);
  expect(ended).toEqual(['old']);
  streams.doubt(13_500);
  streams.doubt(13_500);
  expect(ended).toEqual(['old', 'talking', 'young']);
});
