-- The counts that people see.

-- Estimates how many of the rows of p_from meet p_condition, if there are too many to count: counts them in 400 windows of the
-- indexed whole-number column p_column, one at a random place in each 400th part of [p_low, p_high]. p_from ends in a condition that an
-- index on p_column serves (offset 0 keeps that a probe for each window). Usually within 5 %. If all are in few of the parts, they are counted exactly.
create or replace function pawl.sampled_count(p_from text, p_column text, p_condition text, p_low bigint, p_high bigint) returns bigint
language plpgsql volatile as $$
declare
  c_windows constant int := 400;
  c_rows constant int := 20000; -- looked at, about
  v_query text := format(
    'with place as materialized (select $1 + k * $2 + random() * ($2 - $3) as at from generate_series(0, $4 - 1) k)
     select count(*), count(*) filter (where %s) from place p cross join lateral (
       select * from %s and %s >= ceil(p.at)::bigint and %s < ceil(p.at + $3)::bigint offset 0) r', p_condition, p_from, p_column, p_column);
  v_part float8 := (p_high - p_low + 1)::float8 / c_windows;
  v_width float8 := v_part / 100;
  v_seen bigint;
  v_found bigint;
begin
  for i in 1 .. 3 loop -- each finds out how wide the windows of the next have to be
    execute v_query into v_seen, v_found using p_low::float8, v_part, v_width, c_windows;
    exit when v_seen >= c_rows / 2;
    v_width := v_width * least(c_rows / greatest(v_seen, 1)::float8, 50);
    if v_width >= v_part then
      execute v_query into v_seen, v_found using p_low::float8, v_part, v_part, c_windows;
      return v_found;
    end if;
  end loop;
  return round(v_found * v_part / v_width);
end $$;

-- Estimates how many tasks of a shard are ready or scheduled, if there are more than 10,000.
create or replace function pawl.sampled_tasks(p_shard int, p_state text) returns bigint
language plpgsql volatile
set enable_seqscan = off set enable_bitmapscan = off set jit = off as $$
declare
  v_from text := format('pawl.task r where r.shard_id = %s and r.state = %L', p_shard, p_state);
  v_low bigint;
  v_high bigint;
begin
  execute format('select (select r.seq from %1$s order by r.seq limit 1), (select r.seq from %1$s order by r.seq desc limit 1)', v_from)
    into v_low, v_high;
  return greatest(10001, pawl.sampled_count(v_from, 'r.seq', 'true', v_low, v_high));
end $$;

-- The same for a queue's tasks that wait in lanes or for their limit keys, if there are more than 20,000. Their index is by lane: they are looked for
-- among all tasks.
create or replace function pawl.sampled_waiting(p_queue int) returns bigint
language sql volatile
set enable_seqscan = off set enable_bitmapscan = off set jit = off as $$
  select greatest(20001, pawl.sampled_count('pawl.task r where true', 'r.id',
    format('r.queue_id = %s and r.state in (''waiting'', ''arrived'', ''limited'')', p_queue),
    (select min(t.id) from pawl.task t), (select max(t.id) from pawl.task t)))
$$;

-- The same for a stream's dead letters, if there are more than 10,000.
create or replace function pawl.sampled_dead(p_stream int) returns bigint
language sql volatile
set enable_seqscan = off set enable_bitmapscan = off set jit = off as $$
  select greatest(10001, pawl.sampled_count('pawl.dead r where true', 'r.id', format('r.stream_id = %s', p_stream),
    (select min(d.id) from pawl.dead d), (select max(d.id) from pawl.dead d)))
$$;

-- The shards (or queues) that have tasks in a state: one probe of the state's index for each, however many tasks and empty queues there are.
create or replace function pawl.with_tasks(p_column text, p_state text) returns setof int
language plpgsql stable
set enable_seqscan = off set enable_bitmapscan = off set jit = off as $$
begin
  return query execute format(
    'with recursive one as (
       (select r.%1$I as at from pawl.task r where r.state = %2$L order by r.%1$I limit 1)
       union all
       select (select r.%1$I from pawl.task r where r.state = %2$L and r.%1$I > o.at order by r.%1$I limit 1) from one o where o.at is not null)
     select o.at from one o where o.at is not null', p_column, p_state);
end $$;

-- How many tasks of each shard run: named in a claim, and not settled yet.
create or replace function pawl.running_by_shard() returns table (shard_id int, queue_id int, tasks bigint)
language sql stable
set enable_seqscan = off set enable_bitmapscan = off set enable_hashjoin = off set enable_mergejoin = off set jit = off as $$
  select c.shard_id, c.queue_id, count(*) from pawl.claimed_task c group by c.shard_id, c.queue_id
$$;

-- One row per queue: the only source of every count that people see. estimates: which of the counts are estimates.
create or replace function pawl.stats_v1() returns table (queue text, ready bigint, scheduled bigint, waiting bigint, blocked bigint,
  running bigint, dead bigint, is_estimate boolean, oldest_ready_ms bigint, done_per_minute numeric, retried_per_minute numeric, dead_per_minute numeric,
  estimates text[])
language sql volatile
set enable_seqscan = off set enable_bitmapscan = off set jit = off as $$
  with running as materialized (
    select * from pawl.running_by_shard()
  ), ready as materialized (
    select h.queue_id, bool_or(n.tasks > 10000) as is_estimate, min(o.run_at) as oldest, sum(coalesce(r.tasks, 0)) as running,
           sum(greatest(case when n.tasks > 10000 then pawl.sampled_tasks(h.id, 'ready') else n.tasks end - coalesce(r.tasks, 0), 0)) as tasks
      from pawl.with_tasks('shard_id', 'ready') s (id)
      join pawl.shard h on h.id = s.id
      cross join lateral (select count(*) as tasks from (
        select 1 from pawl.task t where t.shard_id = h.id and t.state = 'ready' limit 10001) c) n
      left join running r on r.shard_id = h.id
      left join lateral (select t.run_at from pawl.task t
         where t.shard_id = h.id and t.state = 'ready' and t.seq > h.cursor order by t.seq limit 1) o on true
     group by h.queue_id
  ), scheduled as materialized (
    select h.queue_id, bool_or(n.tasks > 10000) as is_estimate,
           sum(case when n.tasks > 10000 then pawl.sampled_tasks(h.id, 'scheduled') else n.tasks end) as tasks
      from pawl.with_tasks('shard_id', 'scheduled') s (id)
      join pawl.shard h on h.id = s.id
      cross join lateral (select count(*) as tasks from (
        select 1 from pawl.task t where t.shard_id = h.id and t.state = 'scheduled' limit 10001) c) n
     group by h.queue_id
  ), waiting as materialized (
    select s.id as queue_id, n.tasks > 20000 as is_estimate, case when n.tasks > 20000 then pawl.sampled_waiting(s.id) else n.tasks end as tasks
      from (select w.id from pawl.with_tasks('queue_id', 'waiting') w (id) union select a.id from pawl.with_tasks('queue_id', 'arrived') a (id)
            union select l.id from pawl.with_tasks('queue_id', 'limited') l (id)) s
      cross join lateral (select count(*) as tasks from (
        (select 1 from pawl.task t where t.queue_id = s.id and t.state = 'waiting' limit 20001)
        union all (select 1 from pawl.task t where t.queue_id = s.id and t.state = 'arrived' limit 20001)
        union all (select 1 from pawl.task t where t.queue_id = s.id and t.state = 'limited' limit 20001)) c) n
  ), blocked as materialized (
    select s.id as queue_id, (select count(*) from (
             select 1 from pawl.task t where t.queue_id = s.id and t.state = 'blocked' limit 20001) c) as tasks
      from pawl.with_tasks('queue_id', 'blocked') s (id)
  ), buried as materialized (
    select st.queue_id, bool_or(n.tasks > 10000) as is_estimate,
           sum(case when n.tasks > 10000 then pawl.sampled_dead(st.id) else n.tasks end) as tasks
      from pawl.stream st
      cross join lateral (select count(*) as tasks from (
        select 1 from pawl.dead d where d.stream_id = st.id limit 10001) c) n
     where n.tasks > 0
     group by st.queue_id
  ), rate as materialized (
    -- the last whole minutes and the current one, over the time they cover
    select st.queue_id, sum(y.done) as done, sum(y.retried) as retried, sum(y.dead) as dead,
           greatest(extract(epoch from pawl.now() - min(y.minute)) / 60, 1) as minutes
      from pawl.tally y join pawl.stream st on st.id = y.stream_id
     where y.minute > pawl.now() - interval '5 minutes'
     group by st.queue_id
  ), counted as (
    select q.id, q.name, r.tasks as ready, s.tasks as scheduled, w.tasks as waiting, b.tasks as blocked, r.running, d.tasks as dead,
           r.oldest, array_remove(array[case when r.is_estimate then 'ready' end, case when s.is_estimate then 'scheduled' end,
             case when w.is_estimate then 'waiting' end, case when b.tasks > 20000 then 'blocked' end,
             case when d.is_estimate then 'dead' end], null) as estimates
      from pawl.queue q
      left join ready r on r.queue_id = q.id
      left join scheduled s on s.queue_id = q.id
      left join waiting w on w.queue_id = q.id
      left join blocked b on b.queue_id = q.id
      left join buried d on d.queue_id = q.id
  )
  select c.name, coalesce(c.ready, 0)::bigint, coalesce(c.scheduled, 0)::bigint, coalesce(c.waiting, 0), coalesce(c.blocked, 0),
         coalesce(c.running, 0)::bigint, coalesce(c.dead, 0)::bigint, cardinality(c.estimates) > 0,
         case when c.oldest is not null then greatest(extract(epoch from pawl.now() - c.oldest) * 1000, 0)::bigint end,
         round(coalesce(r.done / r.minutes, 0), 1), round(coalesce(r.retried / r.minutes, 0), 1),
         round(coalesce(r.dead / r.minutes, 0), 1), c.estimates
    from counted c left join rate r on r.queue_id = c.id
   order by c.id
$$;
