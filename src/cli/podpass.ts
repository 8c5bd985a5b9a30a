#!/usr/bin/env node
import { buffer } from 'node:stream/consumers';
import packageJson from '../../package.json' with { type: 'json' };
import { main } from './main.ts';

// Nobody reads any more (`podpass jwks | head -1`): that is no fault.
process.stdout.on('error', (error: NodeJS.ErrnoException) => process.exit(error.code === 'EPIPE' ? 0 : 1));

const code = await main(process.argv.slice(2), packageJson.version, {
  env: process.env,
  out: (text) => void process.stdout.write(text),
  err: (text) => void process.stderr.write(text),
  readInput: () => buffer(process.stdin),
  colours: process.stdout.isTTY === true && process.env.NO_COLOR === undefined,
});
process.exitCode = code;
