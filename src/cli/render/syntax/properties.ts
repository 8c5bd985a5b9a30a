/** A line of a properties file: java.util.Properties, load. Other than ASCII and what it has a meaning for is escaped. */
export function propertyLine(key: string, value: string): string {
  return `${key}=${escaped(value)}`;
}

function escaped(value: string): string {
  // Units of UTF-16, as Java reads them.
  return Array.from({ length: value.length }, (_, at) => {
    const unit = value.charAt(at);
    if (/[\\:=#!]/.test(unit)) return `\\${unit}`;
    return /[!-~]/.test(unit) ? unit : `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`;
  }).join('');
}
