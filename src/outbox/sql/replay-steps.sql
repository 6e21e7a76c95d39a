-- The work of a replay's task.

-- New deliveries of these pairs, in the order given, behind what comes fresh. In a lane they arrive, their ids in the
-- order of the events; the sorter gives them their places.
create or replace function pawl.make_replays(p_events uuid[], p_destinations int[]) returns int
language plpgsql volatile
set jit = off as $$
declare
  v_count int;
begin
  perform pg_current_xact_id(); -- before the first seq
  with pair as materialized (
    select u.place, u.event_id, u.destination_id, d.stream_id, d.queue_id, e.is_watched,
           case d.ordering when 'aggregate' then pawl.lane_of(e.aggregate_type, e.aggregate_id) when 'all' then 'all' end as lane,
           coalesce((select l.replay from pawl.latest_delivery(u.event_id, u.destination_id) l), 0) + 1 as replay
      from unnest(p_events, p_destinations) with ordinality u (event_id, destination_id, place)
      join pawl.event e on e.id = u.event_id
      join pawl.destination d on d.id = u.destination_id
     order by u.place
  ), shards as materialized (
    select s.stream_id, pawl.shards_of(s.stream_id, 3, false) as shards from (select distinct p.stream_id from pair p) s
  ), numbered as materialized (
    select p.*, s.shards, nextval('pawl.task_id_seq') as task_id, nextval('pawl.seq') as seq
      from pair p join shards s on s.stream_id = p.stream_id order by p.place
  ), made as (
    insert into pawl.task (id, shard_id, queue_id, seq, state, run_at, created_at, payload, ref, lane, is_watched)
    select n.task_id, n.shards[1 + n.seq % cardinality(n.shards)], n.queue_id, n.seq,
           case when n.lane is null then 'ready' else 'arrived' end, pawl.now(), pawl.now(),
           jsonb_build_object('event', n.event_id, 'replay', n.replay), 'event ' || n.event_id, n.lane, n.is_watched
      from numbered n order by n.seq
  ), linked as (
    insert into pawl.delivery (task_id, event_id, destination_id, replay)
    select n.task_id, n.event_id, n.destination_id, n.replay from numbered n returning event_id
  ), counted as (
    -- what had no route has deliveries now
    update pawl.event e set deliveries = l.count from (select l.event_id, count(*)::int as count from linked l group by l.event_id) l
     where e.id = l.event_id and e.deliveries = 0
  )
  select count(*) into v_count from linked l;
  return v_count;
end $$;

-- Sends dead letters of deliveries back to their queues, marked as a replay.
create or replace function pawl.retry_as_replay(p_ids bigint[], p_by text, p_why text) returns int
language plpgsql volatile as $$
declare
  v_ids bigint[];
  v_replays int[];
  v_fields jsonb[];
  v_count int;
begin
  -- a pair may have died more than once
  select array_agg(n.id), array_agg(n.replay), array_agg(jsonb_build_object('replay', n.replay)) into v_ids, v_replays, v_fields
    from (select o.task_id as id,
                 (l.replay + row_number() over (partition by o.event_id, o.destination_id order by o.task_id))::int as replay
            from pawl.delivery o cross join lateral pawl.latest_delivery(o.event_id, o.destination_id) l
           where o.task_id = any (p_ids)) n;
  update pawl.delivery v set replay = n.replay
    from pawl.add_to_dead(v_ids, v_fields) m (id) join unnest(v_ids, v_replays) n (id, replay) on n.id = m.id
   where v.task_id = n.id;
  select count(*) into v_count from pawl.retry_dead_v1(p_ids, p_by, p_why, 'deliveries.replay') r where r.outcome = 'retried';
  return v_count;
end $$;

-- What a replay takes next, up to p_limit, of p_scan events or dead letters: pairs without a delivery that lives or has died, and
-- dead letters. upto, upto_destination: where it goes on. Its plans are those of pawl.replay_step_v1, which alone calls it.
create or replace function pawl.next_of_replay(p_replay pawl.replay, p_scan int, p_limit int, out events uuid[], out destinations int[],
  out dead bigint[], out taken int, out upto bigint, out upto_destination int)
language plpgsql volatile as $$
#variable_conflict use_column
declare
  v_last bigint;
begin
  upto_destination := 2147483647;
  if p_replay.dead then
    select max(s.id) into upto from pawl.dead_ids(p_replay.cursor, p_replay.last, p_scan) s (id);
    select array_agg(p.id), max(p.id), count(*) into dead, v_last, taken from (
      select a.id from pawl.replay_dead(p_replay, p_replay.cursor, upto) a order by a.id limit p_limit) p;
    if taken = p_limit then upto := v_last; end if;
    return;
  end if;
  select max(s.number) into upto from (
    select e.number from pawl.event e
     where e.number >= p_replay.cursor + (p_replay.cursor_destination = 2147483647)::int and e.number <= p_replay.last
     order by e.number limit p_scan) s;
  with pair as materialized (
    select a.number, a.event_id, a.destination_id from pawl.replay_pairs(p_replay, p_replay.cursor - 1, upto) a
     where (a.number, a.destination_id) > (p_replay.cursor, p_replay.cursor_destination)
     order by a.number, a.destination_id limit p_limit
  ), judged as materialized (
    select p.*, l.is_live, l.dead_id from pair p
     cross join lateral pawl.latest_delivery(p.event_id, p.destination_id) l
  ), final as (
    select p.number, p.destination_id from pair p order by p.number desc, p.destination_id desc limit 1
  )
  select array_agg(j.event_id order by j.number, j.destination_id) filter (where not j.is_live and j.dead_id is null),
         array_agg(j.destination_id order by j.number, j.destination_id) filter (where not j.is_live and j.dead_id is null),
         array_agg(j.dead_id) filter (where not j.is_live and j.dead_id is not null),
         count(*),
         case when count(*) = p_limit then (select f.number from final f) else upto end,
         case when count(*) = p_limit then (select f.destination_id from final f) else 2147483647 end
    into events, destinations, dead, taken, upto, upto_destination
    from judged j;
end $$;

-- The next of a replay: at most a second's worth of its rate, at most 1,000, having looked at p_scan events. Made and
-- remembered in one transaction, so that whoever calls next goes on behind it. wait_ms: not before; null: nothing is left.
-- One step at a time, of all replays: each gives a pair its next number.
create or replace function pawl.replay_step_v1(p_id int, p_scan int) returns table (made int, wait_ms float8)
language plpgsql volatile
set enable_seqscan = off set enable_bitmapscan = off set jit = off set plan_cache_mode = force_generic_plan as $$
#variable_conflict use_column
declare
  v_replay pawl.replay;
  v_gap interval;
  v_limit int;
  v_upto bigint;
  v_destination int;
  v_events uuid[];
  v_destinations int[];
  v_dead bigint[];
  v_taken int;
begin
  perform pawl.require_read_committed();
  perform pg_advisory_xact_lock(hashtextextended('pawl.replay', 0));
  select r.* into v_replay from pawl.replay r where r.id = p_id for update;
  made := 0;
  if v_replay.state is distinct from 'running' then
    return next;
    return;
  end if;
  wait_ms := extract(epoch from greatest(v_replay.next_at, pawl.now()) - pawl.now()) * 1000; -- next_at may be -infinity
  if wait_ms > 0 then
    return next;
    return;
  end if;
  perform pg_current_xact_id(); -- before the first seq
  v_gap := v_replay.rate_per / v_replay.rate_limit;
  v_limit := least(greatest(floor(1 / extract(epoch from v_gap) + 0.01), 1), 1000);
  select n.events, n.destinations, n.dead, n.taken, n.upto, n.upto_destination
    into v_events, v_destinations, v_dead, v_taken, v_upto, v_destination
    from pawl.next_of_replay(v_replay, p_scan, v_limit) n;
  if v_dead is not null then made := pawl.retry_as_replay(v_dead, v_replay.started_by, coalesce(v_replay.why, 'replay ' || p_id)); end if;
  if v_events is not null then
    made := made + pawl.make_replays(v_events, v_destinations);
    perform pawl.wake_v1();
  end if;
  if v_taken < v_limit and (v_upto is null or v_upto >= v_replay.last) then
    update pawl.replay r set state = 'done', ended_at = pawl.now(), cursor = r.last, cursor_destination = 2147483647
     where r.id = p_id;
    wait_ms := null;
  end if;
  update pawl.replay r
     set cursor = case when r.state = 'running' then v_upto else r.cursor end,
         cursor_destination = case when r.state = 'running' then v_destination else r.cursor_destination end,
         made = r.made + replay_step_v1.made, left_alone = r.left_alone + v_taken - replay_step_v1.made,
         next_at = pawl.now() + replay_step_v1.made * v_gap
   where r.id = p_id;
  if wait_ms is not null then wait_ms := extract(epoch from made * v_gap) * 1000; end if;
  return next;
end $$;
