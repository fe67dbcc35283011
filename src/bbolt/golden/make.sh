#!/usr/bin/env bash
# Makes etcd-3.4.db.gz and etcd-3.4.jsonl with a real etcd and etcdctl: a snapshot, and what etcd itself
# says is in it (status, hash, leases, and all keys at each revision that is left).
set -euo pipefail
cd "$(dirname "$0")"
work=$(mktemp -d)
port=$((20000 + RANDOM % 10000))
export ETCDCTL_API=3
etcd --data-dir "$work/data" --log-level error \
  --listen-client-urls "http://127.0.0.1:$port" --advertise-client-urls "http://127.0.0.1:$port" \
  --listen-peer-urls "http://127.0.0.1:$((port + 1))" &
trap 'kill $!; wait $! || true; rm -rf "$work"' EXIT
ctl() { etcdctl --endpoints "127.0.0.1:$port" "$@" 2>/dev/null; }
until ctl endpoint health >/dev/null; do sleep 0.1; done

for n in 1 2 3; do ctl put a "$n" >/dev/null; done
ctl put b lost && ctl del b
large=$(head -c 9000 /dev/zero | tr '\0' x)
ctl put large "$large"
for batch in 0 1 2; do
  { echo; for n in $(seq 0 119); do printf 'put many-%d-%03d value-%d\n' $batch "$n" "$n"; done; echo; echo; } | ctl txn
done
ctl compaction --physical 7
lease=$(ctl lease grant 1000 | cut -d' ' -f2)
ctl put --lease="$lease" leased 1 && ctl put --lease="$lease" a 4 && ctl put a 5
ctl lease grant 77
printf 'c("none") = "0"\n\nput x 1\n\nput x 2\nput y 2\ndel a\n\n' | sed 's/^c("none") = "0"/create("none") > "0"/' | ctl txn
ctl del many-1- --prefix
ctl put a 6

ctl snapshot save "$work/snapshot.db"
gzip -9 -n -c "$work/snapshot.db" >etcd-3.4.db.gz
{
  etcdctl snapshot status "$work/snapshot.db" -w json 2>/dev/null
  ctl endpoint hashkv -w json
  ctl lease list -w json
  last=$(ctl get a -w json | sed 's/.*"revision":\([0-9]*\).*/\1/')
  for rev in $(seq 7 "$last"); do ctl get '' --prefix --rev "$rev" -w json; done
} >"$work/said"
# Values of 9,000 bytes tell nothing that their length does not: all else stays as it was said.
sed "s/\"value\":\"eHh4[^\"]*\"/\"value\":\"9000 x\"/" "$work/said" | gzip -9 -n -c >etcd-3.4.jsonl.gz
