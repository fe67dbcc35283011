import { type ProtoReader, type ProtoWriter, unreachable } from '../../lib/index.ts';
import type {
  LeaseGrant,
  LeaseGrantResult,
  LeaseKeepAliveResult,
  LeaseListResult,
  LeaseRevokeResult,
  LeaseTimeToLive,
  LeaseTimeToLiveResult,
} from '../command.ts';

/* Leases: commands, queries and results. Ids are 64 opaque bits and never 0. */

export function writeLeaseGrant(writer: ProtoWriter, field: number, grant: LeaseGrant): void {
  const start = writer.begin(field);
  writer.fixed64(1, grant.lease);
  writer.uint(2, grant.ttlMs);
  writer.end(start);
}

export function readLeaseGrant(reader: ProtoReader): LeaseGrant {
  let lease = 0n;
  let ttlMs = 0;
  while (reader.next()) {
    switch (reader.field) {
      case 1:
        lease = reader.fixed64();
        break;
      case 2:
        ttlMs = reader.uint();
        break;
      default:
        reader.skip();
    }
  }
  return { type: 'leaseGrant', lease, ttlMs };
}

/** LeaseKeepAlive and LeaseRevoke: an id. */
export function writeLeaseId(writer: ProtoWriter, field: number, lease: bigint): void {
  const start = writer.begin(field);
  writer.fixed64(1, lease);
  writer.end(start);
}

export function readLeaseId(reader: ProtoReader): bigint {
  let lease = 0n;
  while (reader.next()) {
    if (reader.field === 1) lease = reader.fixed64();
    else reader.skip();
  }
  return lease;
}

export function writeLeaseTimeToLive(
  writer: ProtoWriter,
  field: number,
  query: LeaseTimeToLive,
): void {
  const start = writer.begin(field);
  writer.fixed64(1, query.lease);
  writer.bool(2, query.keys);
  writer.end(start);
}

export function readLeaseTimeToLive(reader: ProtoReader): LeaseTimeToLive {
  let lease = 0n;
  let keys = false;
  while (reader.next()) {
    switch (reader.field) {
      case 1:
        lease = reader.fixed64();
        break;
      case 2:
        keys = reader.bool();
        break;
      default:
        reader.skip();
    }
  }
  return { type: 'leaseTimeToLive', lease, keys };
}

// ── results ────────────────────────────────────────────────────────────────────────────────────

type LeaseResult =
  | LeaseGrantResult
  | LeaseKeepAliveResult
  | LeaseRevokeResult
  | LeaseTimeToLiveResult
  | LeaseListResult;

export function writeLeaseResult(writer: ProtoWriter, result: LeaseResult): void {
  writer.uint(1, result.revision);
  switch (result.type) {
    case 'leaseGrant':
    case 'leaseKeepAlive':
      writer.uint(2, result.ttlMs);
      return;
    case 'leaseRevoke':
      writer.uint(2, result.deleted);
      return;
    case 'leaseTimeToLive':
      writer.uint(2, result.remainingMs);
      writer.uint(3, result.ttlMs);
      for (const key of result.keys) writer.bytesAlways(4, key);
      return;
    case 'leases':
      for (const lease of result.leases) writer.fixed64Always(2, lease);
      return;
    default:
      unreachable(result);
  }
}

/** The fields 11 to 14 and 16 of Answer. */
export function readLeaseResult(reader: ProtoReader): LeaseResult {
  switch (reader.field) {
    case 11: {
      const [revision, ttlMs] = reader.message(readTwoNumbers);
      return { type: 'leaseGrant', revision, ttlMs };
    }
    case 12: {
      const [revision, ttlMs] = reader.message(readTwoNumbers);
      return { type: 'leaseKeepAlive', revision, ttlMs };
    }
    case 13: {
      const [revision, deleted] = reader.message(readTwoNumbers);
      return { type: 'leaseRevoke', revision, deleted };
    }
    case 14:
      return reader.message(readTimeToLiveResult);
    default:
      return reader.message(readListResult);
  }
}

function readTwoNumbers(reader: ProtoReader): readonly [revision: number, other: number] {
  let revision = 0;
  let other = 0;
  while (reader.next()) {
    switch (reader.field) {
      case 1:
        revision = reader.uint();
        break;
      case 2:
        other = reader.uint();
        break;
      default:
        reader.skip();
    }
  }
  return [revision, other];
}

function readTimeToLiveResult(reader: ProtoReader): LeaseTimeToLiveResult {
  let revision = 0;
  let remainingMs = 0;
  let ttlMs = 0;
  const keys: Uint8Array[] = [];
  while (reader.next()) {
    switch (reader.field) {
      case 1:
        revision = reader.uint();
        break;
      case 2:
        remainingMs = reader.uint();
        break;
      case 3:
        ttlMs = reader.uint();
        break;
      case 4:
        keys.push(reader.bytes());
        break;
      default:
        reader.skip();
    }
  }
  return { type: 'leaseTimeToLive', revision, remainingMs, ttlMs, keys };
}

function readListResult(reader: ProtoReader): LeaseListResult {
  let revision = 0;
  const leases: bigint[] = [];
  while (reader.next()) {
    switch (reader.field) {
      case 1:
        revision = reader.uint();
        break;
      case 2:
        leases.push(reader.fixed64());
        break;
      default:
        reader.skip();
    }
  }
  return { type: 'leases', revision, leases };
}
