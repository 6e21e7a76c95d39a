-- The router: which events go where, and the deliveries it makes of them.

-- Turned off in such a way that what would go there is dropped, not held.
create or replace function pawl.is_dropping(p_name text) returns boolean
language sql stable
return exists (select 1 from pawl.switch w where w.scope = 'queue' and w.name = 'destination:' || p_name
    and w.drops and (w.until is null or w.until > pawl.now()));

-- Routes that take events of these names now. Events of Pawl itself go only where a pattern begins with "pawl.": what
-- takes everything shall not be alarmed by its own deliveries.
create or replace function pawl.routes_for(p_names text[]) returns table (name text, route_id int, destination_id int, filter jsonb,
  path jsonpath, priority smallint)
language sql stable as $$
  select n.name, r.id, r.destination_id, r.filter, r.path, r.priority
    from (select distinct u.name from unnest(p_names) u (name)) n
    join pawl.route r on n.name like r.like_pattern and (n.name not like 'pawl' || '.%' or r.pattern like 'pawl' || '.%')
    join pawl.destination d on d.id = r.destination_id
   where r.active and d.removed_at is null and not pawl.is_dropping(d.name)
     and r.id::text <> all (array(select w.name from pawl.switch w where w.scope = 'route' and (w.until is null or w.until > pawl.now())))
$$;

-- The lane of an aggregate: its type and its id. A colon in the type is written as %3A, so that no two aggregates share one. Lanes
-- are indexed, so a long one is named by its hash; it holds no colon, as all others do.
create or replace function pawl.lane_of(p_type text, p_id text) returns text
language sql immutable as $$
  select case when octet_length(a.name) <= 500 then a.name
    else replace(left(a.name, 100), ':', ' ') || ' ' || encode(sha256(convert_to(a.name, 'UTF8')), 'hex') end
    from (select replace(replace(p_type, '%', '%25'), ':', '%3A') || ':' || p_id as name) a
$$;

create or replace function pawl.is_unrouted_v1() returns boolean
language plpgsql stable
set enable_seqscan = off set enable_bitmapscan = off set jit = off set plan_cache_mode = force_generic_plan as $$
begin
  return exists (select 1 from pawl.event e where e.routed_at is null);
end $$;

-- One delivery a place: of the event there, to a destination. Places beyond the events are left out. In a lane they arrive.
-- p_watched: of which of the events the ends are told. Its plans are those of pawl.route_v1, which alone calls it.
create or replace function pawl.make_deliveries(p_events uuid[], p_places int[], p_destinations int[], p_priorities smallint[], p_watched uuid[])
returns void
language plpgsql volatile as $$
declare
  v_now timestamptz := pawl.now();
begin
  perform pg_current_xact_id(); -- before the first seq
  with matched as materialized (
    select u.place, u.nth, d.id as destination_id, d.stream_id, d.queue_id, u.priority, p_events[u.place] as event_id,
           case d.ordering when 'all' then 'all' when 'aggregate' then
             (select pawl.lane_of(e.aggregate_type, e.aggregate_id) from pawl.event e where e.id = p_events[u.place]) end as lane
      from unnest(p_places, p_destinations, p_priorities) with ordinality u (place, destination_id, priority, nth)
      join pawl.destination d on d.id = u.destination_id
     where u.place <= cardinality(p_events)
  ), shards as materialized (
    select s.stream_id, s.priority, pawl.shards_of(s.stream_id, s.priority, false) as shards
      from (select distinct m.stream_id, m.priority from matched m) s
  ), numbered as materialized (
    select m.*, s.shards, nextval('pawl.task_id_seq') as task_id, nextval('pawl.seq') as seq
      from matched m join shards s on s.stream_id = m.stream_id and s.priority = m.priority order by m.nth
  ), made as (
    insert into pawl.task (id, shard_id, queue_id, seq, state, run_at, created_at, payload, ref, lane, is_watched)
    select n.task_id, n.shards[1 + n.seq % cardinality(n.shards)], n.queue_id, n.seq,
           case when n.lane is null then 'ready' else 'arrived' end, v_now, v_now,
           jsonb_build_object('event', n.event_id), 'event ' || n.event_id, n.lane,
           case when n.event_id = any (p_watched) then true end
      from numbered n
  )
  insert into pawl.delivery (task_id, event_id, destination_id)
  select n.task_id, n.event_id, n.destination_id from numbered n;
end $$;

-- Makes the deliveries of recorded events, in the order of their numbers, in the transaction that marks them routed.
-- One router at a time; null when another is at it. An event that matches no route is unrouted, and shown. Takes as many
-- events as make p_deliveries together, at least one. Deliveries in lanes take their ids in the order of the events, and
-- are sorted before anybody sees them.
create or replace function pawl.route_v1(p_limit int, p_deliveries int default 5000) returns int
language plpgsql volatile
set enable_seqscan = off set enable_bitmapscan = off set enable_mergejoin = off set jit = off
set plan_cache_mode = force_generic_plan as $$
declare
  v_now timestamptz := pawl.now();
  v_ids uuid[]; -- the events, in order; what follows names them by their place here
  v_names text[];
  v_targets int[];
  v_watched uuid[];
  v_places int[];
  v_destinations int[];
  v_priorities smallint[];
  v_counts int[];
  v_unrouted uuid[];
  v_faulty int[]; -- destinations of routes whose condition gave no answer, and for which events
  v_faulty_ids uuid[];
  v_is_ordered boolean;
begin
  if not exists (select 1 from pawl.event e where e.routed_at is null) then return 0; end if;
  if not pg_try_advisory_xact_lock(hashtextextended('pawl.route', 0)) then return null; end if;
  -- a pass that a crash undoes is done again, and the claim of a delivery is written after it
  perform set_config('synchronous_commit', 'off', true);
  select array_agg(s.id), array_agg(s.name), array_agg(s.target_id), array_agg(s.id) filter (where s.is_watched)
    into v_ids, v_names, v_targets, v_watched
    from (select e.id, e.name, e.target_id, e.is_watched from pawl.event e where e.routed_at is null order by e.number + 0 limit p_limit) s;
  with routes as materialized (
    select * from pawl.routes_for(v_names)
  ), seen as materialized (
    select u.* from unnest(v_ids, v_names, v_targets) with ordinality u (id, name, target_id, place)
  ), aimed as (
    select s.place, r.destination_id, min(r.priority) filter (where j.holds) as priority,
           bool_or(j.holds is null) as is_faulty
      from seen s join routes r on r.name = s.name
      -- offset: judged once, although it is asked for thrice
      cross join lateral (select r.filter is null and r.path is null or pawl.passes(r.filter, r.path, (
        select jsonb_build_object('name', e.name, 'aggregateType', e.aggregate_type, 'aggregateId', e.aggregate_id,
          'payload', e.payload, 'meta', e.meta) from pawl.event e where e.id = s.id)) as holds offset 0) j
     where s.target_id is null and j.holds is not false
     group by s.place, r.destination_id
    union all
    select s.place, d.id, 1, false from seen s join pawl.destination d on d.id = s.target_id
     where d.removed_at is null and not pawl.is_dropping(d.name)
  )
  select coalesce(array_agg(a.place order by a.place, a.destination_id) filter (where a.priority is not null), '{}'),
         array_agg(a.destination_id order by a.place, a.destination_id) filter (where a.priority is not null),
         array_agg(a.priority order by a.place, a.destination_id) filter (where a.priority is not null),
         array_agg(a.destination_id) filter (where a.is_faulty), array_agg(v_ids[a.place]) filter (where a.is_faulty)
    into v_places, v_destinations, v_priorities, v_faulty, v_faulty_ids from aimed a;
  if v_faulty is not null then perform pawl.note_faults_v1(v_faulty, v_faulty_ids); end if;
  -- as many events as fit, at least one
  select array_agg(c.deliveries order by c.place) into v_counts from (
    select g.place, count(a.place) as deliveries, sum(count(a.place)) over (order by g.place) as so_far
      from generate_subscripts(v_ids, 1) g (place) left join unnest(v_places) a (place) on a.place = g.place
     group by g.place) c
   where c.so_far <= p_deliveries or c.place = 1;
  v_ids := v_ids[1:cardinality(v_counts)];
  v_is_ordered := exists (select 1 from pawl.destination d where d.id = any (v_destinations) and d.ordering <> 'none');
  perform pawl.make_deliveries(v_ids, v_places, v_destinations, v_priorities, v_watched);
  if v_counts[1] = all (v_counts) then
    update pawl.event e set routed_at = v_now, deliveries = v_counts[1] where e.id = any (v_ids);
  else
    update pawl.event e set routed_at = v_now, deliveries = v_counts[array_position(v_ids, e.id)] where e.id = any (v_ids);
  end if;
  select array_agg(v_ids[g.place]) into v_unrouted from generate_subscripts(v_ids, 1) g (place) where v_counts[g.place] = 0;
  if v_unrouted is not null then perform pawl.announce_unrouted_v1(v_unrouted); end if;
  if v_unrouted && v_watched then
    perform pawl.on_unrouted(array(select u.id from unnest(v_unrouted) u (id) where u.id = any (v_watched)));
  end if;
  if v_is_ordered then perform pawl.sort_lanes_v1(p_deliveries, null, null); end if;
  perform pawl.wake_v1();
  return cardinality(v_ids);
end $$;

-- Routes events that matched nothing once more; answers how many were found.
create or replace function pawl.route_again_v1(p_ids uuid[], p_like_pattern text, p_limit int, p_by text, p_why text) returns int
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
    perform pawl.audit_v1(p_by, 'events.route', 'events', p_why, jsonb_build_object('events', v_count, 'name', p_like_pattern));
    perform pawl.wake_v1();
  end if;
  return v_count;
end $$;

-- A router at work may be making deliveries for what is about to go: it ends first, and no other begins meanwhile.
create or replace function pawl.wait_for_router() returns void
language sql volatile as $$ select pg_advisory_xact_lock(hashtextextended('pawl.route', 0)) $$;
