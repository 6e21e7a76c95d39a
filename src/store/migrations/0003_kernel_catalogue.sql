-- The settings and the catalogue: what the fleet's code has defined.
-- Workers register their definitions here; enqueueing, routing and retrying read only these tables.

create table pawl.setting (
  name text primary key,
  value jsonb not null
);
insert into pawl.setting values ('payload_bytes_max', '1048576');

-- A retry policy: {"attempts": 4, "delays_ms": [1000, 2000, 4000], "jitter": 0.1, "until_ms": null}.
-- delays_ms[n] follows the nth failed attempt, the last one repeats; null means the default policy.
-- rate, kind_rate, key_rate: {"limit": 50, "per_ms": 1000, "burst": 5}; key_concurrency, key_rate: of the tasks of each limit key. keep: {"done_ms", "cancelled_ms", "expired_ms", "removed_ms"};
-- what it leaves out is as pawl.default_keep() says. kind_concurrency, kind_rate: of each of its streams. breaker: of each of its
-- streams, {"failures": 10, "ratio": 0.5, "window_ms": 10000, "open_ms": 30000, "open_ms_max": 600000}.
create table pawl.queue (
  id int generated always as identity primary key,
  name text not null unique check (name ~ '^[a-z][a-z0-9:_.-]*$' and length(name) <= 100),
  retry jsonb,
  timeout_ms int check (timeout_ms > 0),
  shards smallint not null default 1 check (shards between 1 and 64),
  concurrency int check (concurrency > 0),
  kind_concurrency int check (kind_concurrency > 0),
  rate jsonb,
  kind_rate jsonb,
  key_concurrency int check (key_concurrency > 0),
  key_rate jsonb,
  breaker jsonb,
  on_dead text not null default 'block' check (on_dead in ('block', 'skip')),
  expired_is_dead boolean not null default false,
  keep jsonb,
  application text not null,
  revision int not null default 0,
  defined_at timestamptz not null default pawl.now()
);

-- The limits of the queues that have any; claims of such a queue hold its row while they count.
-- gap: the time between two starts at the full rate. tat: when the last start that was let through would have been due
-- at an even pace (GCRA's theoretical arrival time); it may lie up to burst gaps ahead.
create table pawl.queue_limit (
  queue_id int primary key, -- without a constraint, as in pawl.shard: a turn updates it once for each shard
  concurrency int,
  kind_concurrency int,
  gap interval,
  burst int,
  tat timestamptz not null default '-infinity',
  kind_gap interval,
  kind_burst int,
  key_concurrency int,
  key_gap interval,
  key_burst int,
  paced_until timestamptz not null default '-infinity' -- no tat of pawl.key_pace is later
) with (fillfactor = 40);

-- The same tat of each stream of a queue with a rate per kind.
create table pawl.kind_pace (
  stream_id int primary key,
  tat timestamptz not null
) with (fillfactor = 40);

-- The same tat of each limit key of a queue with a rate per key; a missing row is one whose tat has passed. due_at: when the next
-- task that was set aside may start; null: none was, or it waits for the end of another.
create table pawl.key_pace (
  queue_id int not null,
  key text not null,
  tat timestamptz not null,
  due_at timestamptz,
  primary key (queue_id, key)
) with (fillfactor = 40);
create index key_pace_due on pawl.key_pace (due_at) where due_at is not null;

-- Those that pass within milliseconds, all of one claim in a row: most have passed before their key starts again, and a row for each would
-- be the largest cost of a rate. The tat of a key is the latest of all that name it, in either table. until: the last of tats.
create table pawl.brief_key_pace (
  queue_id int not null,
  until timestamptz not null,
  keys text[] not null,
  tats timestamptz[] not null
) with (autovacuum_vacuum_scale_factor = 0.02, toast_tuple_target = 8160);
create index brief_key_pace_ahead on pawl.brief_key_pace (until);

-- What a worker knows how to run. A stream that only an enqueue through SQL has named has no defined_at:
-- its tasks wait, visibly, for a worker that knows it.
create table pawl.stream (
  id int generated always as identity primary key,
  queue_id int not null references pawl.queue (id),
  kind text not null check (kind ~ '^\S+$' and length(kind) <= 200),
  version int not null default 1,
  retry jsonb,
  timeout_ms int check (timeout_ms > 0),
  application text,
  revision int not null default 0,
  defined_at timestamptz,
  unique (kind, queue_id, version)
);
create index stream_of_queue on pawl.stream (queue_id);

-- The ready tasks of a stream and priority lie in shards, each read by a cursor.
-- cursor: claimed up to here. swept: nothing unclaimed can appear at or below it any more.
-- mark, mark_xid: swept may move to mark once every transaction older than mark_xid has ended.
-- A solo shard holds what was lost with its worker twice in a row: it is claimed one task at a time.
-- A stream has the shards of all priorities from its beginning, so that enqueueing writes none: two business
-- transactions must not meet here. Only those in use are looked at; a worker notes the first use.
-- It refers to its stream and queue without a constraint: no row of either is ever deleted, and a turn that updates a shard
-- twice would lock both rows, so that whoever holds the queue's row would hold up all claims.
create table pawl.shard (
  id int generated always as identity primary key,
  stream_id int not null,
  queue_id int not null,
  priority smallint not null check (priority between 0 and 3),
  solo boolean not null default false,
  place smallint not null,
  cursor bigint not null default 0,
  swept bigint not null default 0,
  mark bigint not null default 0,
  mark_xid xid8 not null default '0',
  swept_at timestamptz not null default '-infinity',
  swept_in_vain smallint not null default 0,
  is_used boolean not null default false,
  unique (stream_id, priority, solo, place)
) with (fillfactor = 40);
create index shard_in_use on pawl.shard (stream_id) where is_used;

-- Queues that a part of Pawl fills itself, by the pattern of their names; the part's SQL files fill it. hint: how a task of them is made.
create table pawl.part_queue (
  like_pattern text primary key,
  part text not null,
  hint text not null
);

-- What an app's code defines besides queues and jobs; each part's SQL files name its own. kind: as in own_names_v1 and apps_v1. relation:
-- its table; column application: whose it is ('': nobody's). what: what messages call one, by its column name; null: it has no name.
create table pawl.owned_kind (
  kind text primary key check (kind ~ '^[a-z]+$'),
  relation text not null,
  what text
);
