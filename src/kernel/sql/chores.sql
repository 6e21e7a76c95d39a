-- The chores of the fleet: promoting what is due, ending what has expired.

-- True if one of the fleet's chores has something to do now, or within a second. Idle workers ask for all chores at once.
create or replace function pawl.is_due_v1(p_chore text) returns boolean
language plpgsql stable
set enable_seqscan = off set enable_bitmapscan = off set enable_hashjoin = off set enable_mergejoin = off set jit = off
set plan_cache_mode = force_generic_plan as $$
begin
  return case p_chore
    when 'promote' then exists (
      select 1 from pawl.task t where t.state = 'scheduled' and t.run_at <= pawl.now() + interval '1 second')
      or exists (select 1 from pawl.task_to_wake w where w.due_at <= pawl.now() + interval '1 second')
    when 'sort' then exists (select 1 from pawl.task t where t.state = 'arrived')
    when 'admit' then exists (select 1 from pawl.task t where t.state = 'limited')
    when 'use' then exists (
      with recursive ready as (
        (select t.shard_id from pawl.task t where t.state = 'ready' order by t.shard_id limit 1)
        union all
        select n.shard_id from ready r cross join lateral (
          select t.shard_id from pawl.task t where t.state = 'ready' and t.shard_id > r.shard_id order by t.shard_id limit 1) n
      )
      select 1 from ready r join pawl.shard s on s.id = r.shard_id where not s.is_used)
    when 'expire' then exists (select 1 from pawl.task t where t.expires_at <= pawl.now())
    when 'rescue' then exists (select 1 from pawl.worker w where w.ended_at is null and w.lease_until <= pawl.now())
  end;
end $$;

-- When the next task is due; null when none is. Of those that are parked none ever is.
create or replace function pawl.next_due() returns timestamptz
language sql stable
set enable_seqscan = off set enable_bitmapscan = off set enable_sort = off set jit = off as $$
  select nullif((select t.run_at from pawl.task t where t.state = 'scheduled' order by t.run_at limit 1), 'infinity')
$$;

-- Makes due tasks ready, and wakes those that could not be woken at once; one promoter at a time. next_ms: how long until the next one is due, null when none is.
create or replace function pawl.promote_v1(p_limit int) returns table (promoted int, next_ms int)
language plpgsql volatile
set enable_seqscan = off set enable_bitmapscan = off set enable_sort = off set enable_hashjoin = off set enable_mergejoin = off set jit = off
set plan_cache_mode = force_generic_plan as $$
declare
  v_promoted int := 0;
  v_ids bigint[]; -- in the order of their times
  v_seqs bigint[];
  v_next timestamptz;
  v_is_left boolean := pawl.wake_left();
  v_left timestamptz := (select w.due_at from pawl.task_to_wake w order by w.due_at limit 1);
begin
  v_next := pawl.next_due();
  if v_next <= pawl.now() and pg_try_advisory_xact_lock(hashtextextended('pawl.promote', 0)) then
    perform pg_current_xact_id(); -- before the first seq
    -- if a crash undoes it, it is done again; a claim of the promoted tasks is written after it
    perform set_config('synchronous_commit', 'off', true);
    v_ids := array(
      select t.id from pawl.task t where t.state = 'scheduled' and t.run_at <= pawl.now()
       order by t.run_at, t.id limit p_limit for update skip locked);
    v_seqs := array(select nextval('pawl.seq') from generate_series(1, cardinality(v_ids)));
    update pawl.task t set state = 'ready', seq = v_seqs[array_position(v_ids, t.id)] where t.id = any (v_ids);
    get diagnostics v_promoted = row_count;
    if v_promoted > 0 then perform pawl.wake_v1(); end if;
    v_next := pawl.next_due();
  end if;
  return query select v_promoted, least(case when v_is_left then 0 when v_left is not null then -- what another promoter holds may be due
      least(greatest(extract(epoch from v_left - pawl.now()) * 1000, 50), 2147483647)::int end, case when v_next is not null then
    least(greatest(extract(epoch from v_next - pawl.now()) * 1000, 0), 2147483647)::int end);
end $$;

-- Ends expired tasks that do not run. This is only cleaning up: the claim itself never starts an expired task. Never waits for a
-- claim that is being made.
create or replace function pawl.expire_v1(p_limit int) returns int
language plpgsql volatile
set enable_seqscan = off set enable_bitmapscan = off set jit = off set plan_cache_mode = force_generic_plan as $$
declare
  v_now timestamptz := pawl.now();
  v_seen int;
  v_shards int[];
  v_ids bigint[];
begin
  if not exists (select 1 from pawl.task t where t.expires_at <= v_now) then return 0; end if;
  -- running tasks may have expired too, and are skipped
  v_seen := p_limit + coalesce((select sum(cardinality(c.seqs)) from pawl.claim c), 0);
  select array_agg(l.id) into v_shards from (
    select s.id from pawl.shard s where s.id in (select e.shard_id from (
      select t.shard_id from pawl.task t where t.expires_at <= v_now order by t.expires_at limit v_seen) e)
     order by s.id for update skip locked) l;
  with claimed as materialized (
    select c.shard_id, u.seq from pawl.claim c cross join lateral unnest(c.seqs) u (seq) where c.shard_id = any (v_shards)
  ), due as materialized (
    select e.id from (
      select t.id, t.shard_id, t.seq, t.state from pawl.task t where t.expires_at <= v_now order by t.expires_at limit v_seen) e
      left join claimed c on e.state = 'ready' and c.shard_id = e.shard_id and c.seq = e.seq
     where c.seq is null and e.shard_id = any (v_shards) limit p_limit
  ), mine as (
    select t.id from pawl.task t
     where t.id = any (array(select d.id from due d)) and t.expires_at <= v_now and t.shard_id = any (v_shards) for update of t skip locked
  )
  select array_agg(m.id) into v_ids from mine m;
  if v_ids is null then return 0; end if;
  perform pawl.finish_v1(v_ids, 'expired', null);
  return cardinality(v_ids);
end $$;
