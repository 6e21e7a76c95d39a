-- The clock, the settings and the catalogue: what the fleet's code has defined.
-- Workers register their definitions here; enqueueing, routing and retrying read only these tables.

-- The one clock. Tests replace this function to move time.
create function pawl.now() returns timestamptz
language sql stable as $$ select statement_timestamp() $$;

-- The same clock within a statement: for what happens after waiting for a lock.
create function pawl.clock_now() returns timestamptz
language sql volatile as $$ select pawl.now() + (clock_timestamp() - statement_timestamp()) $$;

create table pawl.setting (
  name text primary key,
  value jsonb not null
);
insert into pawl.setting values ('payload_bytes_max', '1048576');

-- A retry policy: {"attempts": 4, "delays_ms": [1000, 2000, 4000], "jitter": 0.1, "until_ms": null}.
-- delays_ms[n] follows the nth failed attempt, the last one repeats; null means the default policy.
-- rate: {"limit": 50, "per_ms": 1000, "burst": 5}. keep: {"done_ms", "cancelled_ms", "expired_ms", "removed_ms"};
-- what it leaves out is as pawl.default_keep() says. kind_concurrency: of each of its streams. breaker: of each of its
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
  queue_id int primary key references pawl.queue (id),
  concurrency int,
  kind_concurrency int,
  gap interval,
  burst int,
  tat timestamptz not null default '-infinity'
) with (fillfactor = 40);

-- What a worker knows how to run. A stream that only an enqueue through SQL has named has no defined_at:
-- its tasks wait, visibly, for a worker that knows it.
create table pawl.stream (
  id int generated always as identity primary key,
  queue_id int not null references pawl.queue (id),
  kind text not null check (kind <> '' and length(kind) <= 200),
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
-- A solo shard holds what was lost with a worker: it is claimed one task at a time.
-- A stream has the shards of all priorities from its beginning, so that enqueueing writes none: two business
-- transactions must not meet here. Only those in use are looked at; a worker notes the first use.
create table pawl.shard (
  id int generated always as identity primary key,
  stream_id int not null references pawl.stream (id),
  queue_id int not null references pawl.queue (id),
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

-- All shards of a stream but the solo ones; priority 1 is taken to be in use.
create function pawl.make_shards(p_stream int) returns void
language sql volatile as $$
  insert into pawl.shard (stream_id, queue_id, priority, solo, place, is_used)
  select st.id, q.id, p, false, g, p = 1
    from pawl.stream st join pawl.queue q on q.id = st.queue_id
    cross join generate_series(0, 3) p cross join lateral generate_series(1, q.shards) g
   where st.id = p_stream
  on conflict do nothing
$$;

-- The shards of a stream and priority; a solo one is made when first used.
create function pawl.shards_of(p_stream int, p_priority int, p_solo boolean) returns int[]
language plpgsql volatile as $$
declare
  v_shards int[];
  v_wanted int;
  v_queue int;
begin
  select array_agg(s.id order by s.place) into v_shards from pawl.shard s
   where s.stream_id = p_stream and s.priority = p_priority and s.solo = p_solo;
  if v_shards is not null then return v_shards; end if;
  select case when p_solo then 1 else q.shards end, q.id into v_wanted, v_queue
    from pawl.stream st join pawl.queue q on q.id = st.queue_id where st.id = p_stream;
  insert into pawl.shard (stream_id, queue_id, priority, solo, place, is_used)
  select p_stream, v_queue, p_priority, p_solo, g, true from generate_series(1, v_wanted) g
  on conflict do nothing;
  select array_agg(s.id order by s.place) into v_shards from pawl.shard s
   where s.stream_id = p_stream and s.priority = p_priority and s.solo = p_solo;
  return v_shards;
end $$;

-- More shards for a stream whose shards are found locked; up to 16.
create function pawl.add_shard_v1(p_shard int) returns int
language sql volatile as $$
  insert into pawl.shard (stream_id, queue_id, priority, solo, place, is_used)
  select s.stream_id, s.queue_id, s.priority, false, max(o.place) + 1, true
    from pawl.shard s join pawl.shard o
      on o.stream_id = s.stream_id and o.priority = s.priority and not o.solo
   where s.id = p_shard and not s.solo
   group by s.stream_id, s.queue_id, s.priority having max(o.place) < 16
  on conflict do nothing
  returning id
$$;

-- Keeps queue_limit as the queues say. The gap is rounded up to a microsecond, so that a rate is never exceeded.
create function pawl.set_limits() returns void
language sql volatile as $$
  insert into pawl.queue_limit as l (queue_id, concurrency, kind_concurrency, gap, burst)
  select q.id, q.concurrency, q.kind_concurrency,
         ceil((q.rate ->> 'per_ms')::numeric * 1000 / (q.rate ->> 'limit')::numeric)::float8 * interval '1 microsecond',
         (q.rate ->> 'burst')::int
    from pawl.queue q
   where q.concurrency is not null or q.kind_concurrency is not null or jsonb_typeof(q.rate) = 'object' order by q.id
  on conflict (queue_id) do update
     set concurrency = excluded.concurrency, kind_concurrency = excluded.kind_concurrency, gap = excluded.gap, burst = excluded.burst
   where (l.concurrency, l.kind_concurrency, l.gap, l.burst)
     is distinct from (excluded.concurrency, excluded.kind_concurrency, excluded.gap, excluded.burst);
  delete from pawl.queue_limit l using pawl.queue q
   where q.id = l.queue_id and q.concurrency is null and q.kind_concurrency is null
     and coalesce(jsonb_typeof(q.rate), 'null') <> 'object';
$$;

-- Writes what an application's code defines. An older revision never overwrites a newer one.
-- {"application", "revision", "payload_bytes_max",
--  "queues": [{"name", "retry", "timeout_ms", "shards", "concurrency", "kind_concurrency", "rate", "breaker", "on_dead",
--    "expired_is_dead", "keep"}],
--  "streams": [{"queue", "kind", "version", "retry", "timeout_ms"}]}
create function pawl.register_v1(p_definitions jsonb) returns void
language plpgsql volatile as $$
declare
  v_application text := p_definitions ->> 'application';
  v_revision int := (p_definitions ->> 'revision')::int;
begin
  -- one registration at a time: two workers that start together must not deadlock on rows
  perform pg_advisory_xact_lock(hashtextextended('pawl.register', 0));
  insert into pawl.setting as s (name, value)
  values ('payload_bytes_max', p_definitions -> 'payload_bytes_max')
  on conflict (name) do update set value = excluded.value where s.value <> excluded.value;

  insert into pawl.queue as q (name, retry, timeout_ms, shards, concurrency, kind_concurrency, rate, breaker, on_dead,
    expired_is_dead, keep, application, revision)
  select d.name, d.retry, d.timeout_ms, coalesce(d.shards, 1), d.concurrency, d.kind_concurrency, nullif(d.rate, 'null'),
         nullif(d.breaker, 'null'), coalesce(d.on_dead, 'block'), coalesce(d.expired_is_dead, false), d.keep,
         v_application, v_revision
    from jsonb_to_recordset(p_definitions -> 'queues') as d (name text, retry jsonb, timeout_ms int, shards smallint,
      concurrency int, kind_concurrency int, rate jsonb, breaker jsonb, on_dead text,
      expired_is_dead boolean, keep jsonb)
   order by d.name
  on conflict (name) do update
     set retry = excluded.retry, timeout_ms = excluded.timeout_ms, shards = excluded.shards,
         concurrency = excluded.concurrency, kind_concurrency = excluded.kind_concurrency, rate = excluded.rate,
         breaker = excluded.breaker, on_dead = excluded.on_dead, expired_is_dead = excluded.expired_is_dead,
         keep = excluded.keep,
         application = excluded.application, revision = excluded.revision, defined_at = pawl.now()
   where q.application <> excluded.application or q.revision <= excluded.revision;

  perform pawl.set_limits();
  delete from pawl.breaker b using pawl.stream st, pawl.queue q
   where st.id = b.stream_id and q.id = st.queue_id and q.breaker is null;

  insert into pawl.stream as st (queue_id, kind, version, retry, timeout_ms, application, revision, defined_at)
  select q.id, d.kind, coalesce(d.version, 1), d.retry, d.timeout_ms, v_application, v_revision, pawl.now()
    from jsonb_to_recordset(p_definitions -> 'streams')
      as d (queue text, kind text, version int, retry jsonb, timeout_ms int)
    join pawl.queue q on q.name = d.queue
   order by d.kind, q.id
  on conflict (kind, queue_id, version) do update
     set retry = excluded.retry, timeout_ms = excluded.timeout_ms, application = excluded.application,
         revision = excluded.revision, defined_at = excluded.defined_at
   where st.defined_at is null or st.application <> excluded.application
      or st.revision <= excluded.revision;

  perform pawl.make_shards(st.id) from pawl.stream st where st.application = v_application order by st.id;
end $$;
