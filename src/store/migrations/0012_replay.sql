-- Replays: events that were delivered before are delivered again, marked, at a rate of their own. A replay is a row here
-- and a task of Pawl's own queue that works it off; its cursor moves in the transaction that makes the deliveries.

-- For replays of a time range: small, and nearly free to keep, as numbers and times rise together.
create index event_by_time on pawl.event using brin (occurred_at) with (pages_per_range = 32);

-- What is replayed: events up to last (of dead letters: deliveries up to it), so that what comes later is not.
-- destinations null: each that an event was delivered to; routed: those that routes name now; dead: dead letters only.
-- cursor, cursor_destination: done up to here, an event's number (of dead letters: an id) and within it a destination.
-- next_at: when the rate lets more through. left_alone: deliveries that had not ended, and arrive anyway.
create table pawl.replay (
  id int generated always as identity primary key,
  event_id uuid,
  like_pattern text,
  from_at timestamptz,
  to_at timestamptz,
  destinations int[],
  routed boolean not null,
  dead boolean not null,
  first bigint not null,
  last bigint not null,
  cursor bigint not null,
  cursor_destination int not null default 2147483647,
  rate_limit int not null check (rate_limit > 0),
  rate_per interval not null check (rate_per > '0'),
  next_at timestamptz not null default '-infinity',
  made bigint not null default 0,
  left_alone bigint not null default 0,
  state text not null default 'running' check (state in ('running', 'done', 'stopped')),
  task_id bigint,
  started_by text not null,
  why text,
  started_at timestamptz not null default pawl.now(),
  ended_at timestamptz
);

-- Pairs of events and destinations that a replay is about, by the events' numbers; numbers beyond p_after, up to p_upto.
create function pawl.replay_pairs(p_what pawl.replay, p_after bigint, p_upto bigint) returns table (number bigint,
  event_id uuid, destination_id int)
language sql stable as $$
  with seen as materialized (
    select e.number, e.id, e.name, e.aggregate_type, e.aggregate_id, e.target_id from pawl.event e
     where e.number > p_after and e.number <= p_upto and e.routed_at is not null
       and ((p_what).event_id is null or e.id = (p_what).event_id)
       and ((p_what).like_pattern is null or e.name like (p_what).like_pattern)
       and ((p_what).from_at is null or e.occurred_at >= (p_what).from_at)
       and ((p_what).to_at is null or e.occurred_at < (p_what).to_at)
  ), routes as materialized (
    select * from pawl.routes_for(array(select distinct s.name from seen s where (p_what).routed and s.target_id is null))
  ), aimed as (
    select s.number, s.id, v.destination_id from seen s join pawl.delivery v on v.event_id = s.id
     where not (p_what).routed
    union
    select s.number, s.id, r.destination_id from seen s join routes r on r.name = s.name
     where (p_what).routed and (r.filter is null and r.path is null or pawl.passes(r.filter, r.path, (
       select jsonb_build_object('name', e.name, 'aggregateType', e.aggregate_type, 'aggregateId', e.aggregate_id,
         'payload', e.payload, 'meta', e.meta) from pawl.event e where e.id = s.id)))
    union
    select s.number, s.id, s.target_id from seen s where (p_what).routed and s.target_id is not null
  )
  select a.number, a.id, a.destination_id from aimed a join pawl.destination d on d.id = a.destination_id
   where d.removed_at is null and not pawl.is_dropping(d.name)
     and ((p_what).destinations is null or a.destination_id = any ((p_what).destinations))
$$;

-- Dead letters of deliveries that a replay is about; ids beyond p_after, up to p_upto.
create function pawl.replay_dead(p_what pawl.replay, p_after bigint, p_upto bigint) returns table (id bigint,
  event_id uuid, destination_id int)
language sql stable as $$
  select x.id, v.event_id, v.destination_id
    from pawl.dead x
    join pawl.delivery v on v.task_id = x.id
    join pawl.event e on e.id = v.event_id
    join pawl.destination d on d.id = v.destination_id
   where x.id > p_after and x.id <= p_upto
     and ((p_what).event_id is null or e.id = (p_what).event_id)
     and ((p_what).like_pattern is null or e.name like (p_what).like_pattern)
     and ((p_what).from_at is null or e.occurred_at >= (p_what).from_at)
     and ((p_what).to_at is null or e.occurred_at < (p_what).to_at)
     and d.removed_at is null and not pawl.is_dropping(d.name)
     and ((p_what).destinations is null or v.destination_id = any ((p_what).destinations))
$$;

-- What p_replay asks for, as a row that is not stored; its bounds are those of the moment.
-- {"event", "like_pattern", "from", "to", "destinations": [names], "routed", "dead", "limit", "per_ms"}
create function pawl.replay_of(p_replay jsonb) returns pawl.replay
language plpgsql stable as $$
declare
  v_what pawl.replay;
  v_unknown text;
begin
  v_what.event_id := (p_replay ->> 'event')::uuid;
  v_what.like_pattern := p_replay ->> 'like_pattern';
  v_what.from_at := (p_replay ->> 'from')::timestamptz;
  v_what.to_at := (p_replay ->> 'to')::timestamptz;
  v_what.routed := coalesce((p_replay ->> 'routed')::boolean, false);
  v_what.dead := coalesce((p_replay ->> 'dead')::boolean, false);
  v_what.rate_limit := (p_replay ->> 'limit')::int;
  v_what.rate_per := (p_replay ->> 'per_ms')::bigint * interval '1 ms';
  if jsonb_typeof(p_replay -> 'destinations') = 'array' then
    select n.name into v_unknown from jsonb_array_elements_text(p_replay -> 'destinations') n (name)
     where not exists (select 1 from pawl.destination d where d.name = n.name and d.removed_at is null) limit 1;
    if found then
      raise exception 'no destination "%"', v_unknown using errcode = 'PW018',
        hint = coalesce('known: ' || (select string_agg(d.name, ', ' order by d.name) from pawl.destination d
          where d.removed_at is null), 'there is none yet');
    end if;
    select array_agg(d.id) into v_what.destinations from pawl.destination d
     where d.removed_at is null and d.name in (select jsonb_array_elements_text(p_replay -> 'destinations'));
  end if;
  if v_what.dead then
    select coalesce(min(x.id), 1), coalesce(max(x.id), 0) into v_what.first, v_what.last from pawl.dead x;
  elsif v_what.event_id is not null then
    select e.number, e.number into v_what.first, v_what.last from pawl.event e where e.id = v_what.event_id;
  elsif v_what.from_at is not null or v_what.to_at is not null then
    -- not the plain column: the index of numbers would be walked from its beginning
    select min(e.number + 0), max(e.number + 0) into v_what.first, v_what.last from pawl.event e
     where e.occurred_at >= coalesce(v_what.from_at, '-infinity') and e.occurred_at < coalesce(v_what.to_at, 'infinity');
  else
    select min(e.number), max(e.number) into v_what.first, v_what.last from pawl.event e;
  end if;
  v_what.first := coalesce(v_what.first, 1);
  v_what.last := coalesce(v_what.last, 0);
  v_what.cursor := v_what.first - 1;
  return v_what;
end $$;

-- The delivery of a pair that counts: the latest. is_live: one of the pair's has not ended.
create function pawl.latest_delivery(p_event uuid, p_destination int) returns table (replay int, dead_id bigint, is_live boolean)
language sql stable as $$
  select max(v.replay), (array_agg(x.id order by v.replay desc))[1], coalesce(bool_or(t.id is not null), false)
    from pawl.delivery v
    left join pawl.dead x on x.id = v.task_id
    left join pawl.task t on t.id = v.task_id and t.state <> 'blocked'
   where v.event_id = p_event and v.destination_id = p_destination
$$;

-- What a replay would do, for each destination: new deliveries, dead letters sent back, and deliveries left alone.
create function pawl.plan_replay_v1(p_replay jsonb) returns table (destination text, made bigint, retried bigint,
  left_alone bigint, first_at timestamptz, last_at timestamptz)
language plpgsql stable
set jit = off as $$
#variable_conflict use_column
declare
  v_what pawl.replay := pawl.replay_of(p_replay);
begin
  return query
  select d.name, count(*) filter (where not p.is_live and p.dead_id is null),
         count(*) filter (where not p.is_live and p.dead_id is not null), count(*) filter (where p.is_live),
         min(e.occurred_at), max(e.occurred_at)
    from (select a.event_id, a.destination_id, l.is_live, l.dead_id
            from pawl.replay_pairs(v_what, v_what.first - 1, v_what.last) a
            cross join lateral pawl.latest_delivery(a.event_id, a.destination_id) l
           where not v_what.dead
          union all
          select a.event_id, a.destination_id, false, a.id from pawl.replay_dead(v_what, v_what.first - 1, v_what.last) a
           where v_what.dead) p
    join pawl.destination d on d.id = p.destination_id
    join pawl.event e on e.id = p.event_id
   group by d.name order by d.name;
end $$;

-- Starts one: its row, and the task that works it off. The queue of Pawl's own tasks is made when it is first needed.
create function pawl.start_replay_v1(p_replay jsonb, p_by text, p_why text) returns int
language plpgsql volatile as $$
declare
  v_what pawl.replay := pawl.replay_of(p_replay);
  v_id int;
  v_queue int;
  v_stream int;
  v_task bigint;
begin
  perform pg_advisory_xact_lock(hashtextextended('pawl.register', 0));
  insert into pawl.queue (name, application) values ('pawl', '') on conflict (name) do nothing;
  select q.id into v_queue from pawl.queue q where q.name = 'pawl';
  insert into pawl.stream (queue_id, kind, application, defined_at) values (v_queue, 'pawl:replay', '', pawl.now())
  on conflict (kind, queue_id, version) do nothing;
  select st.id into v_stream from pawl.stream st
   where st.queue_id = v_queue and st.kind = 'pawl:replay' and st.version = 1;
  perform pawl.make_shards(v_stream);
  insert into pawl.replay (event_id, like_pattern, from_at, to_at, destinations, routed, dead, first, last, cursor,
    rate_limit, rate_per, started_by, why)
  values (v_what.event_id, v_what.like_pattern, v_what.from_at, v_what.to_at, v_what.destinations, v_what.routed, v_what.dead,
    v_what.first, v_what.last, v_what.cursor, v_what.rate_limit, v_what.rate_per,
    coalesce(nullif(p_by, ''), current_user), nullif(p_why, ''))
  returning id into v_id;
  select q.id into v_task from pawl.enqueue(jsonb_build_array(jsonb_build_object('kind', 'pawl:replay', 'queue', 'pawl',
    'payload', jsonb_build_object('replay', v_id), 'ref', 'replay ' || v_id))) q;
  update pawl.replay r set task_id = v_task where r.id = v_id;
  perform pawl.audit_v1(p_by, 'replay', 'replay:' || v_id, p_why, jsonb_strip_nulls(p_replay));
  perform pg_notify('pawl.wake', ''); -- a stream may be new
  return v_id;
end $$;

-- New deliveries of these pairs, in the order given, behind what comes fresh. In a lane they arrive, their ids in the
-- order of the events; the sorter gives them their places.
create function pawl.make_replays(p_events uuid[], p_destinations int[]) returns int
language plpgsql volatile
set jit = off as $$
declare
  v_count int;
begin
  perform pg_current_xact_id(); -- before the first seq
  with pair as materialized (
    select u.place, u.event_id, u.destination_id, d.stream_id, d.queue_id,
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
    insert into pawl.task (id, shard_id, queue_id, seq, state, run_at, created_at, payload, ref, lane)
    select n.task_id, n.shards[1 + n.seq % cardinality(n.shards)], n.queue_id, n.seq,
           case when n.lane is null then 'ready' else 'arrived' end, pawl.now(), pawl.now(),
           jsonb_build_object('event', n.event_id, 'replay', n.replay), 'event ' || n.event_id, n.lane
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
create function pawl.retry_as_replay(p_ids bigint[], p_by text, p_why text) returns int
language plpgsql volatile as $$
declare
  v_count int;
begin
  with mine as materialized (
    select x.id from pawl.dead x where x.id = any (p_ids) order by x.id for update
  ), marked as (
    -- a pair may have died more than once
    update pawl.delivery v set replay = n.replay from (
      select m.id, l.replay + row_number() over (partition by o.event_id, o.destination_id order by m.id) as replay
        from mine m join pawl.delivery o on o.task_id = m.id
        cross join lateral pawl.latest_delivery(o.event_id, o.destination_id) l) n
     where v.task_id = n.id returning v.task_id, v.replay
  )
  update pawl.dead x set payload = x.payload || jsonb_build_object('replay', m.replay) from marked m where x.id = m.task_id;
  select count(*) into v_count from pawl.retry_dead_v1(p_ids, p_by, p_why) r where r.outcome = 'retried';
  return v_count;
end $$;

-- The next of a replay: at most a second's worth of its rate, at most 1,000, having looked at p_scan events. Made and
-- remembered in one transaction, so that whoever calls next goes on behind it. wait_ms: not before; null: nothing is left.
-- One step at a time, of all replays: each gives a pair its next number.
create function pawl.replay_step_v1(p_id int, p_scan int) returns table (made int, wait_ms float8)
language plpgsql volatile
set enable_seqscan = off set enable_bitmapscan = off set jit = off set plan_cache_mode = force_generic_plan as $$
#variable_conflict use_column
declare
  v_replay pawl.replay;
  v_gap interval;
  v_limit int;
  v_upto bigint;
  v_destination int := 2147483647;
  v_events uuid[];
  v_destinations int[];
  v_dead bigint[];
  v_found int;
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
  if v_replay.dead then
    select max(s.id) into v_upto from (
      select x.id from pawl.dead x where x.id > v_replay.cursor and x.id <= v_replay.last order by x.id limit p_scan) s;
    select array_agg(p.id), max(p.id), count(*) into v_dead, v_found, v_taken from (
      select a.id from pawl.replay_dead(v_replay, v_replay.cursor, v_upto) a order by a.id limit v_limit) p;
    if v_taken = v_limit then v_upto := v_found; end if;
  else
    select max(s.number) into v_upto from (
      select e.number from pawl.event e
       where e.number >= v_replay.cursor + (v_replay.cursor_destination = 2147483647)::int and e.number <= v_replay.last
       order by e.number limit p_scan) s;
    with pair as materialized (
      select a.number, a.event_id, a.destination_id from pawl.replay_pairs(v_replay, v_replay.cursor - 1, v_upto) a
       where (a.number, a.destination_id) > (v_replay.cursor, v_replay.cursor_destination)
       order by a.number, a.destination_id limit v_limit
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
           case when count(*) = v_limit then (select f.number from final f) else v_upto end,
           case when count(*) = v_limit then (select f.destination_id from final f) else 2147483647 end
      into v_events, v_destinations, v_dead, v_taken, v_upto, v_destination
      from judged j;
  end if;
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

-- Stops one: what it has made goes on. Answers whether it was running; null when there is none.
create function pawl.stop_replay_v1(p_id int, p_by text, p_why text) returns boolean
language plpgsql volatile as $$
declare
  v_replay pawl.replay;
begin
  select r.* into v_replay from pawl.replay r where r.id = p_id for update;
  if not found then return null; end if;
  if v_replay.state <> 'running' then return false; end if;
  update pawl.replay r set state = 'stopped', ended_at = pawl.now() where r.id = p_id;
  perform pawl.audit_v1(p_by, 'stop', 'replay:' || p_id, p_why, jsonb_build_object('made', v_replay.made));
  return true;
end $$;

-- The latest first. share: of the numbers that it has to look through. task: the state of the task that works it off.
create function pawl.replays_v1(p_id int, p_limit int) returns table (id int, state text, event_id uuid, like_pattern text,
  from_at timestamptz, to_at timestamptz, destinations text[], routed boolean, dead boolean, rate_limit int,
  rate_per_ms float8, made bigint, left_alone bigint, share float8, task_id bigint, task text, started_by text, why text,
  started_at timestamptz, ended_at timestamptz)
language sql stable as $$
  select r.id, r.state, r.event_id, r.like_pattern, r.from_at, r.to_at,
         (select array_agg(d.name order by d.name) from pawl.destination d where d.id = any (r.destinations)),
         r.routed, r.dead, r.rate_limit, extract(epoch from r.rate_per)::float8 * 1000, r.made, r.left_alone,
         case when r.last < r.first then 1 else (r.cursor - r.first + 1)::float8 / (r.last - r.first + 1) end,
         r.task_id, t.state, r.started_by, r.why, r.started_at, r.ended_at
    from (select * from pawl.replay r where p_id is null or r.id = p_id order by r.id desc limit p_limit) r
    left join lateral pawl.find_task_v1(r.task_id) t on true
   order by r.id desc
$$;

-- Removes, with their deliveries, events that were routed more than p_before ago, of the p_limit that follow p_after in
-- number. What a live delivery or a dead letter is about stays, and so does what a running replay has still to look at.
-- looked_to: where to go on; null at the end.
create function pawl.prune_events_v1(p_before interval, p_after bigint, p_limit int, p_is_dry boolean)
returns table (looked_to bigint, events int, deliveries int)
language plpgsql volatile
set enable_seqscan = off set enable_bitmapscan = off set jit = off as $$
declare
  v_numbers bigint[];
  v_ids uuid[];
begin
  perform pawl.require_read_committed();
  perform pg_advisory_xact_lock(hashtextextended('pawl.replay', 0)); -- none makes deliveries meanwhile
  v_numbers := array(select e.number from pawl.event e where e.number > p_after order by e.number limit p_limit);
  if cardinality(v_numbers) = p_limit then looked_to := v_numbers[p_limit]; end if;
  v_ids := array(
    select e.id from pawl.event e
     where e.number = any (v_numbers) and e.routed_at < pawl.now() - p_before
       and not exists (select 1 from pawl.replay r where r.state = 'running' and not r.dead and e.number between r.cursor and r.last)
       and not exists (
         select 1 from pawl.delivery v where v.event_id = e.id
            and (exists (select 1 from pawl.task t where t.id = v.task_id) or exists (select 1 from pawl.dead d where d.id = v.task_id))));
  if not p_is_dry then
    -- one that is being routed again is left, and seen as it is by then
    v_ids := array(select e.id from pawl.event e where e.id = any (v_ids) and e.routed_at < pawl.now() - p_before
      order by e.id for update skip locked);
  end if;
  events := cardinality(v_ids);
  select count(*) into deliveries from pawl.delivery v where v.event_id = any (v_ids);
  if not p_is_dry then
    delete from pawl.delivery v where v.event_id = any (v_ids);
    delete from pawl.event e where e.id = any (v_ids);
  end if;
  return next;
end $$;
