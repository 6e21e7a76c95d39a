-- The outbox: events, destinations, routes, deliveries. A destination is a queue, a delivery is a task.

-- UUIDv7 (RFC 9562 section 5.7): 48 bits of Unix milliseconds, then version, variant and randomness.
create function pawl.uuid_v7() returns uuid
language sql volatile as $$
  select encode(set_bit(set_bit(
    overlay(uuid_send(gen_random_uuid())
      placing substring(int8send(floor(extract(epoch from clock_timestamp()) * 1000)::bigint) from 3) from 1 for 6),
    52, 1), 53, 1), 'hex')::uuid
$$;

-- ordering: its deliveries in lanes of one aggregate, all in one lane, or in none. application null: made by an operator,
-- and config holds all that delivering needs, secrets sealed or by reference; else the code has it, and config is what
-- people may see.
create table pawl.destination (
  id int generated always as identity primary key,
  name text not null,
  queue_id int not null references pawl.queue (id),
  stream_id int not null references pawl.stream (id),
  type text not null,
  config jsonb not null,
  ordering text not null default 'none' check (ordering in ('none', 'aggregate', 'all')),
  application text,
  revision int not null default 0,
  defined_at timestamptz not null default pawl.now(),
  removed_at timestamptz
);
create unique index destination_by_name on pawl.destination (name) where removed_at is null;

-- Which events go where. In a pattern `*` stands for any run of characters. filter: {"payload", "meta"}, each of which
-- must be contained in the event's; path: a jsonpath predicate over {"name", "aggregateType", "aggregateId", "payload",
-- "meta"}. application null: made by an operator; off_by: turned off by one, whoever made it.
create table pawl.route (
  id int generated always as identity primary key,
  pattern text not null check (pattern ~ '^[A-Za-z0-9_.:*-]+$' and length(pattern) <= 200),
  like_pattern text not null generated always as
    (replace(replace(replace(replace(pattern, '\', '\\'), '%', '\%'), '_', '\_'), '*', '%')) stored,
  destination_id int not null references pawl.destination (id) on delete cascade,
  filter jsonb,
  path jsonpath,
  priority smallint not null default 1 check (priority between 0 and 3),
  active boolean not null default true,
  off_by text,
  application text,
  defined_at timestamptz not null default pawl.now()
);
create index route_of_destination on pawl.route (destination_id);

-- A fact, recorded in the business transaction. deliveries: how many the router made; 0 is unrouted. target_id: it goes
-- there and nowhere else, whatever the routes say. Its name's length is not a matter of the expression: counting to 200,
-- that costs 40 times as much, more than all the rest of an insert.
create table pawl.event (
  number bigint generated always as identity,
  id uuid primary key default pawl.uuid_v7(),
  name text not null check (name ~ '^[A-Za-z0-9_.:-]+$' and length(name) <= 200),
  aggregate_type text not null,
  aggregate_id text not null,
  occurred_at timestamptz not null default pawl.now(),
  payload jsonb not null,
  meta jsonb not null default '{}',
  target_id int references pawl.destination (id),
  routed_at timestamptz,
  deliveries int
) with (autovacuum_vacuum_scale_factor = 0.02);
-- The sum is there so that what is asked for in this order is never looked up in event_by_number, among all that is routed.
create index event_to_route on pawl.event ((number + 0)) where routed_at is null;
create index event_unrouted on pawl.event (number) where deliveries = 0;
create index event_by_number on pawl.event (number);

-- The id of a delivery is the id of its task. replay: 0 is the first time.
create table pawl.delivery (
  task_id bigint primary key,
  event_id uuid not null,
  destination_id int not null,
  replay int not null default 0,
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
  if name is null or name !~ '^[A-Za-z0-9_.:-]+$' or length(name) > 200 then
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

-- The destination that an event is sent to explicitly.
create function pawl.target_destination(p_type text, p_name text) returns int
language plpgsql stable as $$
declare
  v_id int;
begin
  select d.id into v_id from pawl.destination d where d.name = p_name and d.type = p_type and d.removed_at is null;
  if not found then
    raise exception 'no destination "%" of type "%"', p_name, p_type using errcode = 'PW018',
      hint = coalesce('known: ' || (select string_agg(d.type || ' ' || d.name, ', ' order by d.name) from pawl.destination d
        where d.removed_at is null), 'there is none yet: start a worker');
  end if;
  return v_id;
end $$;

-- Records an event for one destination, whatever the routes say.
create function pawl.send_to(destination_type text, destination text, name text, aggregate_type text, aggregate_id text,
  payload jsonb, meta jsonb default '{}') returns uuid
language plpgsql volatile as $$
#variable_conflict use_variable
declare
  v_target int := pawl.target_destination(destination_type, destination);
  v_id uuid := pawl.record(name, aggregate_type, aggregate_id, payload, meta);
begin
  update pawl.event e set target_id = v_target where e.id = v_id;
  return v_id;
end $$;

-- {"application", "revision", "destinations": [{"name", "queue", "type", "config", "ordering"}],
--  "routes": [{"pattern", "destination", "filter", "path", "priority", "active"}]}
-- Queues and streams are registered before. An application's routes are replaced as a whole; what an operator turned off
-- stays off. A destination that an operator made is not taken over.
create function pawl.register_outbox_v1(p_definitions jsonb) returns void
language plpgsql volatile as $$
declare
  v_application text := p_definitions ->> 'application';
  v_revision int := (p_definitions ->> 'revision')::int;
  v_taken text;
begin
  perform pg_advisory_xact_lock(hashtextextended('pawl.register', 0));
  -- an older revision changes nothing
  if exists (select 1 from pawl.destination d where d.application = v_application and d.revision > v_revision) then
    return;
  end if;
  select d.name into v_taken from pawl.destination d
    join jsonb_to_recordset(p_definitions -> 'destinations') as n (name text) on n.name = d.name
   where d.application is null and d.removed_at is null order by d.name limit 1;
  if found then
    raise exception 'destination "%" was made by an operator', v_taken using errcode = 'PW015',
      hint = 'give the one in the code another name, or remove the operator''s with `pawl destinations remove`';
  end if;
  insert into pawl.destination as d (name, queue_id, stream_id, type, config, ordering, application, revision)
  select n.name, q.id, st.id, n.type, n.config, coalesce(n.ordering, 'none'), v_application, v_revision
    from jsonb_to_recordset(p_definitions -> 'destinations') as n (name text, queue text, type text, config jsonb, ordering text)
    join pawl.queue q on q.name = n.queue
    join pawl.stream st on st.queue_id = q.id and st.kind = 'delivery'
   order by n.name
  on conflict (name) where removed_at is null do update
     set type = excluded.type, config = excluded.config, ordering = excluded.ordering,
         application = excluded.application, revision = excluded.revision, defined_at = pawl.now();
  with given as materialized (
    select n.pattern, d.id as destination_id, nullif(n.filter, 'null') as filter, pawl.path_of(n.path) as path, coalesce(n.priority, 1) as priority,
           coalesce(n.active, true) as active
      from jsonb_to_recordset(p_definitions -> 'routes')
        as n (pattern text, destination text, filter jsonb, path text, priority smallint, active boolean)
      join pawl.destination d on d.name = n.destination and d.removed_at is null
  ), named as materialized (
    -- the same route twice: what is active counts, and of that the first priority
    select distinct on (m.pattern, m.destination_id, m.filter, m.path::text) m.* from given m
     order by m.pattern, m.destination_id, m.filter, m.path::text, m.active desc, m.priority
  ), gone as (
    delete from pawl.route r where r.application = v_application and not exists (
      select 1 from named n where n.pattern = r.pattern and n.destination_id = r.destination_id
         and n.filter is not distinct from r.filter and n.path::text is not distinct from r.path::text)
  ), kept as (
    update pawl.route r set priority = n.priority, active = n.active from named n
     where r.application = v_application and n.pattern = r.pattern and n.destination_id = r.destination_id
       and n.filter is not distinct from r.filter and n.path::text is not distinct from r.path::text
  )
  insert into pawl.route (pattern, destination_id, filter, path, priority, active, application)
  select n.pattern, n.destination_id, n.filter, n.path, n.priority, n.active, v_application
    from named n
   where not exists (
    select 1 from pawl.route r where r.application = v_application and n.pattern = r.pattern
       and n.destination_id = r.destination_id and n.filter is not distinct from r.filter
       and n.path::text is not distinct from r.path::text);
end $$;

create function pawl.path_of(p_text text) returns jsonpath
language plpgsql immutable as $$
begin
  -- a variable is found missing only when it is asked for
  perform jsonb_path_match('{"payload": {}, "meta": {}}', p_text::jsonpath, '{}', true);
  return p_text::jsonpath;
exception when others then
  raise exception 'bad condition %: %', '"' || left(p_text, 200) || '"', sqlerrm using errcode = 'PW010',
    hint = 'write a jsonpath predicate over the event, such as $.payload.total > 100 && $.payload.country == "CZ"';
end $$;

-- Some faults of a condition are raised whatever is said, such as a variable that is not there, or times without a zone
-- compared with others: it does not hold then, and the router goes on.
create function pawl.path_holds(p_path jsonpath, p_event jsonb) returns boolean
language plpgsql immutable as $$
begin
  return jsonb_path_match(p_event, p_path, '{}', true);
exception when others then
  return false;
end $$;

-- Does a route's condition hold for an event?
create function pawl.passes(p_filter jsonb, p_path jsonpath, p_event jsonb) returns boolean
language sql immutable as $$
  select coalesce((p_filter is null
        or (coalesce(p_event -> 'payload' @> (p_filter -> 'payload'), true) and coalesce(p_event -> 'meta' @> (p_filter -> 'meta'), true)))
     and (p_path is null or pawl.path_holds(p_path, p_event)), false)
$$;

-- Turned off in such a way that what would go there is dropped, not held.
create function pawl.is_dropping(p_name text) returns boolean
language sql stable as $$
  select exists (select 1 from pawl.switch w where w.scope = 'queue' and w.name = 'destination:' || p_name
    and w.drops and (w.until is null or w.until > pawl.now()))
$$;

-- Routes that take events of these names now. Events of Pawl itself go only where a pattern begins with "pawl.": what
-- takes everything shall not be alarmed by its own deliveries.
create function pawl.routes_for(p_names text[]) returns table (name text, route_id int, destination_id int, filter jsonb,
  path jsonpath, priority smallint)
language sql stable as $$
  select n.name, r.id, r.destination_id, r.filter, r.path, r.priority
    from (select distinct u.name from unnest(p_names) u (name)) n
    join pawl.route r on n.name like r.like_pattern and (n.name not like 'pawl' || '.%' or r.pattern like 'pawl' || '.%')
    join pawl.destination d on d.id = r.destination_id
   where r.active and r.off_by is null and d.removed_at is null and not pawl.is_dropping(d.name)
$$;

-- The lane of an aggregate; a long one by its hash, since lanes are indexed.
create function pawl.lane_of(p_type text, p_id text) returns text
language sql immutable as $$
  select case when octet_length(a.name) <= 500 then a.name
    else left(a.name, 100) || ' ' || encode(sha256(convert_to(a.name, 'UTF8')), 'hex') end
    from (select p_type || ':' || p_id as name) a
$$;

-- Makes the deliveries of recorded events, in the order of their numbers, in the transaction that marks them routed.
-- One router at a time; null when another is at it. An event that matches no route is unrouted, and shown. Takes as many
-- events as make p_deliveries together, at least one. Deliveries in lanes take their ids in the order of the events, and
-- are sorted before anybody sees them.
create function pawl.route_v1(p_limit int, p_deliveries int default 5000) returns int
language plpgsql volatile
set enable_seqscan = off set enable_bitmapscan = off set enable_mergejoin = off set jit = off
set plan_cache_mode = force_generic_plan as $$
declare
  v_now timestamptz := pawl.now();
  v_ids uuid[]; -- the events, in order; what follows names them by their place here
  v_names text[];
  v_targets int[];
  v_places int[];
  v_destinations int[];
  v_priorities smallint[];
  v_counts int[];
  v_unrouted uuid[];
  v_is_ordered boolean;
begin
  if not exists (select 1 from pawl.event e where e.routed_at is null) then return 0; end if;
  if not pg_try_advisory_xact_lock(hashtextextended('pawl.route', 0)) then return null; end if;
  perform pg_current_xact_id(); -- before the first seq
  -- a pass that a crash undoes is done again, and the claim of a delivery is written after it
  perform set_config('synchronous_commit', 'off', true);
  select array_agg(s.id), array_agg(s.name), array_agg(s.target_id) into v_ids, v_names, v_targets
    from (select e.id, e.name, e.target_id from pawl.event e where e.routed_at is null order by e.number + 0 limit p_limit) s;
  with routes as materialized (
    select * from pawl.routes_for(v_names)
  ), seen as materialized (
    select u.* from unnest(v_ids, v_names, v_targets) with ordinality u (id, name, target_id, place)
  ), aimed as (
    select s.place, r.destination_id, min(r.priority) as priority
      from seen s join routes r on r.name = s.name
     where s.target_id is null and (r.filter is null and r.path is null or pawl.passes(r.filter, r.path, (
       select jsonb_build_object('name', e.name, 'aggregateType', e.aggregate_type, 'aggregateId', e.aggregate_id,
         'payload', e.payload, 'meta', e.meta) from pawl.event e where e.id = s.id)))
     group by s.place, r.destination_id
    union all
    select s.place, d.id, 1 from seen s join pawl.destination d on d.id = s.target_id
     where d.removed_at is null and not pawl.is_dropping(d.name)
  )
  select coalesce(array_agg(a.place order by a.place, a.destination_id), '{}'),
         array_agg(a.destination_id order by a.place, a.destination_id),
         array_agg(a.priority order by a.place, a.destination_id)
    into v_places, v_destinations, v_priorities from aimed a;
  -- as many events as fit, at least one
  select array_agg(c.deliveries order by c.place) into v_counts from (
    select g.place, count(a.place) as deliveries, sum(count(a.place)) over (order by g.place) as so_far
      from generate_subscripts(v_ids, 1) g (place) left join unnest(v_places) a (place) on a.place = g.place
     group by g.place) c
   where c.so_far <= p_deliveries or c.place = 1;
  v_ids := v_ids[1:cardinality(v_counts)];
  v_is_ordered := exists (select 1 from pawl.destination d where d.id = any (v_destinations) and d.ordering <> 'none');
  with matched as materialized (
    select u.place, u.nth, d.id as destination_id, d.stream_id, d.queue_id, u.priority, v_ids[u.place] as event_id,
           case d.ordering when 'all' then 'all' when 'aggregate' then
             (select pawl.lane_of(e.aggregate_type, e.aggregate_id) from pawl.event e where e.id = v_ids[u.place]) end as lane
      from unnest(v_places, v_destinations, v_priorities) with ordinality u (place, destination_id, priority, nth)
      join pawl.destination d on d.id = u.destination_id
     where u.place <= cardinality(v_counts)
  ), shards as materialized (
    select s.stream_id, s.priority, pawl.shards_of(s.stream_id, s.priority, false) as shards
      from (select distinct m.stream_id, m.priority from matched m) s
  ), numbered as materialized (
    select m.*, s.shards, nextval('pawl.task_id_seq') as task_id, nextval('pawl.seq') as seq
      from matched m join shards s on s.stream_id = m.stream_id and s.priority = m.priority order by m.nth
  ), made as (
    insert into pawl.task (id, shard_id, queue_id, seq, state, run_at, created_at, payload, ref, lane)
    select n.task_id, n.shards[1 + n.seq % cardinality(n.shards)], n.queue_id, n.seq,
           case when n.lane is null then 'ready' else 'arrived' end, v_now, v_now,
           jsonb_build_object('event', n.event_id), 'event ' || n.event_id, n.lane
      from numbered n
  )
  insert into pawl.delivery (task_id, event_id, destination_id)
  select n.task_id, n.event_id, n.destination_id from numbered n;
  if v_counts[1] = all (v_counts) then
    update pawl.event e set routed_at = v_now, deliveries = v_counts[1] where e.id = any (v_ids);
  else
    update pawl.event e set routed_at = v_now, deliveries = v_counts[array_position(v_ids, e.id)] where e.id = any (v_ids);
  end if;
  select array_agg(v_ids[g.place]) into v_unrouted from generate_subscripts(v_ids, 1) g (place) where v_counts[g.place] = 0;
  if v_unrouted is not null then perform pawl.announce_unrouted_v1(v_unrouted); end if;
  if v_is_ordered then perform pawl.sort_lanes_v1(p_deliveries, null, null); end if;
  perform pawl.wake_v1();
  return cardinality(v_ids);
end $$;

-- The names of Pawl's own events are put together, so that they stay when another schema's name takes the place of ours.
-- Pawl's own events are ordinary ones, recorded where a route wants them. None is recorded about a delivery of one, nor
-- about a job that one caused: alarms do not alarm about themselves.
create function pawl.is_wanted(p_name text) returns boolean
language sql stable as $$ select exists (select 1 from pawl.routes_for(array[p_name])) $$;

create function pawl.announce_unrouted_v1(p_ids uuid[]) returns void
language plpgsql volatile as $$
begin
  if not pawl.is_wanted('pawl' || '.event.unrouted') then return; end if;
  insert into pawl.event (name, aggregate_type, aggregate_id, payload)
  select 'pawl' || '.event.unrouted', 'event', e.id,
         jsonb_build_object('eventId', e.id, 'eventName', e.name, 'aggregateType', e.aggregate_type, 'aggregateId', e.aggregate_id)
    from pawl.event e where e.id = any (p_ids) and e.name not like 'pawl' || '.%' order by e.number;
end $$;

create function pawl.announce_dead_v1(p_ids bigint[]) returns void
language plpgsql volatile as $$
begin
  if not (pawl.is_wanted('pawl' || '.delivery.dead') or pawl.is_wanted('pawl' || '.task.dead')) then return; end if;
  insert into pawl.event (name, aggregate_type, aggregate_id, payload)
  select n.name, case when v.task_id is null then 'task' else 'delivery' end, x.id,
         jsonb_build_object('taskId', x.id::text, 'queue', q.name, 'kind', st.kind, 'attempt', x.attempt, 'reason', x.reason,
           'error', x.error)
         || case when v.task_id is null then '{}' else jsonb_build_object('deliveryId', x.id::text, 'destination', d.name,
              'eventId', e.id, 'eventName', e.name) end
    from pawl.dead x
    join pawl.stream st on st.id = x.stream_id
    join pawl.queue q on q.id = st.queue_id
    left join pawl.delivery v on v.task_id = x.id
    left join pawl.destination d on d.id = v.destination_id
    left join pawl.event e on e.id = v.event_id
    cross join lateral (select case when v.task_id is null then 'pawl' || '.task.dead' else 'pawl' || '.delivery.dead' end as name) n
   where x.id = any (p_ids) and pawl.is_wanted(n.name)
     and coalesce(e.name, x.meta ->> 'eventName', '') not like 'pawl' || '.%'
   order by x.id;
end $$;

-- Once an incident: when a breaker opens, and when it has closed again.
create function pawl.announce_breaker_v1(p_stream int, p_before text, p_phase text, p_until timestamptz, p_error jsonb)
returns void
language plpgsql volatile as $$
declare
  v_verb text := case when p_before = 'closed' and p_phase = 'open' then 'tripped' when p_phase = 'closed' then 'recovered' end;
  v_name text;
begin
  if v_verb is null then return; end if;
  select case when d.id is null then 'pawl' || '.breaker.' else 'pawl' || '.destination.' end || v_verb into v_name
    from pawl.stream st left join pawl.destination d on d.stream_id = st.id and d.removed_at is null where st.id = p_stream;
  if not pawl.is_wanted(v_name) then return; end if;
  insert into pawl.event (name, aggregate_type, aggregate_id, payload)
  select v_name, case when d.id is null then 'kind' else 'destination' end, coalesce(d.name, st.kind),
         jsonb_build_object('queue', q.name, 'kind', st.kind, 'destination', d.name, 'until', p_until, 'error', p_error)
    from pawl.stream st join pawl.queue q on q.id = st.queue_id
    left join pawl.destination d on d.stream_id = st.id and d.removed_at is null where st.id = p_stream;
end $$;

-- What an operator may change by name; refuses what the code owns.
create function pawl.operators_destination(p_name text) returns pawl.destination
language plpgsql stable as $$
declare
  v_row pawl.destination;
begin
  select d.* into v_row from pawl.destination d where d.name = p_name and d.removed_at is null;
  if not found then
    raise exception 'no destination "%"', p_name using errcode = 'PW018',
      hint = coalesce('known: ' || (select string_agg(d.name, ', ' order by d.name) from pawl.destination d where d.removed_at is null), 'there is none yet');
  end if;
  if v_row.application is not null then
    raise exception 'destination "%" is defined in the code of "%"', p_name, v_row.application using errcode = 'PW015',
      hint = 'change it there; pausing and resuming work here too';
  end if;
  return v_row;
end $$;

-- Makes or changes an operator's destination: {"name", "type", "config", "ordering", "queue": {"retry", "timeout_ms",
-- "concurrency", "rate", "breaker", "on_dead"}}. p_shown: what of it people may see, for the audit. Answers its id.
create function pawl.put_destination_v1(p_destination jsonb, p_is_new boolean, p_shown jsonb, p_by text, p_why text) returns int
language plpgsql volatile as $$
declare
  v_name text := p_destination ->> 'name';
  v_queue int;
  v_stream int;
  v_row pawl.destination;
begin
  perform pg_advisory_xact_lock(hashtextextended('pawl.register', 0));
  if p_is_new and exists (select 1 from pawl.destination d where d.name = v_name and d.removed_at is null) then
    raise exception 'destination "%" is there already', v_name using errcode = 'PW016',
      hint = 'change it with `pawl destinations edit`, or choose another name';
  end if;
  if not p_is_new then
    v_row := pawl.operators_destination(v_name);
    if v_row.type <> p_destination ->> 'type' then
      raise exception 'destination "%" is of type %, and cannot become %', v_name, v_row.type, p_destination ->> 'type'
        using errcode = 'PW010', hint = 'add a new destination, and route to it';
    end if;
  end if;
  insert into pawl.queue as q (name, retry, timeout_ms, concurrency, rate, breaker, on_dead, application)
  select 'destination:' || v_name, n.retry, n.timeout_ms, n.concurrency, nullif(n.rate, 'null'), nullif(n.breaker, 'null'),
         coalesce(n.on_dead, 'block'), ''
    from jsonb_to_record(p_destination -> 'queue')
      as n (retry jsonb, timeout_ms int, concurrency int, rate jsonb, breaker jsonb, on_dead text)
  on conflict (name) do update
     set retry = excluded.retry, timeout_ms = excluded.timeout_ms, concurrency = excluded.concurrency, rate = excluded.rate,
         breaker = excluded.breaker, on_dead = excluded.on_dead, application = excluded.application, defined_at = pawl.now()
  returning q.id into v_queue;
  insert into pawl.stream as st (queue_id, kind, application, defined_at)
  values (v_queue, 'delivery:' || (p_destination ->> 'type'), '', pawl.now())
  on conflict (kind, queue_id, version) do update set defined_at = excluded.defined_at
  returning st.id into v_stream;
  perform pawl.make_shards(v_stream);
  perform pawl.set_limits();
  delete from pawl.breaker b where b.stream_id = v_stream and nullif(p_destination -> 'queue' -> 'breaker', 'null') is null;
  if v_row.id is null then
    insert into pawl.destination (name, queue_id, stream_id, type, config, ordering)
    values (v_name, v_queue, v_stream, p_destination ->> 'type', p_destination -> 'config', coalesce(p_destination ->> 'ordering', 'none'))
    returning * into v_row;
  else
    update pawl.destination d
       set config = p_destination -> 'config', ordering = coalesce(p_destination ->> 'ordering', d.ordering),
           revision = d.revision + 1, defined_at = pawl.now()
     where d.id = v_row.id;
  end if;
  perform pawl.audit_v1(p_by, case when p_is_new then 'add' else 'edit' end, 'destination:' || v_name, p_why, p_shown);
  perform pg_notify('pawl.wake', '');
  return v_row.id;
end $$;

-- A router at work may be making deliveries for what is about to go: it ends first, and no other begins meanwhile.
create function pawl.wait_for_router() returns void
language sql volatile as $$ select pg_advisory_xact_lock(hashtextextended('pawl.route', 0)) $$;

-- Removes an operator's destination with its routes. What still waits for it is cancelled; answers how many those were.
create function pawl.remove_destination_v1(p_name text, p_by text, p_why text) returns int
language plpgsql volatile as $$
declare
  v_row pawl.destination := pawl.operators_destination(p_name);
  v_cancelled int;
begin
  perform pawl.wait_for_router();
  update pawl.destination d set removed_at = pawl.now() where d.id = v_row.id;
  delete from pawl.route r where r.destination_id = v_row.id;
  delete from pawl.switch w where w.scope = 'queue' and w.name = 'destination:' || p_name;
  v_cancelled := pawl.drop_waiting_v1(v_row.id, p_by, coalesce(p_why, 'its destination was removed'));
  perform pawl.audit_v1(p_by, 'remove', 'destination:' || p_name, p_why, jsonb_build_object('cancelled', v_cancelled));
  return v_cancelled;
end $$;

-- Cancels what waits for a destination.
create function pawl.drop_waiting_v1(p_destination int, p_by text, p_why text) returns int
language sql volatile as $$
  select count(*)::int from pawl.cancel_v1(
    array(select t.id from pawl.task t join pawl.destination d on d.queue_id = t.queue_id
           where d.id = p_destination and t.state <> 'blocked'), p_by, p_why)
$$;

-- Turns a destination off. What comes for it waits, or, with p_drops, goes nowhere, as does what waits already.
create function pawl.pause_destination_v1(p_name text, p_drops boolean, p_by text, p_why text, p_until timestamptz) returns int
language plpgsql volatile as $$
declare
  v_id int;
begin
  if p_drops then perform pawl.wait_for_router(); end if;
  select d.id into v_id from pawl.destination d where d.name = p_name and d.removed_at is null;
  perform pawl.off_v1('queue:destination:' || p_name, p_by, p_why, p_until);
  update pawl.switch w set drops = p_drops where w.scope = 'queue' and w.name = 'destination:' || p_name;
  return case when p_drops then pawl.drop_waiting_v1(v_id, p_by, coalesce(p_why, 'its destination was turned off')) else 0 end;
end $$;

create function pawl.resume_destination_v1(p_name text, p_by text, p_why text) returns boolean
language plpgsql volatile as $$
begin
  return pawl.on_v1('queue:destination:' || p_name, p_by, p_why);
end $$;

-- A receiver wants no more: its destination is turned off, once, and people are told.
create function pawl.disable_destination_v1(p_name text, p_why text) returns void
language plpgsql volatile as $$
begin
  perform pg_advisory_xact_lock(pawl.gate_lock()); -- what follows sees what another delivery has done
  if exists (select 1 from pawl.switch w where w.scope = 'queue' and w.name = 'destination:' || p_name
              and (w.until is null or w.until > pawl.now()))
     or not exists (select 1 from pawl.destination d where d.name = p_name and d.removed_at is null) then return; end if;
  perform pawl.off_v1('queue:destination:' || p_name, 'pawl', p_why, null);
  if pawl.is_wanted('pawl' || '.destination.disabled') then
    insert into pawl.event (name, aggregate_type, aggregate_id, payload)
    values ('pawl' || '.destination.disabled', 'destination', p_name, jsonb_build_object('destination', p_name, 'why', p_why));
  end if;
end $$;

-- Adds a route (p_id null) or changes an operator's: {"pattern", "destination", "filter", "path", "priority", "active"}.
create function pawl.put_route_v1(p_id int, p_route jsonb, p_by text, p_why text) returns int
language plpgsql volatile as $$
declare
  v_destination int;
  v_id int := p_id;
begin
  select d.id into v_destination from pawl.destination d where d.name = p_route ->> 'destination' and d.removed_at is null;
  if not found then
    raise exception 'no destination "%"', p_route ->> 'destination' using errcode = 'PW018',
      hint = coalesce('known: ' || (select string_agg(d.name, ', ' order by d.name) from pawl.destination d where d.removed_at is null), 'there is none yet');
  end if;
  if p_id is null then
    insert into pawl.route (pattern, destination_id, filter, path, priority, active)
    values (p_route ->> 'pattern', v_destination, nullif(p_route -> 'filter', 'null'), pawl.path_of(p_route ->> 'path'),
            coalesce((p_route ->> 'priority')::smallint, 1), coalesce((p_route ->> 'active')::boolean, true))
    returning id into v_id;
  else
    perform pawl.operators_route(p_id);
    update pawl.route r
       set pattern = p_route ->> 'pattern', destination_id = v_destination, filter = nullif(p_route -> 'filter', 'null'),
           path = pawl.path_of(p_route ->> 'path'), priority = coalesce((p_route ->> 'priority')::smallint, 1),
           active = coalesce((p_route ->> 'active')::boolean, true), off_by = null, defined_at = pawl.now()
     where r.id = p_id;
  end if;
  perform pawl.audit_v1(p_by, case when p_id is null then 'add' else 'edit' end, 'route:' || v_id, p_why, p_route);
  return v_id;
end $$;

create function pawl.operators_route(p_id int) returns pawl.route
language plpgsql stable as $$
declare
  v_row pawl.route;
begin
  select r.* into v_row from pawl.route r where r.id = p_id;
  if not found then
    raise exception 'no route %', p_id using errcode = 'PW017', hint = 'see `pawl routes list`';
  end if;
  if v_row.application is not null then
    raise exception 'route % is defined in the code of "%"', p_id, v_row.application using errcode = 'PW015',
      hint = 'change it there; turning it off and on works here too';
  end if;
  return v_row;
end $$;

create function pawl.remove_route_v1(p_id int, p_by text, p_why text) returns void
language plpgsql volatile as $$
declare
  v_row pawl.route := pawl.operators_route(p_id);
begin
  delete from pawl.route r where r.id = p_id;
  perform pawl.audit_v1(p_by, 'remove', 'route:' || p_id, p_why, to_jsonb(v_row));
end $$;

-- Turns any route off or on.
create function pawl.turn_route_v1(p_id int, p_is_on boolean, p_by text, p_why text) returns void
language plpgsql volatile as $$
begin
  update pawl.route r set off_by = case when p_is_on then null else coalesce(nullif(p_by, ''), current_user) end where r.id = p_id;
  if not found then
    raise exception 'no route %', p_id using errcode = 'PW017', hint = 'see `pawl routes list`';
  end if;
  perform pawl.audit_v1(p_by, case when p_is_on then 'on' else 'off' end, 'route:' || p_id, p_why, null);
end $$;

-- Routes events that matched nothing once more; answers how many were found.
create function pawl.route_again_v1(p_ids uuid[], p_like_pattern text, p_limit int, p_by text, p_why text) returns int
language plpgsql volatile as $$
declare
  v_count int;
begin
  with again as (
    select e.id from pawl.event e
     where e.deliveries = 0 and (p_ids is null or e.id = any (p_ids)) and (p_like_pattern is null or e.name like p_like_pattern)
     order by e.number limit p_limit for update skip locked
  )
  update pawl.event e set routed_at = null, deliveries = null from again a where e.id = a.id;
  get diagnostics v_count = row_count;
  if v_count > 0 then
    perform pawl.audit_v1(p_by, 'route again', 'events', p_why, jsonb_build_object('events', v_count, 'name', p_like_pattern));
    perform pawl.wake_v1();
  end if;
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
  deliveries int, payload jsonb, meta jsonb)
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
           where e.routed_at is null order by e.number + 0 limit 1)
$$;
