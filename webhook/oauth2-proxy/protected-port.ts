import { type Problem, quote } from '../../src/fault.ts';
import { type AddOperation, pointer } from '../../src/json-patch.ts';
import { type At, problemAt } from '../effective-annotations.ts';
import { type Container, type ContainerPlace, type ContainerPort, containerPlaces, type Pod } from '../pod.ts';

/** The port of the application, and what becomes of its name. */
export interface ProtectedPort {
  readonly port: number;
  /** What oauth2-proxy's own port is called. */
  readonly name: string;
  /** The application's port had this name, by which Services find oauth2-proxy now. */
  readonly takenOver: boolean;
  /** Other names of the application's port, which lead past oauth2-proxy. */
  readonly alsoCalled: readonly string[];
  readonly changes: readonly AddOperation[];
}

/** The name of oauth2-proxy's port where none is taken over. */
const OWN_NAME = 'oauth2-proxy';
/** What a port is called whose name was taken over: who sends there comes in without oauth2-proxy. */
export const PAST_PROXY = 'unprotected';

interface DeclaredPort {
  readonly place: ContainerPlace;
  readonly index: number;
  readonly declared: ContainerPort;
}

/**
 * Finds the port that an annotation names, in a Pod with or without oauth2-proxy in it. Adds a problem for each thing that
 * is in the way; `undefined` where it cannot be found.
 */
export function findProtectedPort(
  { spec }: Pod,
  at: At,
  ownPort: { readonly at: At; readonly port: number },
  present: Container | undefined,
  problems: Problem[],
): ProtectedPort | undefined {
  const declared = containerPlaces(spec).flatMap((place) =>
    (place.container.ports ?? []).map((port, index): DeclaredPort => ({ place, index, declared: port })),
  );
  const isTcp = ({ declared: { protocol } }: DeclaredPort) => (protocol || 'TCP') === 'TCP';
  const ofNumber = (port: number) => declared.filter((each) => isTcp(each) && each.declared.containerPort === port);
  const named = (name: string) => declared.filter((each) => each.declared.name === name);
  const clash = declared.find((each) => isTcp(each) && each.declared.containerPort === ownPort.port);
  if (clash !== undefined) {
    const wrong = `is a port of the container ${quote(clash.place.container.name)} already`;
    problems.push(problemAt(ownPort.at, wrong, 'another port, which nobody in this Pod uses'));
  }
  const refuse = (wrong: string, accepted: string) => {
    problems.push(problemAt(at, wrong, accepted));
    return undefined;
  };

  const isNumber = /^\d+$/.test(at.value);
  if (isNumber) {
    const port = Number(at.value);
    if (port < 1 || port > 65535) return refuse('is not a port', 'a port from 1 to 65535, or the name of one');
    if (port === ownPort.port && clash === undefined)
      return refuse('is where oauth2-proxy itself listens', `another port, or another one in ${ownPort.at.key}`);
    const own = named(OWN_NAME)[0];
    if (own !== undefined) refuse(...ownNameTaken(own));
    checkHostPorts(ofNumber(port), refuse);
    return { port, name: OWN_NAME, takenOver: false, alsoCalled: [], changes: [] };
  }

  const found = named(at.value);
  const [first] = found;
  if (first === undefined) {
    // In a second round the name is oauth2-proxy's.
    const [renamed] = named(PAST_PROXY);
    const isTaken = (present?.ports ?? []).some(({ name }) => name === at.value);
    const port = renamed?.declared.containerPort;
    if (isTaken && port) {
      checkHostPorts(ofNumber(port), refuse);
      return { port, name: at.value, takenOver: true, alsoCalled: [], changes: [] };
    }
    const names = declared.flatMap((each) => each.declared.name || []).slice(0, SHOWN);
    const known = names.length === 0 ? 'and this Pod names none' : `such as ${names.map(quote).join(', ')}`;
    return refuse('is the name of no port in this Pod', `the number of a port, or a name, ${known}`);
  }
  if (found.length > 1) return refuse(`is the name of ${found.length} ports in this Pod`, 'a name that one port has');
  if (!isTcp(first)) return refuse('is no TCP port', 'a TCP port');
  const port = first.declared.containerPort;
  if (!port) return refuse('is a port without a number', 'a port with a containerPort');
  const other = named(PAST_PROXY)[0];
  if (other !== undefined) {
    const wrong = `cannot be taken over, as its port would be called ${quote(PAST_PROXY)}, and one of the container ${quote(other.place.container.name)} is`;
    return refuse(wrong, 'the number of the port, or another name for that one');
  }
  // The containers of a Pod have one network: the same number is the same port, in whichever it is written.
  const same = ofNumber(port);
  checkHostPorts(same, refuse);
  const alsoCalled = same.flatMap((each) => (each === first ? [] : each.declared.name || []));
  return { port, name: at.value, takenOver: true, alsoCalled, changes: takeOver(first, at.value, port) };
}

const SHOWN = 10;

function ownNameTaken({ place }: DeclaredPort): [wrong: string, accepted: string] {
  const wrong = `needs a port that is called ${quote(OWN_NAME)}, and one of the container ${quote(place.container.name)} is`;
  return [wrong, 'another name for that port'];
}

/** What comes in through the node does not come by oauth2-proxy. */
function checkHostPorts(ports: readonly DeclaredPort[], refuse: (wrong: string, accepted: string) => undefined): void {
  const open = ports.find(({ declared }) => declared.hostPort);
  if (open !== undefined)
    refuse(`is open on the node too, by the hostPort ${open.declared.hostPort}`, 'a port without hostPort');
}

/**
 * Services look for a name in the containers first and in native sidecars then (k8s.io/endpointslice, utils.go), so that
 * the application's port must not keep it. Probes and hooks that go to the port by this name go on to its number: they are
 * resolved in their own container.
 */
function takeOver({ place, index }: DeclaredPort, name: string, port: number): AddOperation[] {
  const at = pointer('spec', place.list, place.index);
  const raw = place.container as unknown as Readonly<Record<string, unknown>>;
  const handlers = [
    ...['startupProbe', 'livenessProbe', 'readinessProbe'].map((probe) => [probe]),
    ...['postStart', 'preStop'].map((hook) => ['lifecycle', hook]),
  ].flatMap((path) => ['httpGet', 'tcpSocket'].map((action) => [...path, action, 'port']));
  return [
    { op: 'add', path: `${at}${pointer('ports', index, 'name')}`, value: PAST_PROXY },
    ...handlers
      .filter((path) => memberAt(raw, path) === name)
      .map((path): AddOperation => ({ op: 'add', path: `${at}${pointer(...path)}`, value: port })),
  ];
}

function memberAt(value: unknown, path: readonly string[]): unknown {
  let inner = value;
  for (const key of path) {
    if (typeof inner !== 'object' || inner === null || !Object.hasOwn(inner, key)) return undefined;
    inner = (inner as Readonly<Record<string, unknown>>)[key];
  }
  return inner;
}
