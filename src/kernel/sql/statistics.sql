-- The counts that people see.

-- Estimates how many rows there are, where there are too many to count. p_from ends in a condition that, with one on the whole-number
-- column p_column, which has no value twice, an index serves; of each value p.part of p_parts, if it names that. Counts those that meet p_condition in about 96 windows of that column.
-- What lies between its first and its last value is halved, and each half again taken from its first to its last row, as long as one may have more
-- than a 20th of all, if it is as dense everywhere as at its denser end; a 400th, if it comes from where a void was found. So no void between
-- bursts is a part of anything, and where rows are dense the halves are short. Each is cut into pieces, with a window in each: at
-- another place of each piece, but at the same one each time, so that the pages read last time are still in memory. Usually within 5 %.
create or replace function pawl.estimated_count(p_from text, p_column text, p_condition text, p_parts int[] default '{0}') returns bigint
language plpgsql stable as $$
declare
  c_windows constant float8 := 96;
  c_found constant float8 := 4000; -- rows that meet the condition
  c_seen constant float8 := 40000; -- no more are looked at in one go
  v_parts int[]; -- of each piece
  v_lows float8[];
  v_lengths float8[];
  v_share float8; -- of each piece that its window covers
  v_seen bigint;
  v_found bigint;
  v_was_too_much boolean := false;
begin
  -- rows: that a half may have; null until its ends are known
  execute format('
    with recursive p (part, low, high, rows, uneven, level, is_last, of_all) as (
      select p.part, p.low, p.high, null::float8, 2, 0, false, null::float8
        from (select p.part, (select %2$s from %1$s order by %2$s limit 1) as low, (select %2$s from %1$s order by %2$s desc limit 1) as high
                from unnest($1) p (part)) p
       where p.low is not null
      union all
      select p.part, h.low, h.high, case when not p.is_large then p.rows end,
             -- at first, and where one was found: whether the middle is a void in which more than 50 rows could be. Looked at twice
             case when not p.is_large then p.uneven when (e.after - e.before) * p.rows > 50 * (p.high - p.low + 1) then 2 else greatest(p.uneven - 1, 0) end, p.level + 1, p.is_last, p.of_all
        from (select p.*, not bool_or(p.is_large) over () or p.level > 60 as is_last
                from (select p.*, p.high > p.low and p.rows * case when p.uneven > 0 then 400 else 20 end > p.of_all as is_large
                        from (select p.part, p.low, p.high, c.rows, p.uneven, p.level, sum(c.rows) over () as of_all
                                from p
                                cross join lateral (select coalesce(p.rows, (p.high - p.low + 1) * 8 / least(
                                  (select %2$s from %1$s and %2$s >= p.low and %2$s <= p.high order by %2$s offset 8 limit 1) - p.low,
                                  p.high - (select %2$s from %1$s and %2$s >= p.low and %2$s <= p.high order by %2$s desc offset 8 limit 1))::float8, 8)
                                  as rows offset 0) c
                               where not p.is_last) p) p) p
        cross join lateral (select p.low + (p.high - p.low + 1) / 2 as middle offset 0) m
        cross join lateral (select
          case when p.is_large then (select %2$s from %1$s and %2$s >= p.low and %2$s < m.middle order by %2$s desc limit 1) end as before,
          case when p.is_large then (select %2$s from %1$s and %2$s >= m.middle and %2$s <= p.high order by %2$s limit 1) end as after offset 0) e
        cross join lateral (select p.low, coalesce(e.before, p.high) as high union all select e.after, p.high where p.is_large) h),
    half as (
      select p.part, p.low, p.high - p.low + 1 as length, ceil(p.rows * $2 / p.of_all)::int as pieces, p.of_all from p where p.is_last)
    select array_agg(i.part order by i.low), array_agg(i.low order by i.low), array_agg(i.length order by i.low), least(1, $3 / max(i.of_all))
      from (select h.part, h.low + n * h.length / h.pieces::float8 as low, h.length / h.pieces::float8 as length, h.of_all
              from half h cross join lateral generate_series(0, h.pieces - 1) n) i', p_from, p_column)
    into v_parts, v_lows, v_lengths, v_share using p_parts, c_windows, c_found;
  loop -- until a share is found that shows enough. A window that reaches beyond its piece goes on at its begin: all places are covered as often
    execute format('
      with p as materialized (
        select p.part, p.low as first, p.low + p.length as after, p.length * $4 as wide, p.low + (p.no * c.golden - floor(p.no * c.golden)) * p.length as at
          from unnest($1, $2, $3) with ordinality p (part, low, length, no) cross join (values (0.6180339887498949::float8)) c (golden))
      select count(*), count(*) filter (where c.is_found) from (
        select r.is_found
          from (select p.part, p.at, least(p.at + p.wide, p.after) as until from p
                union all select p.part, p.first, p.first + p.at + p.wide - p.after from p where p.at + p.wide > p.after) p
          cross join lateral (select %s as is_found from %s and %s >= ceil(p.at)::bigint and %3$s < ceil(p.until)::bigint offset 0) r
         limit $5 + 1) c', p_condition, p_from, p_column)
      into v_seen, v_found using v_parts, v_lows, v_lengths, v_share, c_seen;
    if v_seen > c_seen then
      v_was_too_much := true;
      v_share := v_share / 20;
      continue;
    end if;
    exit when v_found >= c_found / 2 or v_seen >= c_seen / 2 or v_share >= 1 or v_was_too_much;
    v_share := least(1, v_share * least(c_found / greatest(v_found, 1), c_seen / greatest(v_seen, 1), 50));
  end loop;
  return round(v_found / v_share);
end $$;

-- How many tasks of these shards are ready or scheduled: counted up to 10,000, else estimated (always more than that).
create or replace function pawl.tasks_of_shards(p_shards int[], p_state text) returns bigint
language plpgsql stable
set enable_seqscan = off set enable_bitmapscan = off set enable_hashjoin = off set enable_mergejoin = off set jit = off as $$
declare
  v_tasks bigint;
begin
  if p_state = 'ready' then -- each state has an index of its own, so a plan that is kept has to name it
    select count(*) into v_tasks from (
      select from unnest(p_shards) s (id) cross join lateral (
        select from pawl.task t where t.shard_id = s.id and t.state = 'ready' limit 10001) t limit 10001) c;
  else
    select count(*) into v_tasks from (
      select from unnest(p_shards) s (id) cross join lateral (
        select from pawl.task t where t.shard_id = s.id and t.state = 'scheduled' limit 10001) t limit 10001) c;
  end if;
  if v_tasks <= 10000 then return v_tasks; end if;
  return greatest(10001,
    pawl.estimated_count(format('pawl.task r where r.shard_id = p.part and r.state = %L', p_state), 'r.seq', 'true', p_shards));
end $$;

-- How many tasks of a queue wait in lanes or for their limit keys: counted up to 20,000, else estimated. Their index is by lane: they are looked for
-- among all tasks.
create or replace function pawl.waiting_of_queue(p_queue int) returns bigint
language plpgsql stable
set enable_seqscan = off set enable_bitmapscan = off set jit = off as $$
declare
  v_tasks bigint;
begin
  select count(*) into v_tasks from (
    (select from pawl.task t where t.queue_id = p_queue and t.state = 'waiting' limit 20001)
    union all (select from pawl.task t where t.queue_id = p_queue and t.state = 'arrived' limit 20001)
    union all (select from pawl.task t where t.queue_id = p_queue and t.state = 'limited' limit 20001) limit 20001) c;
  if v_tasks <= 20000 then return v_tasks; end if;
  return greatest(20001, pawl.estimated_count('pawl.task r where true', 'r.id',
    format('r.queue_id = %s and r.state in (''waiting'', ''arrived'', ''limited'')', p_queue)));
end $$;

-- How many dead letters these streams have: counted up to 10,000, else estimated.
create or replace function pawl.dead_of_streams(p_streams int[]) returns bigint
language plpgsql stable
set enable_seqscan = off set enable_bitmapscan = off set enable_hashjoin = off set enable_mergejoin = off set jit = off as $$
declare
  v_dead bigint;
begin
  select count(*) into v_dead from (
    select from unnest(p_streams) s (id) cross join lateral (
      select from pawl.dead d where d.stream_id = s.id limit 10001) d limit 10001) c;
  if v_dead <= 10000 then return v_dead; end if;
  return greatest(10001, pawl.estimated_count('pawl.dead r where true', 'r.id', format('r.stream_id = any (%L)', p_streams)));
end $$;

-- The values of a whole-number column of p_from, which ends in a condition: one probe of an index on them for each, however many rows have it.
create or replace function pawl.values_of(p_from text, p_column text) returns setof int
language plpgsql stable rows 20
set enable_seqscan = off set enable_bitmapscan = off set jit = off as $$
begin
  return query execute format(
    'with recursive one as (
       (select %2$s as at from %1$s order by %2$s limit 1)
       union all
       select (select %2$s from %1$s and %2$s > o.at order by %2$s limit 1) from one o where o.at is not null)
     select o.at from one o where o.at is not null', p_from, p_column);
end $$;

-- The shards (or queues) that have tasks in a state.
create or replace function pawl.with_tasks(p_column text, p_state text) returns setof int
language sql stable rows 20 as $$
  select v.* from pawl.values_of(format('pawl.task r where r.state = %L', p_state), format('r.%I', p_column)) v
$$;

-- How many tasks of each shard run: named in a claim, and not settled yet.
create or replace function pawl.running_by_shard() returns table (shard_id int, queue_id int, tasks bigint)
language sql stable rows 20
set enable_seqscan = off set enable_bitmapscan = off set enable_hashjoin = off set enable_mergejoin = off set jit = off as $$
  select c.shard_id, c.queue_id, count(*) from pawl.claimed_task c group by c.shard_id, c.queue_id
$$;

-- One row per queue: the only source of every count that people see. estimates: which of the counts are estimates.
create or replace function pawl.stats_v1() returns table (queue text, ready bigint, scheduled bigint, waiting bigint, blocked bigint,
  running bigint, dead bigint, is_estimate boolean, oldest_ready_ms bigint, done_per_minute numeric, retried_per_minute numeric, dead_per_minute numeric,
  estimates text[])
language plpgsql stable -- in plpgsql, else it is planned each time
set enable_seqscan = off set enable_bitmapscan = off set jit = off set plan_cache_mode = force_generic_plan as $$
#variable_conflict use_column
begin
  return query
  with running as materialized (
    select * from pawl.running_by_shard()
  ), ready as materialized (
    select n.queue_id, n.oldest, n.tasks > 10000 as is_estimate, n.running, greatest(n.tasks - n.running, 0) as tasks from (
      select h.queue_id, min(o.run_at) as oldest, sum(coalesce(r.tasks, 0)) as running,
             pawl.tasks_of_shards(array_agg(h.id), 'ready') as tasks
        from pawl.with_tasks('shard_id', 'ready') s (id)
        join pawl.shard h on h.id = s.id
        left join running r on r.shard_id = h.id
        left join lateral (select t.run_at from pawl.task t
           where t.shard_id = h.id and t.state = 'ready' and t.seq > h.cursor order by t.seq limit 1) o on true
       group by h.queue_id) n
  ), scheduled as materialized (
    select h.queue_id, pawl.tasks_of_shards(array_agg(h.id), 'scheduled') as tasks
      from pawl.with_tasks('shard_id', 'scheduled') s (id) join pawl.shard h on h.id = s.id
     group by h.queue_id
  ), state as materialized ( -- most databases have none of some
    select 'waiting' as name where exists (select from pawl.task t where t.state = 'waiting')
    union all select 'arrived' where exists (select from pawl.task t where t.state = 'arrived')
    union all select 'limited' where exists (select from pawl.task t where t.state = 'limited')
    union all select 'blocked' where exists (select from pawl.task t where t.state = 'blocked')
  ), waiting as materialized (
    select s.id as queue_id, pawl.waiting_of_queue(s.id) as tasks
      from (select distinct w.id from state e cross join lateral pawl.with_tasks('queue_id', e.name) w (id) where e.name <> 'blocked') s
  ), blocked as materialized (
    select s.id as queue_id, (select count(*) from (
             select 1 from pawl.task t where t.queue_id = s.id and t.state = 'blocked' limit 20001) c) as tasks
      from state e cross join lateral pawl.with_tasks('queue_id', e.name) s (id) where e.name = 'blocked'
  ), buried as materialized (
    select st.queue_id, pawl.dead_of_streams(array_agg(st.id)) as tasks
      from pawl.values_of('pawl.dead r where true', 'r.stream_id') s (id) join pawl.stream st on st.id = s.id
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
           r.oldest, array_remove(array[case when r.is_estimate then 'ready' end, case when s.tasks > 10000 then 'scheduled' end,
             case when w.tasks > 20000 then 'waiting' end, case when b.tasks > 20000 then 'blocked' end,
             case when d.tasks > 10000 then 'dead' end], null) as estimates
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
   order by c.id;
end $$;
