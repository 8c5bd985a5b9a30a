/** What a part of podpass needs in order to log: constant messages, the facts as fields. A pino logger is one. */
export interface Log {
  debug(fields: object, message: string): void;
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
}

/** For commands of which people read the results. */
export const silentLog: Log = { debug() {}, info() {}, warn() {}, error() {} };
