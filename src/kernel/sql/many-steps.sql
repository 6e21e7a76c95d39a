-- Tasks of many steps: whether they are still a worker's, and what wakes those that are parked.

-- Returns the seqs whose tasks still belong to this worker. Called in a transaction that records progress: until it ends, no other worker
-- can take these tasks. p_anew: tasks whose attempts are counted from zero again, unless their rows are locked.
create or replace function pawl.still_mine(p_worker int, p_ids bigint[], p_seqs bigint[], p_claims bigint[], p_anew bigint[])
returns bigint[]
language plpgsql volatile
set enable_seqscan = off set enable_bitmapscan = off set enable_hashjoin = off set enable_mergejoin = off set jit = off
set plan_cache_mode = force_generic_plan as $$
declare
  v_mine bigint[];
begin
  perform pawl.require_lease(p_worker); -- with the lock under which a worker is rescued
  v_mine := array(
    select t.seq from unnest(p_ids, p_seqs, p_claims) o (id, seq, claim)
      cross join lateral (select r.* from pawl.task r where r.id = o.id and r.seq = o.seq and r.state = 'ready' offset 0) t
      join pawl.claim c on c.worker_id = p_worker and c.no = o.claim and c.shard_id = t.shard_id and t.seq = any (c.seqs));
  if p_anew <> '{}' then
    update pawl.task t set attempt = 0, crashes = 0, losses = 0
      from (select r.id from pawl.task r
             where r.id = any (p_anew) and r.seq = any (v_mine) and (r.attempt > 0 or r.losses > 0)
             order by r.id for update skip locked) a
     where t.id = a.id;
  end if;
  return v_mine;
end $$;

-- Wakes tasks: what is parked or scheduled is ready at once, and what runs now is not parked when it has got on. Others are left
-- as they are.
create or replace function pawl.wake_tasks(p_ids bigint[]) returns void
language plpgsql volatile
set enable_seqscan = off set enable_bitmapscan = off set jit = off set plan_cache_mode = force_generic_plan as $$
begin
  perform pawl.require_read_committed();
  perform pg_current_xact_id(); -- before the first seq
  perform from pawl.task t where t.id = any (p_ids) order by t.id for update;
  update pawl.task t set wake_requested_at = pawl.now() where t.id = any (p_ids) and t.state = 'ready';
  update pawl.task t set state = 'ready', run_at = pawl.now(), seq = nextval('pawl.seq')
   where t.id = any (p_ids) and t.state = 'scheduled';
  perform pawl.wake_v1();
end $$;

-- Locks a task that has not ended, for whoever changes what it will do next, and answers its state: running, dead, or as in its row.
-- Null: it has ended, or never was. Nothing claims it until the transaction ends.
create or replace function pawl.lock_task(p_id bigint) returns text
language plpgsql volatile as $$
declare
  v_shard int;
  v_task pawl.task;
begin
  perform pawl.require_read_committed();
  loop
    select t.shard_id into v_shard from pawl.task t where t.id = p_id and t.state <> 'blocked';
    exit when not found;
    perform from pawl.shard s where s.id = v_shard for update;
    select t.* into v_task from pawl.task t where t.id = p_id and t.state <> 'blocked' for update;
    exit when not found;
    continue when v_task.shard_id <> v_shard; -- it was moved while its shard was waited for
    return case when v_task.state = 'ready' and exists (
      select 1 from pawl.claim c where c.shard_id = v_shard and v_task.seq = any (c.seqs)) then 'running' else v_task.state end;
  end loop;
  perform from pawl.dead d where d.id = p_id for update;
  return case when found then 'dead' end;
end $$;

-- The same for many at once, in the order of all locks; without those that have ended, or were moved at that moment.
create or replace function pawl.lock_tasks(p_ids bigint[]) returns table (id bigint, state text)
language plpgsql volatile as $$
#variable_conflict use_column
begin
  return query select t.id, case when t.is_running then 'running' else t.state end from pawl.take_tasks_v1(p_ids) t;
  return query select d.id, 'dead' from pawl.dead d where d.id = any (p_ids) order by d.id for update;
end $$;

-- Locks only the task's row, not its shard, to tell it something: it can still be claimed. A running task is ready here.
create or replace function pawl.hold_task(p_id bigint) returns text
language plpgsql volatile as $$
declare
  v_state text;
begin
  perform pawl.require_read_committed();
  select t.state into v_state from pawl.task t where t.id = p_id and t.state <> 'blocked' for update;
  if found then return v_state; end if;
  perform from pawl.dead d where d.id = p_id for update;
  return case when found then 'dead' end;
end $$;

-- Of these ids, those of no task: neither live nor dead nor in history.
create or replace function pawl.unknown_tasks(p_ids bigint[]) returns bigint[]
language sql stable as $$
  select array(select u.id from unnest(p_ids) u (id)
    where not exists (select 1 from pawl.task t where t.id = u.id)
      and not exists (select 1 from pawl.dead d where d.id = u.id)
      and not exists (select 1 from pawl.finished f where f.id = u.id))
$$;

-- Live tasks of a stream, at most p_limit: a branch for each state, so that its index is read. What blocks its lane is a dead letter.
create or replace function pawl.tasks_of_stream(p_stream int, p_limit int) returns setof bigint
language sql stable
set enable_seqscan = off set enable_bitmapscan = off set jit = off as $$
  with shard as materialized (
    select h.id, h.queue_id from pawl.shard h where h.stream_id = p_stream
  )
  select f.id from (
    select t.id from shard h cross join lateral (
      select r.id from pawl.task r where r.shard_id = h.id and r.state = 'ready' order by r.seq offset 0) t
    union all
    select t.id from shard h cross join lateral (
      select r.id from pawl.task r where r.shard_id = h.id and r.state = 'scheduled' order by r.seq offset 0) t
    union all
    select a.id from pawl.task a where a.state = 'arrived' and a.queue_id in (select s.queue_id from shard s) and a.shard_id in (select s.id from shard s)
    union all
    select w.id from pawl.task w where w.state = 'waiting' and w.queue_id in (select s.queue_id from shard s) and w.shard_id in (select s.id from shard s)
    union all
    select l.id from pawl.task l where l.state = 'limited' and l.queue_id in (select s.queue_id from shard s) and l.shard_id in (select s.id from shard s)
  ) f limit p_limit
$$;

-- Whether a kind has tasks that have not ended, in this version. Dead letters count.
create or replace function pawl.has_tasks(p_queue text, p_kind text, p_version int) returns boolean
language sql stable as $$
  select exists (
    select 1 from pawl.stream st join pawl.queue q on q.id = st.queue_id
     where q.name = p_queue and st.kind = p_kind and st.version = p_version
       and (exists (select 1 from pawl.dead d where d.stream_id = st.id)
         or exists (select 1 from pawl.tasks_of_stream(st.id, 1))))
$$;

-- Whether a live worker can run a kind in this version.
create or replace function pawl.is_known(p_queue text, p_kind text, p_version int) returns boolean
language sql stable as $$
  select exists (
    select 1 from pawl.stream st join pawl.queue q on q.id = st.queue_id
      join pawl.worker w on w.ended_at is null and w.lease_until > pawl.now() and st.id = any (w.streams)
     where q.name = p_queue and st.kind = p_kind and st.version = p_version)
$$;

-- Live tasks of a kind in this version, at most p_limit.
create or replace function pawl.live_tasks(p_queue text, p_kind text, p_version int, p_limit int) returns setof bigint
language sql stable as $$
  select t.id from pawl.stream st join pawl.queue q on q.id = st.queue_id
    cross join lateral pawl.tasks_of_stream(st.id, p_limit) t (id)
   where q.name = p_queue and st.kind = p_kind and st.version = p_version
$$;

-- How many tasks a kind has in this version, at most 10,001 of each, and whether a live worker can run them.
create or replace function pawl.count_tasks(p_queue text, p_kind text, p_version int, out live bigint, out dead bigint, out is_known boolean)
language sql stable as $$
  select (select count(*) from pawl.tasks_of_stream(st.id, 10001)),
         (select count(*) from (select 1 from pawl.dead d where d.stream_id = st.id limit 10001) c),
         pawl.is_known(p_queue, p_kind, p_version)
    from (select 1) one
    left join (select st.id from pawl.stream st join pawl.queue q on q.id = st.queue_id
                where q.name = p_queue and st.kind = p_kind and st.version = p_version) st on true
$$;

-- Tasks of a kind in one version that have not ended, after p_after in the order of their ids; state as in pawl.task_v1.
create or replace function pawl.tasks_of_version(p_queue text, p_kind text, p_version int, p_after bigint, p_limit int)
returns table (id bigint, state text, payload jsonb)
language sql stable
set enable_seqscan = off set enable_bitmapscan = off set jit = off as $$
  with stream as materialized (
    select st.id, st.queue_id from pawl.stream st join pawl.queue q on q.id = st.queue_id
     where q.name = p_queue and st.kind = p_kind and st.version = p_version
  ), shard as materialized (
    select h.id, s.queue_id from stream s join pawl.shard h on h.stream_id = s.id
  ), found as materialized (
    select t.id from shard h cross join lateral (
      select r.id from pawl.task r where r.shard_id = h.id and r.state = 'ready' and r.id > p_after order by r.seq offset 0) t
    union all
    select t.id from shard h cross join lateral (
      select r.id from pawl.task r where r.shard_id = h.id and r.state = 'scheduled' and r.id > p_after order by r.seq offset 0) t
    union all
    select a.id from pawl.task a where a.state = 'arrived' and a.queue_id in (select s.queue_id from stream s)
       and a.shard_id in (select h.id from shard h) and a.id > p_after
    union all
    select w.id from pawl.task w where w.state = 'waiting' and w.queue_id in (select s.queue_id from stream s)
       and w.shard_id in (select h.id from shard h) and w.id > p_after
    union all
    select l.id from pawl.task l where l.state = 'limited' and l.queue_id in (select s.queue_id from stream s)
       and l.shard_id in (select h.id from shard h) and l.id > p_after
    union all
    select d.id from stream s join pawl.dead d on d.stream_id = s.id where d.id > p_after
  )
  select v.id, v.state, v.payload from (select f.id from found f order by f.id limit p_limit) f join pawl.task_v1 v on v.id = f.id
$$;

-- Whether it is a task of this kind and version that has not ended.
create or replace function pawl.is_version(p_id bigint, p_queue text, p_kind text, p_version int) returns boolean
language sql stable as $$
  select exists (
    select from pawl.task_v1 t
     where t.id = p_id and t.queue = p_queue and t.kind = p_kind and t.version = p_version and (t.ended_at is null or t.state = 'dead'))
$$;

-- Moves tasks to another version of their kind, each with another payload. The caller has locked them, and none of them runs. They keep their
-- time, their priority and their place in a lane; attempts are counted anew. Of a dead letter also the head by which it blocks its lane moves.
create or replace function pawl.move_tasks(p_ids bigint[], p_version int, p_payloads jsonb[]) returns void
language plpgsql volatile
set enable_seqscan = off set enable_bitmapscan = off set jit = off set plan_cache_mode = force_generic_plan as $$
begin
  if p_ids = '{}' then return; end if;
  perform pawl.check_payloads(to_jsonb(p_payloads), null);
  perform pg_current_xact_id(); -- before the first seq
  update pawl.task t
     set seq = nextval('pawl.seq'), payload = u.payload, attempt = 0,
         shard_id = (pawl.shards_of(pawl.stream_of(st.kind, q.name, p_version), s.priority, s.solo))[1]
    from unnest(p_ids, p_payloads) u (id, payload), pawl.shard s, pawl.stream st, pawl.queue q
   where t.id = u.id and s.id = t.shard_id and st.id = s.stream_id and q.id = st.queue_id;
  update pawl.dead d set stream_id = pawl.stream_of(st.kind, q.name, p_version), payload = u.payload
    from unnest(p_ids, p_payloads) u (id, payload), pawl.stream st, pawl.queue q
   where d.id = u.id and st.id = d.stream_id and q.id = st.queue_id;
end $$;
