/** How the catalog says that an output is known to be right: a claim of a test names that test. */
import { existsSync, readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { type ConsumerRow, consumerRows } from '../../src/catalog/consumers.ts';

const root = new URL('../../', import.meta.url);
const formats = Object.entries(consumerRows as Readonly<Record<string, ConsumerRow>>).flatMap(([consumer, row]) =>
  Object.entries(row.formats).map(([format, each]) => [`${consumer} -o ${format}`, consumer, format, each] as const),
);
const proven = formats.filter(([, , , { evidence }]) => evidence !== 'read');

/** A consumer and a format as a test names them: as arguments, or as a command line writes them. */
function names(source: string, consumer: string, format: string): boolean {
  return source.includes(`'${consumer}', '${format}'`) || source.includes(`'${consumer} -o ${format}'`);
}

describe('what the catalog says about evidence', () => {
  test.each(formats)('%s has a test exactly where it is more than read', (_, __, ___, { evidence, provenBy }) => {
    expect(provenBy !== undefined).toBe(evidence !== 'read');
  });

  test.each(proven)('the test of %s is there, and names it', (_, consumer, format, { provenBy = '' }) => {
    expect(provenBy).toMatch(/^test\/.+\.test\.ts$/);
    expect(existsSync(new URL(provenBy, root))).toBe(true);
    expect(names(readFileSync(new URL(provenBy, root), 'utf8'), consumer, format)).toBe(true);
  });

  test('a file that does not name it would be found', () => {
    const source = readFileSync(new URL('test/cluster/render-minio.test.ts', root), 'utf8');
    expect(names(source, 'minio', 'policy')).toBe(true);
    expect(names(source, 'kafka', 'broker')).toBe(false);
    expect(names(source, 'minio', 'env2')).toBe(false);
  });
});
