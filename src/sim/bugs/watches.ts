import type { KvService } from '../../api/index.ts';
import {
  type ChangesPage,
  type ChangesRequest,
  decodeAnswer,
  encodeAnswer,
} from '../../api/index.ts';
import { KvStateMachine } from '../../kv/index.ts';
import { type Bug, replacing } from './bug.ts';

/** Mistakes in telling who watches what has changed. Patches as in inside.ts. */
export const WATCH_BUGS: readonly Bug[] = [
  {
    name: 'a page of the history that is full ends one revision too late',
    patches: [
      {
        file: 'kv/changes.js',
        find: 'return { events, next: revision };',
        put: 'return { events, next: revision + 1 };',
      },
    ],
  },
  {
    name: 'a watch of what is compacted goes on with what is left',
    planted: { substitute: () => changingPages(beginningWithTheRest) },
  },
  {
    name: 'what a key was before is what it was made',
    planted: { substitute: () => changingPages(tellingNoDifference) },
  },
  {
    name: 'deletions are not told',
    planted: { substitute: () => changingPages(withoutDeletions) },
  },
  {
    name: 'who waits for news is told of one revision too many',
    planted: { service: countingOn },
  },
  {
    name: 'a watch begins where its member is, and not where the cluster is',
    planted: { service: beginningLocally },
  },
  {
    name: 'that there is no news is not confirmed',
    patches: [
      {
        file: 'server/followers.js',
        find: 'this.#parts.confirm((refusal) => {',
        put: '((done) => done(null))((refusal) => {',
      },
    ],
  },
  {
    name: 'who watches is told what was before a snapshot was installed',
    patches: [
      {
        file: 'server/member.js',
        find: 'new MemberFeed(parts)',
        put: 'new MemberFeed({ ...parts, machine: ((first) => () => first)(this.#state.machine) })',
      },
      // Whoever forgets the switch has closed nothing either.
      { file: 'store/state-home.js', find: 'before.close();', put: '' },
      { file: 'store/state-home.js', find: 'await old.engine.close();', put: '' },
    ],
  },
  {
    name: 'a watch goes on with the revision that it ended with',
    patches: [
      {
        file: 'client/watch.js',
        find: 'place = { from: page.next, skip: page.skip };',
        put: 'place = { from: Math.max(place.from, page.next - 1), skip: page.skip };',
      },
    ],
  },
];

type ReadPage = (request: ChangesRequest) => ChangesPage;
type PageChange = (request: ChangesRequest, read: ReadPage, machine: KvStateMachine) => ChangesPage;

function changingPages(change: PageChange): () => void {
  return replacing(
    KvStateMachine.prototype,
    'changes',
    (original) =>
      function (this: KvStateMachine, request: ChangesRequest) {
        return change(request, (changed) => original.call(this, changed), this);
      },
  );
}

const beginningWithTheRest: PageChange = (request, read, { compactRevision }) =>
  read({ ...request, from: Math.max(request.from, compactRevision) });

const tellingNoDifference: PageChange = (request, read) => {
  const page = read(request);
  const events = page.events.map((event) =>
    event.prevKv === null ? event : { ...event, prevKv: event.kv },
  );
  return { ...page, events };
};

const withoutDeletions: PageChange = (request, read) => {
  const page = read(request);
  return { ...page, events: page.events.filter(({ type }) => type === 'put') };
};

function countingOn(service: KvService): KvService {
  return {
    execute: (command, reply) => service.execute(command, reply),
    read: (query, reply) =>
      service.read(query, (bytes) => {
        const answer = decodeAnswer(bytes);
        const isWaiting = query.query.type === 'changes' && query.query.from !== null;
        const isQuiet = answer.type === 'changes' && answer.events.length === 0;
        reply(isWaiting && isQuiet ? encodeAnswer({ ...answer, next: answer.next + 1 }) : bytes);
      }),
    status: () => service.status(),
  };
}

function beginningLocally(service: KvService): KvService {
  return {
    execute: (command, reply) => service.execute(command, reply),
    read: (query, reply) => {
      const isBeginning = query.query.type === 'changes' && query.query.from === null;
      return service.read(isBeginning ? { ...query, serializable: true } : query, reply);
    },
    status: () => service.status(),
  };
}
