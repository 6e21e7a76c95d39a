-- The shards of a stream: made with it, found by priority, added if turns find them locked.

-- All shards of a stream but the solo ones; priority 1 is taken to be in use.
create or replace function pawl.make_shards(p_stream int) returns void
language sql volatile as $$
  insert into pawl.shard (stream_id, queue_id, priority, solo, place, is_used)
  select st.id, q.id, p, false, g, p = 1
    from pawl.stream st join pawl.queue q on q.id = st.queue_id
    cross join generate_series(0, 3) p cross join lateral generate_series(1, q.shards) g
   where st.id = p_stream
  on conflict do nothing
$$;

-- The shards of a stream and priority; a solo one is made when first used.
create or replace function pawl.shards_of(p_stream int, p_priority int, p_solo boolean) returns int[]
language plpgsql volatile as $$
declare
  v_shards int[];
  v_wanted int;
  v_queue int;
begin
  select array_agg(s.id order by s.place) into v_shards from pawl.shard s
   where s.stream_id = p_stream and s.priority = p_priority and s.solo = p_solo;
  if v_shards is not null then return v_shards; end if;
  select case when p_solo then 1 else q.shards end, q.id into v_wanted, v_queue
    from pawl.stream st join pawl.queue q on q.id = st.queue_id where st.id = p_stream;
  insert into pawl.shard (stream_id, queue_id, priority, solo, place, is_used)
  select p_stream, v_queue, p_priority, p_solo, g, true from generate_series(1, v_wanted) g
  on conflict do nothing;
  select array_agg(s.id order by s.place) into v_shards from pawl.shard s
   where s.stream_id = p_stream and s.priority = p_priority and s.solo = p_solo;
  return v_shards;
end $$;

-- More shards for a stream whose shards are found locked; up to 16.
create or replace function pawl.add_shard_v1(p_shard int) returns int
language sql volatile as $$
  insert into pawl.shard (stream_id, queue_id, priority, solo, place, is_used)
  select s.stream_id, s.queue_id, s.priority, false, max(o.place) + 1, true
    from pawl.shard s join pawl.shard o
      on o.stream_id = s.stream_id and o.priority = s.priority and not o.solo
   where s.id = p_shard and not s.solo
   group by s.stream_id, s.queue_id, s.priority having max(o.place) < 16
  on conflict do nothing
  returning id
$$;

-- Notes which shards have come into use. Steps from one shard with ready tasks to the next.
create or replace function pawl.use_shards_v1() returns int
language plpgsql volatile
set enable_seqscan = off set enable_bitmapscan = off set jit = off set plan_cache_mode = force_generic_plan as $$
declare
  v_count int;
begin
  with recursive ready as (
    (select t.shard_id from pawl.task t where t.state = 'ready' order by t.shard_id limit 1)
    union all
    select n.shard_id from ready r cross join lateral (
      select t.shard_id from pawl.task t where t.state = 'ready' and t.shard_id > r.shard_id order by t.shard_id limit 1) n
  )
  update pawl.shard s set is_used = true
   where not s.is_used and s.id in (select r.shard_id from ready r);
  get diagnostics v_count = row_count;
  return v_count;
end $$;
