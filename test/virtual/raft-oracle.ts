import type { MemberId, Message } from '../../src/raft/index.ts';
import type { ReplicaStatus } from '../../src/replica/index.ts';
import type { MemoryWal } from '../../src/replica/testing/memory-wal.ts';

/** A command as some server applied it. */
interface Applied {
  readonly index: number;
  readonly term: number;
  readonly command: string;
}

/**
 * Raft's promises (Raft, Fig. 3), judged at every message, change of role and applied command of a
 * run, dead and cut off servers included. The first breach is kept and ends the test.
 */
export class RaftOracle {
  /** What was applied, by position: the order that all servers must follow. */
  readonly #order: Applied[] = [];
  readonly #leaders = new Map<number, MemberId>();
  /** By term and voter: who got its vote. */
  readonly #votes = new Map<string, MemberId>();
  #breach: Error | null = null;

  /** Commands applied anywhere so far. */
  get length(): number {
    return this.#order.length;
  }

  /** Terms that had a leader so far. */
  get leaderships(): number {
    return this.#leaders.size;
  }

  /** Position of a command, from 1, where it was applied first; null if it was not. */
  positionOf(command: string): number | null {
    const at = this.#order.findIndex((applied) => applied.command === command);
    return at < 0 ? null : at + 1;
  }

  commandAt(position: number): string | null {
    return this.#order[position - 1]?.command ?? null;
  }

  /** @throws the first breach. */
  check(): void {
    if (this.#breach !== null) throw this.#breach;
  }

  breach(error: Error): void {
    this.#breach ??= error;
  }

  /** A server applied a command at this position of its own order. */
  applied(id: MemberId, position: number, applied: Applied): void {
    const known = this.#order[position - 1];
    if (known === undefined) {
      if (position !== this.#order.length + 1) this.#say(`${id} left out a command`);
      this.#order.push(applied);
      return;
    }
    const { index, term, command } = applied;
    if (known.command === command && known.index === index && known.term === term) return;
    const said = `${id} applied ${JSON.stringify(applied)}, others ${JSON.stringify(known)}`;
    this.#say(`state machine safety: position ${position}: ${said}`);
  }

  /** A server took over a state that holds these commands. */
  restored(id: MemberId, commands: readonly string[]): void {
    commands.forEach((command, at) => {
      const known = this.#order[at]?.command;
      if (known === command) return;
      this.#say(`state machine safety: ${id} is given '${command}' at ${at + 1}, not '${known}'`);
    });
  }

  /** A server's role, term or leader changed. */
  changed(id: MemberId, { role, term }: ReplicaStatus): void {
    if (role !== 'leader') return;
    const known = this.#leaders.get(term);
    if (known !== undefined && known !== id) {
      this.#say(`election safety: ${known} and ${id} both lead term ${term}`);
    }
    this.#leaders.set(term, id);
  }

  /** A server says something: is it true, and will it be after a crash? */
  sent(message: Message, { durable }: MemoryWal): void {
    const { from, to, term } = message;
    if (message.type === 'appendEntriesReply' && message.accepted) {
      const { matchIndex } = message;
      if (durable.lastIndex < matchIndex) {
        this.#say(`${from} confirms ${matchIndex} and has only ${durable.lastIndex} on its disk`);
      }
    }
    if (message.type === 'requestVoteReply' && message.granted) {
      const key = `${term} ${from}`;
      const known = this.#votes.get(key);
      if (known !== undefined && known !== to) {
        this.#say(`${from} votes for ${known} and ${to} in term ${term}`);
      }
      this.#votes.set(key, to);
      if (durable.hardState?.term !== term || durable.hardState.vote !== to) {
        this.#say(`${from} grants a vote in term ${term} that is not on its disk`);
      }
    }
  }

  #say(what: string): void {
    this.breach(new Error(what));
  }
}
