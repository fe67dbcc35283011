import { decodeCommand, type MemberStatus } from '../api/index.ts';
import type { Entry, MemberId, Message } from '../raft/index.ts';
import { decodeBatch } from '../replica/index.ts';
import type { Counters } from './counters.ts';
import { type ShadowCopy, type ShadowEntry, ShadowLog } from './shadow-log.ts';
import { Violation } from './violation.ts';
import { readLogBegin } from './wal-reader.ts';

/** What one incarnation has shown of itself. */
interface Seen {
  term: number;
  commitIndex: number;
  applied: number;
}

interface Observed {
  readonly shadow: ShadowLog;
  seen: Seen;
}

/** A position of the log that some member has applied. */
interface Committed {
  readonly entry: ShadowEntry;
  /** Term of whoever applied it first. */
  readonly inTerm: number;
}

/**
 * Knows everything that members have put on disk, sent and shown since the world began, and checks
 * Raft's promises after every event (Raft, Fig. 3; thesis §3.8). Looks on from outside: at bytes
 * that became durable, messages that left, and status.
 */
export class Oracle {
  readonly #members = new Map<MemberId, Observed>();
  readonly #counters: Counters;
  readonly #leaders = new Map<number, MemberId>();
  /** Index 1 first. */
  readonly #committed: Committed[] = [];
  /** State hash by applied index. */
  readonly #hashes = new Map<number, string>();
  /** Told when a member is seen to lead a term. */
  readonly leaderWatchers = new Set<(id: MemberId) => void>();
  /** Told of each entry when the first member applies it, in the order of their indexes. */
  readonly commitWatchers = new Set<(entry: Entry) => void>();
  /** `session:seq` of commands in committed entries. */
  readonly #commands = new Set<string>();
  #acknowledged: { readonly sessionId: number; readonly seq: number } | null = null;

  constructor(members: ReadonlyMap<MemberId, string>, counters: Counters) {
    this.#counters = counters;
    for (const [id, name] of members) {
      this.#members.set(id, { shadow: new ShadowLog(name), seen: nothingSeen() });
    }
  }

  /** The command that was acknowledged last; null before the first. */
  get lastAcknowledged(): { readonly sessionId: number; readonly seq: number } | null {
    return this.#acknowledged;
  }

  /** Highest index that any member has applied. */
  get committedIndex(): number {
    return this.#committed.length;
  }

  /** Highest index in a member's log, as far as it is durable. */
  lastIndexOf(id: MemberId): number {
    return this.#of(id).shadow.lastIndex;
  }

  /** Whether a command of a session is in a committed entry. */
  hasCommitted(sessionId: number, seq: number): boolean {
    return this.#commands.has(`${sessionId}:${seq}`);
  }

  /** Terms that had a leader. */
  get leaders(): ReadonlyMap<number, MemberId> {
    return this.#leaders;
  }

  started(id: MemberId): void {
    this.#of(id).seen = nothingSeen();
  }

  /** A member's write to its log is durable. */
  durable(id: MemberId, bytes: Uint8Array): void {
    const { shadow } = this.#of(id);
    shadow.onDurable(
      bytes,
      ({ index, by, termBefore, term }) => {
        const committed = this.#committed[index - 1];
        // Who has slept through the commit may believe an earlier leader; it did not count for it.
        const latestWord = Math.max(termBefore, by.entry.term);
        const mayBeLate = committed !== undefined && latestWord < committed.inTerm;
        if (committed !== undefined && committed.entry.chain !== by.chain && !mayBeLate) {
          throw new Violation('committed entries stay', `${shadow.name} replaced entry ${index}`);
        }
        if (this.#leaders.get(term) === id) {
          throw new Violation('leader append-only', `${shadow.name} replaced entry ${index}`);
        }
        this.#counters.add('sometimes: uncommitted entries replaced');
      },
      {
        committed: (index) => this.#entryAt(index),
        lossesOf: (candidate) => this.#of(candidate).shadow.losses,
      },
    );
  }

  /** A file of a member's log gets its name: perhaps the log begins with it. */
  named(id: MemberId, bytes: Uint8Array): void {
    const begin = readLogBegin(bytes);
    if (begin === null) return;
    this.#of(id).shadow.begin(begin, (index) => this.#entryAt(index));
    if (begin.floorTerm !== null) this.#counters.add('sometimes: member rejoined');
  }

  /** A member's disk is damaged, or was taken away: its log may begin anew. */
  lost(id: MemberId): void {
    this.#of(id).shadow.lose();
  }

  /** A member goes on with the log that it has. */
  inUse(id: MemberId): void {
    this.#of(id).shadow.inUse();
  }

  /** What a member's disk holds, for `rollBack`. */
  copyOf(id: MemberId): ShadowCopy {
    return this.#of(id).shadow.copy();
  }

  /** What the disk held then is there still: nothing of it was replaced. */
  isPrefix(id: MemberId, { entries }: ShadowCopy): boolean {
    return this.#of(id).shadow.at(entries.length)?.chain === entries.at(-1)?.chain;
  }

  /** A member's disk is again as it was. */
  rollBack(id: MemberId, to: ShadowCopy): void {
    this.lost(id);
    this.#of(id).shadow.rollBack(to);
  }

  /**
   * A member keeps what it promises: it holds all that was committed up to `index`, and is not
   * waiting to be brought up.
   */
  isWhole(id: MemberId, index: number): boolean {
    const { shadow } = this.#of(id);
    if (shadow.isForgetful) return false;
    const last = this.#committed[index - 1];
    return index === 0 || (last !== undefined && shadow.at(index)?.chain === last.entry.chain);
  }

  /** All that is durable on this member is so on a majority of the others. */
  isSpare(id: MemberId): boolean {
    const { shadow } = this.#of(id);
    const chain = shadow.at(shadow.lastIndex)?.chain;
    if (chain === undefined) return false;
    let holders = 0;
    for (const [other, observed] of this.#members) {
      if (other !== id && observed.shadow.at(shadow.lastIndex)?.chain === chain) holders++;
    }
    return holders * 2 > this.#members.size;
  }

  /** The term that a member has reached durably. */
  termOf(id: MemberId): number {
    return this.#of(id).shadow.term;
  }

  /** A message leaves: what it promises must be on disk (thesis §3.8). */
  sending(id: MemberId, message: Message): void {
    const { shadow } = this.#of(id);
    const { term } = message;
    this.#checkSilence(shadow, message);
    switch (message.type) {
      case 'requestVote':
        if (shadow.voteIn(term) !== id) this.#early(shadow, message);
        return;
      case 'requestVoteReply':
        if (message.granted && shadow.voteIn(term) !== message.to) this.#early(shadow, message);
        return;
      case 'appendEntriesReply':
        if (!message.accepted) return;
        // A later leader's entries may have come to the disk together with what is promised here,
        // and in its place: then it was kept for no time at all, as if this had left earlier.
        if (
          shadow.term < term ||
          (shadow.term > term ? shadow.highestIndex : shadow.lastIndex) < message.matchIndex
        ) {
          this.#early(shadow, message);
        }
        return;
      case 'appendEntries':
      case 'heartbeat':
        return this.#leads(id, term);
      default:
        return;
    }
  }

  /**
   * How a member looks after one of its events. `installed`: its state is that of a snapshot up to
   * here, and its log is still what it was before; 0: it is not.
   */
  observe(id: MemberId, status: MemberStatus, installed = 0): void {
    const observed = this.#of(id);
    const { seen, shadow } = observed;
    const { term, commitIndex, appliedIndex: applied } = status;
    if (term < seen.term || commitIndex < seen.commitIndex || applied < seen.applied) {
      const now = JSON.stringify({ term, commitIndex, applied });
      const what = `${shadow.name} went from ${JSON.stringify(seen)} to ${now}`;
      throw new Violation('term, commit and applied index grow', what);
    }
    if (applied > commitIndex) {
      throw new Violation('applied is committed', `${shadow.name}: ${applied} > ${commitIndex}`);
    }
    if (status.role === 'leader') this.#leads(id, term);
    if (applied > seen.applied) this.#applied(shadow, { applied, term, installed });
    observed.seen = { term, commitIndex, applied };
    const before = this.#hashes.get(applied);
    if (before === undefined) this.#hashes.set(applied, status.stateHash);
    else if (before !== status.stateHash) {
      const what = `${shadow.name} has ${status.stateHash} at ${applied}, others ${before}`;
      throw new Violation('equal index, equal state', what);
    }
  }

  /** A clerk was told that a command of its session was executed. */
  acknowledged(sessionId: number, seq: number): void {
    this.#acknowledged = { sessionId, seq };
    if (this.#commands.has(`${sessionId}:${seq}`)) return;
    const what = `seq ${seq} of session ${sessionId} was acknowledged and is not committed`;
    throw new Violation('acknowledged is committed', what);
  }

  #entryAt(index: number): ShadowEntry | null {
    return this.#committed[index - 1]?.entry ?? null;
  }

  /** A vote is a word about the past: who does not remember it has none (decision 0007). */
  #checkSilence(shadow: ShadowLog, message: Message): void {
    const { type } = message;
    const isVote = type === 'requestVote' || (type === 'requestVoteReply' && message.granted);
    if (!isVote || !shadow.isForgetful) return;
    const what = `${shadow.name} sent ${type} of term ${message.term}`;
    throw new Violation('who has forgotten does not vote', what);
  }

  #early(shadow: ShadowLog, message: Message): never {
    const what = `${shadow.name} sent ${message.type} of term ${message.term} to ${message.to}`;
    throw new Violation('promises leave after the disk', what);
  }

  #leads(id: MemberId, term: number): void {
    const leader = this.#leaders.get(term);
    if (leader === id) return;
    const { shadow } = this.#of(id);
    if (leader !== undefined) {
      const names = `${this.#of(leader).shadow.name} and ${shadow.name}`;
      throw new Violation('one leader per term', `${names} lead in term ${term}`);
    }
    this.#leaders.set(term, id);
    this.#counters.add('sometimes: leader elected');
    for (const watch of this.leaderWatchers) watch(id);
    let index = this.#committed.length;
    while (index > 0 && (this.#committed[index - 1]?.inTerm ?? 0) >= term) index--;
    if (index === 0) return;
    if (shadow.at(index)?.chain !== this.#committed[index - 1]?.entry.chain) {
      const what = `${shadow.name} leads in term ${term} without committed entry ${index}`;
      throw new Violation('leader completeness', what);
    }
  }

  #applied(
    shadow: ShadowLog,
    { applied, term, installed }: { applied: number; term: number; installed: number },
  ): void {
    // Its hash is compared, and its base reaches the log in a moment.
    if (applied <= installed && applied <= this.#committed.length) return;
    const own = shadow.at(applied);
    if (own === null) {
      throw new Violation('applied is durable here', `${shadow.name} at entry ${applied}`);
    }
    const committed = this.#committed[applied - 1];
    if (committed !== undefined) {
      if (committed.entry.chain === own.chain) return;
      throw new Violation('state machine safety', `${shadow.name} differs up to ${applied}`);
    }
    this.#checkMajority(shadow, { index: applied, chain: own.chain });
    const last = this.#committed.length;
    const before = this.#committed[last - 1]?.entry.chain;
    if (last > 0 && shadow.at(last)?.chain !== before) {
      throw new Violation('state machine safety', `${shadow.name} differs up to ${last}`);
    }
    for (let index = last + 1; index <= applied; index++) {
      const entry = shadow.at(index);
      if (entry === null) throw new Violation('log without gaps', `${shadow.name} at ${index}`);
      this.#committed.push({ entry, inTerm: term });
      this.#readCommands(entry);
      for (const watch of this.commitWatchers) watch(entry.entry);
    }
  }

  #checkMajority(shadow: ShadowLog, { index, chain }: { index: number; chain: number }): void {
    let holders = 0;
    for (const { shadow: other } of this.#members.values()) {
      if (other.hasHeld(index, chain)) holders++;
    }
    if (holders * 2 > this.#members.size) return;
    const what = `${shadow.name} applied entry ${index}, durable on ${holders} members`;
    throw new Violation('committed is durable on a majority', what);
  }

  #readCommands({ entry }: ShadowEntry): void {
    if (entry.kind !== 'command') return;
    for (const bytes of decodeBatch(entry.data).commands) {
      const command = decodeCommand(bytes);
      if (command.type !== 'operation' || command.session === null) continue;
      const { sessionId, seq } = command.session;
      const key = `${sessionId}:${seq}`;
      if (this.#commands.has(key)) this.#counters.add('sometimes: command twice in the log');
      if (command.operation.type === 'skip') this.#counters.add('sometimes: seq skipped');
      this.#commands.add(key);
    }
  }

  #of(id: MemberId): Observed {
    const observed = this.#members.get(id);
    if (observed === undefined) throw new Violation('known members', `member ${id}`);
    return observed;
  }
}

function nothingSeen(): Seen {
  return { term: 0, commitIndex: 0, applied: 0 };
}
