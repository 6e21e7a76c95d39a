-- Replays: events that were delivered before are delivered again, marked, at a rate of their own. A replay is a row
-- and a task of Pawl's own queue that works it off; its cursor moves in the transaction that makes the deliveries.

-- Pairs of events and destinations that a replay is about, by the events' numbers; numbers beyond p_after, up to p_upto.
create or replace function pawl.replay_pairs(p_what pawl.replay, p_after bigint, p_upto bigint) returns table (number bigint,
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
create or replace function pawl.replay_dead(p_what pawl.replay, p_after bigint, p_upto bigint) returns table (id bigint,
  event_id uuid, destination_id int)
language sql stable as $$
  select x.id, v.event_id, v.destination_id
    from pawl.dead_ids(p_after, p_upto, null) x (id)
    join pawl.delivery v on v.task_id = x.id
    join pawl.event e on e.id = v.event_id
    join pawl.destination d on d.id = v.destination_id
   where ((p_what).event_id is null or e.id = (p_what).event_id)
     and ((p_what).like_pattern is null or e.name like (p_what).like_pattern)
     and ((p_what).from_at is null or e.occurred_at >= (p_what).from_at)
     and ((p_what).to_at is null or e.occurred_at < (p_what).to_at)
     and d.removed_at is null and not pawl.is_dropping(d.name)
     and ((p_what).destinations is null or v.destination_id = any ((p_what).destinations))
$$;

-- What p_replay asks for, as a row that is not stored; its bounds are those of the moment.
-- {"event", "like_pattern", "from", "to", "destinations": [names], "routed", "dead", "limit", "per_ms"}
create or replace function pawl.replay_of(p_replay jsonb) returns pawl.replay
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
    select s.first, s.last into v_what.first, v_what.last from pawl.dead_span() s;
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
create or replace function pawl.latest_delivery(p_event uuid, p_destination int) returns table (replay int, dead_id bigint, is_live boolean)
language sql stable as $$
  select max(v.replay), (array_agg(x.id order by v.replay desc))[1], coalesce(bool_or(t.id is not null), false)
    from pawl.delivery v
    left join pawl.dead x on x.id = v.task_id
    left join pawl.task t on t.id = v.task_id and t.state <> 'blocked'
   where v.event_id = p_event and v.destination_id = p_destination
$$;

-- What a replay would do, for each destination: new deliveries, dead letters sent back, and deliveries left alone.
create or replace function pawl.plan_replay_v1(p_replay jsonb) returns table (destination text, made bigint, retried bigint,
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
create or replace function pawl.start_replay_v1(p_replay jsonb, p_by text, p_why text) returns int
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
    coalesce(nullif(p_by, ''), session_user), nullif(p_why, ''))
  returning id into v_id;
  select q.id into v_task from pawl.put_tasks(jsonb_build_array(jsonb_build_object('kind', 'pawl:replay', 'queue', 'pawl',
    'payload', jsonb_build_object('replay', v_id), 'ref', 'replay ' || v_id)), true) q;
  update pawl.replay r set task_id = v_task where r.id = v_id;
  perform pawl.audit_v1(p_by, 'deliveries.replay', 'replay:' || v_id, p_why, jsonb_strip_nulls(p_replay));
  perform pg_notify('pawl.wake', ''); -- a stream may be new
  return v_id;
end $$;

-- Stops one: what it has made goes on. Answers whether it was running; null when there is none.
create or replace function pawl.stop_replay_v1(p_id int, p_by text, p_why text) returns boolean
language plpgsql volatile as $$
declare
  v_replay pawl.replay;
begin
  select r.* into v_replay from pawl.replay r where r.id = p_id for update;
  if not found then return null; end if;
  if v_replay.state <> 'running' then return false; end if;
  update pawl.replay r set state = 'stopped', ended_at = pawl.now() where r.id = p_id;
  perform pawl.audit_v1(p_by, 'deliveries.replays.stop', 'replay:' || p_id, p_why, jsonb_build_object('made', v_replay.made));
  return true;
end $$;

-- The latest first. share: of the numbers that it has to look through. task: the state of the task that works it off.
create or replace function pawl.replays_v1(p_id int, p_limit int) returns table (id int, state text, event_id uuid, like_pattern text,
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
