-- The outbox: events, destinations, routes, deliveries. A destination is a queue, a delivery is a task.

-- UUIDv7 (RFC 9562 section 5.7): 48 bits of Unix milliseconds, then version, variant and randomness.
create function pawl.uuid_v7() returns uuid
language sql volatile as $$
  select encode(set_bit(set_bit(
    overlay(uuid_send(gen_random_uuid())
      placing substring(int8send(floor(extract(epoch from clock_timestamp()) * 1000)::bigint) from 3) from 1 for 6),
    52, 1), 53, 1), 'hex')::uuid
$$;

-- ordering: its deliveries in lanes of one aggregate, all in one lane, or in none.
create table pawl.destination (
  id int generated always as identity primary key,
  name text not null unique,
  queue_id int not null references pawl.queue (id),
  stream_id int not null references pawl.stream (id),
  type text not null,
  config jsonb not null,
  ordering text not null default 'none' check (ordering in ('none', 'aggregate', 'all')),
  application text not null,
  revision int not null,
  defined_at timestamptz not null default pawl.now()
);

-- Which events go where. In a pattern `*` stands for any run of characters.
create table pawl.route (
  id int generated always as identity primary key,
  pattern text not null,
  like_pattern text not null generated always as
    (replace(replace(replace(replace(pattern, '\', '\\'), '%', '\%'), '_', '\_'), '*', '%')) stored,
  destination_id int not null references pawl.destination (id) on delete cascade,
  application text not null,
  unique (application, pattern, destination_id)
);

-- A fact, recorded in the business transaction. deliveries: how many the router made; 0 is unrouted.
create table pawl.event (
  number bigint generated always as identity,
  id uuid primary key default pawl.uuid_v7(),
  name text not null check (name ~ '^[A-Za-z0-9_.:-]{1,200}$'),
  aggregate_type text not null,
  aggregate_id text not null,
  occurred_at timestamptz not null default pawl.now(),
  payload jsonb not null,
  meta jsonb not null default '{}',
  routed_at timestamptz,
  deliveries smallint
) with (autovacuum_vacuum_scale_factor = 0.02);
create index event_to_route on pawl.event (number) where routed_at is null;
create index event_unrouted on pawl.event (number) where deliveries = 0;
create index event_by_number on pawl.event (number);

-- The id of a delivery is the id of its task.
create table pawl.delivery (
  task_id bigint primary key,
  event_id uuid not null,
  destination_id int not null,
  replay smallint not null default 0,
  unique (event_id, destination_id, replay)
);

-- Recording stays one INSERT from anywhere; the wake-up costs nothing unless a worker is idle.
create function pawl.event_recorded() returns trigger
language plpgsql as $$ begin perform pawl.wake_v1(); return null; end $$;
create trigger event_recorded after insert on pawl.event
  for each statement execute function pawl.event_recorded();

create function pawl.record(name text, aggregate_type text, aggregate_id text, payload jsonb, meta jsonb default '{}')
returns uuid
language plpgsql volatile as $$
#variable_conflict use_variable
declare
  v_id uuid;
  v_limit bigint;
begin
  if name is null or name !~ '^[A-Za-z0-9_.:-]{1,200}$' then
    raise exception 'bad event name %', coalesce('"' || left(name, 100) || '"', 'null') using errcode = 'PW010',
      hint = 'use 1 to 200 letters, digits, "_", ".", ":" and "-", such as "order.placed.v1"';
  end if;
  if aggregate_type is null or aggregate_id is null then
    raise exception 'event "%" without an aggregate', name using errcode = 'PW010',
      hint = 'name the type and the id of what the event is about, such as ''order'', ''42''';
  end if;
  select (s.value #>> '{}')::bigint into v_limit from pawl.setting s where s.name = 'payload_bytes_max';
  if octet_length(payload::text) > v_limit then
    raise exception 'payload of event "%" is % bytes, the limit is %', name, octet_length(payload::text), v_limit
      using errcode = 'PW012', hint = 'store the data elsewhere and record a reference to it, or raise maxPayloadBytes';
  end if;
  insert into pawl.event (name, aggregate_type, aggregate_id, payload, meta)
  values (name, aggregate_type, aggregate_id, coalesce(payload, 'null'), coalesce(meta, '{}')) returning id into v_id;
  return v_id;
end $$;

-- {"application", "revision", "destinations": [{"name", "queue", "type", "config", "ordering"}], "routes": [{"pattern", "destination"}]}
-- Queues and streams are registered before. An application's routes are replaced as a whole.
create function pawl.register_outbox_v1(p_definitions jsonb) returns void
language plpgsql volatile as $$
declare
  v_application text := p_definitions ->> 'application';
  v_revision int := (p_definitions ->> 'revision')::int;
begin
  perform pg_advisory_xact_lock(hashtextextended('pawl.register', 0));
  -- an older revision changes nothing
  if exists (select 1 from pawl.destination d where d.application = v_application and d.revision > v_revision) then
    return;
  end if;
  insert into pawl.destination as d (name, queue_id, stream_id, type, config, ordering, application, revision)
  select n.name, q.id, st.id, n.type, n.config, coalesce(n.ordering, 'none'), v_application, v_revision
    from jsonb_to_recordset(p_definitions -> 'destinations') as n (name text, queue text, type text, config jsonb, ordering text)
    join pawl.queue q on q.name = n.queue
    join pawl.stream st on st.queue_id = q.id and st.kind = 'delivery'
   order by n.name
  on conflict (name) do update
     set type = excluded.type, config = excluded.config, ordering = excluded.ordering,
         application = excluded.application, revision = excluded.revision, defined_at = pawl.now();
  delete from pawl.route r where r.application = v_application and not exists (
    select 1 from jsonb_to_recordset(p_definitions -> 'routes') as n (pattern text, destination text)
      join pawl.destination d on d.name = n.destination
     where n.pattern = r.pattern and d.id = r.destination_id);
  insert into pawl.route (pattern, destination_id, application)
  select n.pattern, d.id, v_application
    from jsonb_to_recordset(p_definitions -> 'routes') as n (pattern text, destination text)
    join pawl.destination d on d.name = n.destination
  on conflict do nothing;
end $$;

-- Makes the deliveries of recorded events, in the order of their numbers, in the transaction that marks them routed.
-- One router at a time; null when another is at it. An event that matches no route is unrouted, and shown.
-- Deliveries in lanes take their ids in the order of the events, and are sorted before anybody sees them.
create function pawl.route_v1(p_limit int) returns int
language plpgsql volatile
set jit = off as $$
declare
  v_count int;
begin
  if not exists (select 1 from pawl.event e where e.routed_at is null) then return 0; end if;
  if not pg_try_advisory_xact_lock(hashtextextended('pawl.route', 0)) then return null; end if;
  perform pg_current_xact_id(); -- before the first seq
  with batch as materialized (
    select e.id, e.number, e.name, e.aggregate_type, e.aggregate_id from pawl.event e where e.routed_at is null order by e.number limit p_limit
  ), matched as materialized (
    select b.id as event_id, b.number, d.id as destination_id, d.stream_id, d.queue_id,
           case d.ordering when 'aggregate' then b.aggregate_type || ':' || b.aggregate_id when 'all' then 'all' end as lane
      from batch b cross join lateral (
        select distinct r.destination_id as id from pawl.route r where b.name like r.like_pattern) m
      join pawl.destination d on d.id = m.id
     order by b.number, d.id
  ), shards as materialized (
    select s.stream_id, pawl.shards_of(s.stream_id, 1, false) as shards from (select distinct m.stream_id from matched m) s
  ), numbered as materialized (
    select m.*, s.shards, nextval('pawl.task_id_seq') as task_id, nextval('pawl.seq') as seq
      from matched m join shards s on s.stream_id = m.stream_id order by m.number, m.destination_id
  ), made as (
    insert into pawl.task (id, shard_id, queue_id, seq, state, run_at, created_at, payload, ref, lane)
    select n.task_id, n.shards[1 + n.seq % cardinality(n.shards)], n.queue_id, n.seq,
           case when n.lane is null then 'ready' else 'arrived' end, pawl.now(), pawl.now(),
           jsonb_build_object('event', n.event_id), 'event ' || n.event_id, n.lane
      from numbered n order by n.seq
  ), linked as (
    insert into pawl.delivery (task_id, event_id, destination_id)
    select n.task_id, n.event_id, n.destination_id from numbered n
  ), marked as (
    update pawl.event e
       set routed_at = pawl.now(), deliveries = (select count(*) from matched m where m.event_id = e.id)
      from batch b where e.id = b.id
    returning 1
  )
  select count(*) into v_count from marked;
  perform pawl.sort_lanes_v1(p_limit, null, null);
  if v_count > 0 then perform pawl.wake_v1(); end if;
  return v_count;
end $$;

-- The status of a delivery is that of its task.
create function pawl.delivery_status(p_state text, p_attempt smallint) returns text
language sql immutable as $$
  select case p_state
    when 'running' then 'processing'
    when 'done' then 'published'
    when 'dead' then 'dead'
    when 'ready' then case when p_attempt > 0 then 'failed' else 'pending' end
    when 'scheduled' then case when p_attempt > 0 then 'failed' else 'pending' end
    when 'arrived' then 'pending'
    when 'waiting' then 'pending'
    else 'cancelled' end
$$;

create function pawl.deliveries_of(p_event uuid) returns table (id bigint, event_id uuid, destination text, type text,
  status text, attempt smallint, max_attempts int, run_at timestamptz, ended_at timestamptz, result jsonb, error jsonb)
language sql stable as $$
  select v.task_id, v.event_id, d.name, d.type, pawl.delivery_status(t.state, t.attempt), t.attempt, t.max_attempts,
         t.run_at, t.ended_at, t.result, t.error
    from pawl.delivery v
    join pawl.destination d on d.id = v.destination_id
    cross join lateral pawl.find_task_v1(v.task_id) t
   where v.event_id = p_event order by v.task_id
$$;

-- The status of an event aggregates its deliveries: processing > failed > pending > dead > published.
create function pawl.events_v1(p_id uuid, p_name text, p_limit int) returns table (number bigint, id uuid, name text,
  aggregate_type text, aggregate_id text, occurred_at timestamptz, routed_at timestamptz, status text,
  deliveries smallint, payload jsonb, meta jsonb)
language sql stable as $$
  select e.number, e.id, e.name, e.aggregate_type, e.aggregate_id, e.occurred_at, e.routed_at,
         case when e.routed_at is null then 'pending' when e.deliveries = 0 then 'unrouted' else (
           select case
             when bool_or(v.status = 'processing') then 'processing'
             when bool_or(v.status = 'failed') then 'failed'
             when bool_or(v.status = 'pending') then 'pending'
             when bool_or(v.status = 'dead') then 'dead'
             when bool_or(v.status = 'published') then 'published'
             else 'cancelled' end
             from pawl.deliveries_of(e.id) v) end,
         e.deliveries, e.payload, e.meta
    from pawl.event e
   where (p_id is null or e.id = p_id) and (p_name is null or e.name like p_name)
   order by e.number desc limit p_limit
$$;

create function pawl.deliveries_v1(p_destination text, p_limit int) returns table (id bigint, event_id uuid,
  event_name text, destination text, type text, status text, attempt smallint, max_attempts int, run_at timestamptz,
  ended_at timestamptz, error jsonb)
language sql stable as $$
  select v.task_id, v.event_id, e.name, d.name, d.type, pawl.delivery_status(t.state, t.attempt), t.attempt,
         t.max_attempts, t.run_at, t.ended_at, t.error
    from (select * from pawl.delivery v
           where p_destination is null
              or v.destination_id = (select d.id from pawl.destination d where d.name = p_destination)
           order by v.task_id desc limit p_limit) v
    join pawl.destination d on d.id = v.destination_id
    left join pawl.event e on e.id = v.event_id
    cross join lateral pawl.find_task_v1(v.task_id) t
   order by v.task_id desc
$$;

-- Counts that people look for first; each exact up to 10,000.
create function pawl.outbox_stats_v1() returns table (to_route bigint, unrouted bigint, oldest_to_route_ms bigint)
language sql stable as $$
  select (select count(*) from (select 1 from pawl.event e where e.routed_at is null limit 10001) c),
         (select count(*) from (select 1 from pawl.event e where e.deliveries = 0 limit 10001) c),
         (select greatest(extract(epoch from pawl.now() - e.occurred_at) * 1000, 0)::bigint from pawl.event e
           where e.routed_at is null order by e.number limit 1)
$$;
