-- Where there is work: read only.

-- The open shards of these streams that have something to claim (is_ready), or whose sweep is due. Reads only, and
-- nothing of a stream that the gate holds. A row without a shard says when a limit will let more through.
create or replace function pawl.look_v1(p_streams int[]) returns table (shard_id int, stream_id int, priority smallint, solo boolean,
  is_ready boolean, is_limited boolean, is_watched boolean, wait_ms int)
language plpgsql stable
set enable_seqscan = off set enable_bitmapscan = off set enable_hashjoin = off set enable_mergejoin = off set jit = off
set plan_cache_mode = force_generic_plan as $$
#variable_conflict use_column
declare
  v_open int[] := p_streams;
  v_limited int[] := '{}';
  v_wait int;
begin
  if pawl.are_holds() or pawl.are_limits() then
    with gate as materialized (select g.stream_id, g.reason, g.until from pawl.gate_v1(p_streams) g)
    select array(select unnest(p_streams) except select g.stream_id from gate g),
           array(select st.id from pawl.stream st where st.id = any (p_streams)
              and (exists (select 1 from pawl.queue_limit l where l.queue_id = st.queue_id)
                or exists (select 1 from pawl.breaker b where b.stream_id = st.id and b.phase <> 'closed'))),
           -- a slot that another worker frees is not announced
           (select min(least(coalesce(ceil(extract(epoch from g.until - pawl.now()) * 1000), 50), 3600000))
              from gate g where g.reason <> 'off')
      into v_open, v_limited, v_wait;
  end if;
  return query
  select s.id, s.stream_id, s.priority, s.solo, r.is_ready, s.stream_id = any (v_limited),
         exists (select 1 from pawl.breaker b where b.stream_id = s.stream_id), null::int
    from pawl.shard s cross join lateral (
      select exists (select 1 from pawl.task t
        where t.shard_id = s.id and t.state = 'ready' and t.seq > s.cursor) as is_ready) r
   where s.is_used and s.stream_id = any (v_open)
     and (r.is_ready or (s.cursor > s.swept
       -- not all workers at once
       and s.swept_at < pawl.now() - pawl.sweep_pause(s.swept_in_vain) * (1 + random())));
  if v_wait is not null then
    return query select null::int, null::int, null::smallint, null::boolean, null::boolean, null::boolean, null::boolean, greatest(v_wait, 1);
  end if;
end $$;

-- True if a task of these streams is ready, running, newly in a lane, waiting for its limit key, about to be woken, or due within p_within. Tasks that a switch holds do not count.
create or replace function pawl.is_work_left_v1(p_streams int[], p_within interval) returns boolean
language plpgsql stable
set enable_seqscan = off set enable_bitmapscan = off set jit = off as $$
begin
  return (
    with shard as materialized (
      select h.id, h.queue_id from pawl.shard h
       where h.stream_id = any (p_streams) and not exists (select 1 from pawl.holds_v1(array[h.stream_id])))
    -- limit and offset: each state is read along its own index, however many tasks wait in others
    select exists (select 1 from shard h cross join lateral (
             select 1 from pawl.task r where r.shard_id = h.id and r.state = 'ready' limit 1) t)
        or exists (select 1 from shard h join (
             select s.shard_id from pawl.task s where s.state = 'scheduled' and s.run_at <= pawl.now() + p_within offset 0) t
             on t.shard_id = h.id)
        or exists (select 1 from shard h cross join lateral (
             select 1 from pawl.task a where a.queue_id = h.queue_id and a.shard_id = h.id and a.state = 'arrived' limit 1) t)
        or exists (select 1 from shard h cross join lateral (
             select 1 from pawl.task l where l.queue_id = h.queue_id and l.shard_id = h.id and l.state = 'limited' limit 1) t)
        or exists (select 1 from (select distinct w.task_id from pawl.task_to_wake w offset 0) w
             cross join lateral (select 1 from pawl.task t join shard h on h.id = t.shard_id where t.id = w.task_id offset 0) t));
end $$;

-- True if a look would find something to claim or to sweep.
create or replace function pawl.is_work_seen_v1(p_streams int[]) returns boolean
language plpgsql stable as $$
begin
  return exists (select 1 from pawl.look_v1(p_streams) l where l.shard_id is not null);
end $$;
