import type { KvService, Reply } from '../api/index.ts';
import type { ClientNetwork } from './client-network.ts';
import type { Process } from './process.ts';

/** How a call ended that was made once. */
export type SingleEnd =
  | { readonly type: 'answered'; readonly answer: Uint8Array }
  /** It never arrived: nobody listens. */
  | { readonly type: 'refused' }
  /** The connection broke, before the member had it or after. */
  | { readonly type: 'broken' };

/** What comes between two reads of a member's sockets is found together, in one turn. */
const READ_EVERY_US = 1_000;

/**
 * One call to one member, whatever it is to the others: as clients of etcd make them, without a
 * session or a stream. It may have no end: then nobody heard it, or its answer.
 */
export function callOnce(
  network: ClientNetwork,
  from: { readonly client: Process; readonly place: string; readonly host: string },
  call: (service: KvService, reply: Reply) => void,
  done: (end: SingleEnd) => void,
): void {
  const { world, stream } = network;
  const end = (how: SingleEnd): void =>
    network.deliver(from.client, network.latencyUs(), () => done(how));
  const lost = (probability: number): boolean => {
    if (!stream.chance(probability)) return false;
    network.counters.add('etcd client: connection broken');
    end({ type: 'broken' });
    return true;
  };
  const arrivesUs = Math.ceil((world.nowUs + network.latencyUs()) / READ_EVERY_US) * READ_EVERY_US;
  world.schedule(null, { kind: 'io', delayUs: arrivesUs - world.nowUs, label: '' }, () => {
    const door = network.door(from.place, from.host);
    if (door === 'silent' || lost(network.quality.breakOnRequest)) return;
    if (door === 'refused') return end({ type: 'refused' });
    network.deliver(door.process, 0, () => {
      const reply: Reply = (answer) => {
        const { mute, breakOnReply } = network.quality;
        if (!door.process.alive || stream.chance(mute) || lost(breakOnReply)) return;
        end({ type: 'answered', answer: answer.slice() });
      };
      try {
        call(door.etcd, reply);
      } catch (error) {
        door.onDefect(error);
      }
    });
  });
}
