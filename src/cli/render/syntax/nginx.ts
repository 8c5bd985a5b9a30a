/** A parameter of a directive: ngx_conf_read_token in nginx/src/core/ngx_conf_file.c. */
export function nginxString(value: string): string {
  return `"${value.replace(/[\\"]/g, '\\$&')}"`;
}

/**
 * A URL as a parameter. nginx has no way to write a dollar sign where it expands variables, but a URL may have it by its
 * number (RFC 3986 section 2.1).
 */
export function nginxUrl(url: string): string {
  return nginxString(url.replaceAll('$', '%24'));
}
