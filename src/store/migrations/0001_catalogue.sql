-- The clock, the settings and the catalogue: what the fleet's code has defined.
-- Workers register their definitions here; enqueueing, routing and retrying read only these tables.

-- The one clock. Tests replace this function to move time.
create function pawl.now() returns timestamptz
language sql stable as $$ select statement_timestamp() $$;

create table pawl.setting (
  name text primary key,
  value jsonb not null
);
insert into pawl.setting values ('payload_bytes_max', '1048576');

-- A retry policy: {"attempts": 4, "delays_ms": [1000, 2000, 4000], "jitter": 0.1, "until_ms": null}.
-- delays_ms[n] follows the nth failed attempt, the last one repeats; null means the default policy.
create table pawl.queue (
  id int generated always as identity primary key,
  name text not null unique check (name ~ '^[a-z][a-z0-9:_.-]{0,99}$'),
  retry jsonb,
  timeout_ms int check (timeout_ms > 0),
  shards smallint not null default 1 check (shards between 1 and 64),
  application text not null,
  revision int not null default 0,
  defined_at timestamptz not null default pawl.now()
);

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
create table pawl.shard (
  id int generated always as identity primary key,
  stream_id int not null references pawl.stream (id),
  priority smallint not null check (priority between 0 and 3),
  solo boolean not null default false,
  place smallint not null,
  cursor bigint not null default 0,
  swept bigint not null default 0,
  mark bigint not null default 0,
  mark_xid xid8 not null default '0',
  swept_at timestamptz not null default '-infinity',
  swept_in_vain smallint not null default 0,
  unique (stream_id, priority, solo, place)
) with (fillfactor = 40);

-- The shards of a stream and priority, made when first used.
create function pawl.shards_of(p_stream int, p_priority int, p_solo boolean) returns int[]
language plpgsql volatile as $$
declare
  v_shards int[];
  v_wanted int;
begin
  select array_agg(s.id order by s.place) into v_shards from pawl.shard s
   where s.stream_id = p_stream and s.priority = p_priority and s.solo = p_solo;
  if v_shards is not null then return v_shards; end if;
  select case when p_solo then 1 else q.shards end into v_wanted
    from pawl.stream st join pawl.queue q on q.id = st.queue_id where st.id = p_stream;
  insert into pawl.shard (stream_id, priority, solo, place)
  select p_stream, p_priority, p_solo, g from generate_series(1, v_wanted) g
  on conflict do nothing;
  select array_agg(s.id order by s.place) into v_shards from pawl.shard s
   where s.stream_id = p_stream and s.priority = p_priority and s.solo = p_solo;
  return v_shards;
end $$;

-- More shards for a stream whose shards are found locked; up to 16.
create function pawl.add_shard_v1(p_shard int) returns int
language sql volatile as $$
  insert into pawl.shard (stream_id, priority, solo, place)
  select s.stream_id, s.priority, false, max(o.place) + 1
    from pawl.shard s join pawl.shard o
      on o.stream_id = s.stream_id and o.priority = s.priority and not o.solo
   where s.id = p_shard and not s.solo
   group by s.stream_id, s.priority having max(o.place) < 16
  on conflict do nothing
  returning id
$$;

-- Writes what an application's code defines. An older revision never overwrites a newer one.
-- {"application", "revision", "payload_bytes_max", "queues": [{"name", "retry", "timeout_ms", "shards"}],
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

  insert into pawl.queue as q (name, retry, timeout_ms, shards, application, revision)
  select d.name, d.retry, d.timeout_ms, coalesce(d.shards, 1), v_application, v_revision
    from jsonb_to_recordset(p_definitions -> 'queues')
      as d (name text, retry jsonb, timeout_ms int, shards smallint)
   order by d.name
  on conflict (name) do update
     set retry = excluded.retry, timeout_ms = excluded.timeout_ms, shards = excluded.shards,
         application = excluded.application, revision = excluded.revision, defined_at = pawl.now()
   where q.application <> excluded.application or q.revision <= excluded.revision;

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

  insert into pawl.shard (stream_id, priority, solo, place)
  select st.id, 1, false, g
    from pawl.stream st join pawl.queue q on q.id = st.queue_id
    cross join lateral generate_series(1, q.shards) g
   where st.application = v_application
  on conflict do nothing;
end $$;
