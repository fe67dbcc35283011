import type { MemberId } from '../raft/index.ts';
import { ClerkActor } from './clerk-actor.ts';
import { ClientNetwork } from './client-network.ts';
import { Counters } from './counters.ts';
import { EtcdActor } from './etcd-actor.ts';
import { History } from './history.ts';
import { Matrix } from './matrix.ts';
import { Oracle } from './oracle.ts';
import { PeerNetwork } from './peer-network.ts';
import type { Plan } from './plan.ts';
import type { Planted } from './planted.ts';
import type { Recording } from './recording.ts';
import { Replay } from './replay.ts';
import { type MemberParts, SimMember } from './sim-member.ts';
import type { SnapshotPhase } from './snapshot-watch.ts';
import { WatchActor, type WatchParts, type WatchPlace } from './watch-actor.ts';
import { type TraceSink, World } from './world.ts';

/** A block of the log: the least that an entry takes in a file. */
const BLOCK_BYTES = 4096;

/** Everything that a run consists of. */
export interface Stage {
  readonly plan: Plan;
  readonly world: World;
  readonly counters: Counters;
  readonly matrix: Matrix;
  readonly oracle: Oracle;
  readonly history: History;
  readonly peers: PeerNetwork;
  readonly clients: ClientNetwork;
  readonly members: readonly SimMember[];
  readonly clerks: readonly ClerkActor[];
  readonly etcdClients: readonly EtcdActor[];
  readonly watchers: readonly WatchActor[];
  /** What the committed log says. */
  readonly replay: Replay;
  /** Told how far a snapshot on its way into a member has come. */
  readonly snapshotWatchers: Set<(id: MemberId, phase: SnapshotPhase) => void>;
  /** An observer's clerk, which no fault is meant for. */
  readonly observer: { readonly network: ClientNetwork; readonly endpoints: readonly string[] };
}

/** Puts a plan on the stage; nothing has happened yet. */
export function setStage(
  plan: Plan,
  options: {
    readonly trace: TraceSink | null;
    readonly planted: Planted;
    readonly recording: Recording | null;
  },
): Stage {
  const { trace, planted, recording } = options;
  const world = new World(plan.seed, trace);
  const counters = new Counters();
  const matrix = new Matrix();
  const names = new Map<MemberId, string>();
  for (let i = 1; i <= plan.members; i++) names.set(BigInt(i), `m${i}`);
  const oracle = new Oracle(names, counters);
  const peers = new PeerNetwork({ world, members: names, quality: plan.peers, counters });
  listen(peers, { world, oracle, counters, matrix });
  const clients = new ClientNetwork({
    world,
    counters,
    quality: plan.clients,
    limits: plan.streamLimits,
    onCall: (call) => matrix.add(call),
    doors: (host) => membersByName.get(host)?.door ?? null,
  });
  const config = configOf(plan, [...names.keys()]);
  const shared = { world, oracle, counters, planted, recording, skewMax: plan.skewMax };
  const snapshotWatchers: Stage['snapshotWatchers'] = new Set();
  const members = [...names.keys()].map(
    (id) =>
      new SimMember(id, {
        ...shared,
        network: peers,
        names,
        config,
        disk: plan.disk,
        segmentBytes: plan.segmentBytes,
        onSnapshot: (id, phase) => {
          for (const watch of snapshotWatchers) watch(id, phase);
        },
        onDied: (process) => clients.memberDied(process),
      }),
  );
  const membersByName = new Map(members.map((member) => [member.name, member]));
  const history = new History(world, recording);
  const replay = new Replay();
  oracle.commitWatchers.add((entry) => replay.apply(entry));
  const endpoints = [...names.values()].map((name) => `${name}:1`);
  const clerks = plan.clerks.map(
    (clerk) => new ClerkActor(clerk, { ...shared, network: clients, history, replay, endpoints }),
  );
  const hosts = [...names.values()];
  const etcdClients = plan.etcdClients.map(
    (client) => new EtcdActor(client, { ...shared, network: clients, history, replay, hosts }),
  );
  const watchers = watchersOf(plan, { ...shared, network: clients, replay, endpoints });
  snapshotWatchers.add((id, phase) =>
    tellOfInstall(watchers, { host: names.get(id) ?? '', phase }),
  );
  const observer = { network: clients, endpoints };
  return {
    ...{ plan, world, counters, matrix, oracle, history, replay },
    ...{ peers, clients, members, clerks, etcdClients, watchers, observer, snapshotWatchers },
  };
}

/** Shows what members say to each other to whoever looks on. */
function listen(
  peers: PeerNetwork,
  { world, oracle, counters, matrix }: Pick<Stage, 'world' | 'oracle' | 'counters' | 'matrix'>,
): void {
  peers.onSend = (from, message) => {
    matrix.add(message.type);
    world.guard(() => oracle.sending(from, message));
  };
  peers.onSendBulk = (message) => {
    matrix.add(message.type);
    if (message.type === 'forward') counters.add('sometimes: command passed on');
  };
}

function watchersOf({ watchers }: Plan, parts: Omit<WatchParts, 'places'>): WatchActor[] {
  const places: WatchPlace[] = [];
  return watchers.map((watcher) => new WatchActor(watcher, { ...parts, places }));
}

function tellOfInstall(
  watchers: readonly WatchActor[],
  { host, phase }: { host: string; phase: SnapshotPhase },
): void {
  if (phase !== 'installing') return;
  for (const watcher of watchers) watcher.memberInstalls(host);
}

/** What all members are configured with. */
function configOf(plan: Plan, voters: readonly MemberId[]): MemberParts['config'] {
  return {
    clusterId: 0x51n,
    mayCreateLog: true,
    confState: {
      voters,
      outgoingVoters: [],
      learners: [],
      learnersNext: [],
      autoLeave: false,
    },
    timing: plan.timing,
    compaction: {
      entriesMax: Math.min(plan.compactionEntries, plan.logBytesMax / BLOCK_BYTES),
      bytesMax: plan.logBytesMax,
    },
  };
}
