import { versionOfBinary } from './binary.ts';

export default function setup(): void {
  console.log(versionOfBinary());
}
