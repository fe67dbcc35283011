import { assert, hex } from '../../lib/index.ts';
import type { ConfState, Entry, MemberId, Message, ReadState, Ready } from '../index.ts';
import type { Member } from './member.ts';
import { changed, confAfter, isQuorum } from './membership.ts';
import type { ShadowLog } from './shadow.ts';

interface Seen {
  incarnation: number;
  term: number;
  commitIndex: number;
  firstIndex: number;
  isLeader: boolean;
}

interface Committed {
  readonly entry: Entry;
  /** Term of the leader that committed it. */
  readonly byTerm: number;
}

/**
 * Watches all members over all of history and throws `InvariantViolation` on the first step that
 * breaks what Raft promises (Raft, Fig. 3, and the durability that Fig. 2 asks for):
 *
 *   election safety      a term has one leader, in one incarnation, elected by a majority of votes
 *   leader append-only   a leader never overwrites its log
 *   log matching         equal (index, term): equal entry, and equal entries before it
 *   leader completeness  a leader has every entry committed in an earlier term
 *   state machine safety one entry per index, for ever; applied in order and only when durable
 *   one vote             per member and term, over all incarnations
 *   commit rule          only entries of the leader's term are counted, on a durable majority
 *   durability           no vote, ack or leader's message before the write it rests on
 *   monotonic            term, commitIndex, firstIndex within an incarnation; term on disk for ever
 *   reads                at an index no lower than any commit known when the read was asked for
 */
export class Oracle {
  /** Highest index known committed by anyone. */
  get commitIndex(): number {
    return this.#committed.length - 1;
  }

  readonly #committed: Committed[] = [{ entry: { kind: 'empty', index: 0, term: 0 }, byTerm: 0 }];
  readonly #confs: ConfState[];
  readonly #entries = new Map<string, string>();
  readonly #leaders = new Map<number, string>();
  readonly #votes = new Map<string, MemberId>();
  readonly #sentByLeader = new Map<string, number>();
  readonly #seen = new Map<MemberId, Seen>();
  readonly #confOfLog = new Map<MemberId, { key: string; conf: ConfState }>();
  /** What was on disks that are gone. */
  readonly #lostLogs = new Map<MemberId, ShadowLog[]>();
  readonly #reads = new Map<string, number>();
  readonly #members: ReadonlyMap<MemberId, Member>;

  constructor(members: ReadonlyMap<MemberId, Member>, confState: ConfState) {
    this.#members = members;
    this.#confs = [confState];
  }

  /** The configuration in force at a committed index. */
  confAt(index: number): ConfState {
    const conf = this.#confs[index];
    assert(conf !== undefined, 'index is not committed', { index });
    return conf;
  }

  /** The committed entry at `index`; null when it is not committed. */
  entryAt(index: number): Entry | null {
    return index === 0 ? null : (this.#committed[index]?.entry ?? null);
  }

  // ── what a member puts out ────────────────────────────────────────────────────────────────────

  readyTaken(member: Member, ready: Ready): void {
    const { snapshot, entries } = ready;
    if (snapshot !== null) {
      const { term } = this.#known(snapshot.index);
      assert(snapshot.term === term, 'snapshot of another history', { id: member.id });
      assert(same(snapshot.confState, this.confAt(snapshot.index)), 'snapshot has a wrong conf', {
        id: member.id,
        confState: snapshot.confState,
      });
    }
    for (const entry of entries) this.#entryWritten(member.log, entry);
    this.inspect(member);
  }

  synced(member: Member): void {
    const { hardState } = member.disk;
    if (hardState !== null && hardState.vote !== null) {
      this.#voted(member.id, hardState.term, hardState.vote);
    }
  }

  /**
   * What the member had acknowledged may still be counted. A candidacy ends with the process, so of
   * one that did not win the candidate's own vote counts for nobody.
   */
  diskLost({ id, disk }: Member): void {
    this.#lostLogs.set(id, [...(this.#lostLogs.get(id) ?? []), disk.log]);
    for (const [key, candidate] of this.#votes) {
      const [voter, term] = key.split('/');
      if (voter !== String(id) || candidate !== id || this.#leaders.has(Number(term))) continue;
      this.#votes.delete(key);
    }
  }

  applied(member: Member, entry: Entry): void {
    const details = { id: member.id, index: entry.index };
    assert(member.disk.log.termAt(entry.index) === entry.term, 'applied before durable', details);
    const known = this.entryAt(entry.index);
    assert(known !== null && digest(known) === digest(entry), 'state machines differ', details);
  }

  readRequested(id: MemberId, incarnation: number, requestId: number): void {
    this.#reads.set(`${id}/${incarnation}/${requestId}`, this.commitIndex);
  }

  readAnswered(member: Member, { requestId, readIndex }: ReadState): void {
    const key = `${member.id}/${member.incarnation}/${requestId}`;
    const commitIndex = this.#reads.get(key);
    assert(commitIndex !== undefined, 'a read answered twice or never asked', { key });
    this.#reads.delete(key);
    if (readIndex === null) return;
    assert(readIndex >= commitIndex, 'stale read', { key, readIndex, commitIndex });
    assert(readIndex <= this.commitIndex, 'read beyond the commit', { key, readIndex });
  }

  /** Reads asked for in the members' present lives and not answered. */
  openReads(): string[] {
    return [...this.#reads.keys()].filter((key) => {
      const [id = '', incarnation] = key.split('/');
      const member = this.#members.get(BigInt(id));
      return member?.isUp === true && String(member.incarnation) === incarnation;
    });
  }

  sent(member: Member, message: Message): void {
    const { id, disk } = member;
    assert(message.from === id && message.to !== id, 'wrong sender or receiver', { id });
    const details = { id, type: message.type, term: message.term, durable: disk.hardState };
    const durableTerm = disk.hardState?.term ?? 0;
    switch (message.type) {
      case 'requestVote':
        // Else a crash could forget them, and answers to this question would count for a worse log.
        assert(durableTerm >= message.term, 'asked for votes before its own was durable', details);
        assert(
          disk.log.termAt(message.lastLogIndex) === message.lastLogTerm,
          'asked for votes by a log that is not durable',
          details,
        );
        return;
      case 'requestVoteReply':
        if (!message.granted) return;
        assert(durableTerm >= message.term, 'vote left before it was durable', details);
        this.#voted(id, message.term, message.to);
        return;
      case 'appendEntries':
        assert(durableTerm >= message.term, 'a leader acts on a vote not durable', details);
        this.#appendSent(message.term, message.prevLogIndex, message.prevLogTerm);
        for (const entry of message.entries) {
          this.#appendSent(message.term, entry.index, entry.term);
        }
        return;
      case 'heartbeat':
      case 'installSnapshot':
        assert(durableTerm >= message.term, 'a leader acts on a vote not durable', details);
        return;
      case 'appendEntriesReply':
        if (!message.accepted) return;
        assert(durableTerm >= message.term, 'ack left before the term was durable', details);
        this.#acked(member, message.term, message.matchIndex);
        return;
      case 'installSnapshotReply':
        assert(disk.log.lastIndex >= message.matchIndex, 'acked before durable', details);
        return;
      default:
        return;
    }
  }

  // ── what a member is after a step ─────────────────────────────────────────────────────────────

  /** Called after every step of a member, and in the middle of it with every Ready. */
  inspect(member: Member): void {
    const { raft, log } = member;
    const before = this.#seen.get(member.id);
    const was = before?.incarnation === member.incarnation ? before : null;
    const details = { id: member.id, term: raft.term, commitIndex: raft.commitIndex, was };
    assert(raft.term >= (was?.term ?? 0), 'term went back', details);
    assert(raft.term >= (member.disk.hardState?.term ?? 0), 'term below the durable one', details);
    assert(raft.commitIndex >= (was?.commitIndex ?? 0), 'commitIndex went back', details);
    assert(raft.commitIndex <= raft.lastIndex, 'commitIndex beyond the log', details);
    assert(raft.lastIndex === log.lastIndex, 'the log was changed without a Ready', details);
    assert(raft.firstIndex === log.firstIndex, 'firstIndex unlike the snapshot', details);
    assert(raft.firstIndex >= (was?.firstIndex ?? 0), 'firstIndex went back', details);
    this.#durable(member);
    const conf = this.#confOf(member);
    assert(same(raft.confState, conf), 'configuration unlike the log', {
      ...details,
      confState: raft.confState,
      conf,
    });
    if (raft.role === 'leader')
      this.#leads(member, was?.isLeader === true && was.term === raft.term);
    this.#commits(member, was);
    this.#seen.set(member.id, {
      incarnation: member.incarnation,
      term: raft.term,
      commitIndex: raft.commitIndex,
      firstIndex: raft.firstIndex,
      isLeader: raft.role === 'leader',
    });
  }

  #durable({ raft, log, disk, id }: Member): void {
    const { durableIndex } = raft;
    if (durableIndex < log.firstIndex - 1) return;
    const details = { id, durableIndex, inMemory: log.termAt(durableIndex) };
    assert(disk.log.termAt(durableIndex) === log.termAt(durableIndex), 'not durable', details);
  }

  /** The configuration its log says; (lastIndex, lastTerm) fixes the log, so it is read once. */
  #confOf({ id, log, baseConf }: Member): ConfState {
    const key = `${log.firstIndex}/${log.lastIndex}/${log.termAt(log.lastIndex)}`;
    const known = this.#confOfLog.get(id);
    if (known?.key === key) return known.conf;
    const conf = confAfter(baseConf, log.entries);
    this.#confOfLog.set(id, { key, conf });
    return conf;
  }

  #leads(member: Member, already: boolean): void {
    const { raft, log, id } = member;
    const who = `${id}, incarnation ${member.incarnation}`;
    const other = this.#leaders.get(raft.term);
    assert(other === undefined || other === who, 'two leaders in a term', {
      term: raft.term,
      who,
      other,
    });
    if (already) return;
    assert(other === undefined, 'a leader of the term came back', { term: raft.term, who });
    this.#leaders.set(raft.term, who);
    const conf = this.#confOf(member);
    const elected = isQuorum(conf, (voter) => this.#votes.get(`${voter}/${raft.term}`) === id);
    assert(elected, 'leader without a majority of votes', { id, term: raft.term, conf });
    const committed = this.#committed.findLast((each) => each.byTerm < raft.term);
    if (committed === undefined || committed.entry.index < log.firstIndex) return;
    const { index, term } = committed.entry;
    assert(log.termAt(index) === term, 'leader lacks a committed entry', {
      id,
      term: raft.term,
      index,
    });
  }

  #commits(member: Member, was: Seen | null): void {
    const { raft, log, id } = member;
    const { commitIndex } = raft;
    if (commitIndex > this.commitIndex) {
      const term = log.termAt(commitIndex);
      const details = { id, commitIndex, term, now: raft.term, was };
      const led = (was?.isLeader === true && was.term === term) || raft.term === term;
      assert(raft.role === 'leader' || was?.isLeader === true, 'commit without a leader', details);
      assert(led, 'counted an entry of another term', details);
      const onDisk = (voter: MemberId): boolean =>
        [this.#members.get(voter)?.disk.log, ...(this.#lostLogs.get(voter) ?? [])].some(
          (each) => each?.termAt(commitIndex) === term,
        );
      assert(isQuorum(raft.confState, onDisk), 'commit without a durable majority', {
        ...details,
        confState: raft.confState,
      });
    }
    for (let index = (was?.commitIndex ?? 0) + 1; index <= commitIndex; index++) {
      const entry = log.entryAt(index);
      if (entry === null) continue;
      const known = this.#committed[index];
      if (known === undefined) this.#commit(entry, log.termAt(commitIndex) ?? 0);
      else assert(digest(known.entry) === digest(entry), 'committed entry changed', { id, index });
    }
  }

  #commit(entry: Entry, byTerm: number): void {
    assert(entry.index === this.#committed.length, 'gap in the commits', { index: entry.index });
    this.#committed.push({ entry, byTerm });
    const conf = this.confAt(entry.index - 1);
    this.#confs.push(entry.kind === 'confChange' ? changed(conf, entry.change) : conf);
  }

  // ── facts of history ──────────────────────────────────────────────────────────────────────────

  /** Log matching by induction: (index, term) fixes the entry and the term before it. */
  #entryWritten(log: ShadowLog, entry: Entry): void {
    const key = `${entry.index}/${entry.term}`;
    const content = `${digest(entry)} after ${log.termAt(entry.index - 1)}`;
    const known = this.#entries.get(key);
    assert(known === undefined || known === content, 'log matching', { key, known, content });
    this.#entries.set(key, content);
  }

  #voted(id: MemberId, term: number, candidate: MemberId): void {
    const key = `${id}/${term}`;
    const known = this.#votes.get(key);
    assert(known === undefined || known === candidate, 'two votes in a term', {
      id,
      term,
      known,
      candidate,
    });
    this.#votes.set(key, candidate);
  }

  /** A leader is append-only: what it sends for an index in its term never changes. */
  #appendSent(term: number, index: number, entryTerm: number): void {
    const key = `${term}/${index}`;
    const known = this.#sentByLeader.get(key);
    assert(known === undefined || known === entryTerm, 'a leader overwrote its log', { key });
    this.#sentByLeader.set(key, entryTerm);
  }

  #acked(member: Member, term: number, matchIndex: number): void {
    const { log } = member.disk;
    const details = { id: member.id, term, matchIndex, durable: log.lastIndex };
    assert(log.lastIndex >= matchIndex, 'ack left before its entries were durable', details);
    if (matchIndex < log.firstIndex - 1) return;
    const sent = this.#sentByLeader.get(`${term}/${matchIndex}`);
    const committed = this.#committed[matchIndex]?.entry.term;
    assert(log.termAt(matchIndex) === (sent ?? committed), 'ack of an entry unlike the leader’s', {
      ...details,
      here: log.termAt(matchIndex),
      sent,
    });
  }

  #known(index: number): Entry {
    const committed = this.#committed[index];
    assert(committed !== undefined, 'not committed', { index });
    return committed.entry;
  }
}

/** All of an entry as one comparable string. */
function digest(entry: Entry): string {
  const head = `${entry.kind} ${entry.index}/${entry.term}`;
  if (entry.kind === 'command') return `${head} ${hex(entry.data)}`;
  return entry.kind === 'confChange' ? `${head} ${json(entry.change)}` : head;
}

function same(a: ConfState, b: ConfState): boolean {
  return json(a) === json(b);
}

function json(value: unknown): string {
  return JSON.stringify(value, (_key, each) => (typeof each === 'bigint' ? `${each}` : each));
}
