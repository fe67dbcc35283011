import type { MemberId } from '../raft/index.ts';
import { ClerkActor } from './clerk-actor.ts';
import { ClientNetwork } from './client-network.ts';
import { Counters } from './counters.ts';
import { History } from './history.ts';
import { Oracle } from './oracle.ts';
import { PeerNetwork } from './peer-network.ts';
import type { Plan } from './plan.ts';
import type { Planted } from './planted.ts';
import { SimMember } from './sim-member.ts';
import { type TraceSink, World } from './world.ts';

/** Everything that a run consists of. */
export interface Stage {
  readonly plan: Plan;
  readonly world: World;
  readonly counters: Counters;
  readonly oracle: Oracle;
  readonly history: History;
  readonly peers: PeerNetwork;
  readonly clients: ClientNetwork;
  readonly members: readonly SimMember[];
  readonly clerks: readonly ClerkActor[];
  /** An observer's clerk, which no fault is meant for. */
  readonly observer: { readonly network: ClientNetwork; readonly endpoints: readonly string[] };
}

/** Puts a plan on the stage; nothing has happened yet. */
export function setStage(
  plan: Plan,
  { trace, planted }: { trace: TraceSink | null; planted: Planted },
): Stage {
  const world = new World(plan.seed, trace);
  const counters = new Counters();
  const names = new Map<MemberId, string>();
  for (let i = 1; i <= plan.members; i++) names.set(BigInt(i), `m${i}`);
  const oracle = new Oracle(names, counters);
  const peers = new PeerNetwork({ world, members: names, quality: plan.peers, counters });
  peers.onSend = (from, message) => world.guard(() => oracle.sending(from, message));
  const clients = new ClientNetwork({
    world,
    counters,
    quality: plan.clients,
    doors: (host) => members.find(({ name }) => name === host)?.door ?? null,
  });
  const config = {
    clusterId: 0x51n,
    mayCreateLog: true,
    confState: {
      voters: [...names.keys()],
      outgoingVoters: [],
      learners: [],
      learnersNext: [],
      autoLeave: false,
    },
    timing: plan.timing,
  };
  const shared = { world, oracle, counters, planted, skewMax: plan.skewMax };
  const members = [...names.keys()].map(
    (id) =>
      new SimMember(id, {
        ...shared,
        network: peers,
        names,
        config,
        disk: plan.disk,
        segmentBytes: plan.segmentBytes,
        onDied: (process) => clients.memberDied(process),
      }),
  );
  const history = new History(() => world.events);
  const endpoints = [...names.values()].map((name) => `${name}:1`);
  const clerks = plan.clerks.map(
    (clerk) => new ClerkActor(clerk, { ...shared, network: clients, history, endpoints }),
  );
  const observer = { network: clients, endpoints };
  return { plan, world, counters, oracle, history, peers, clients, members, clerks, observer };
}
