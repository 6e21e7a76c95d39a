-- Changes to tasks that nobody runs: ending, cancelling, moving in time and priority.

-- Moves tasks to history with this outcome; expired ones become dead letters if the queue says so. The caller has locked the tasks,
-- and none of them runs.
create or replace function pawl.finish_v1(p_ids bigint[], p_outcome text, p_error jsonb) returns void
language plpgsql volatile
set enable_seqscan = off set enable_bitmapscan = off set jit = off set plan_cache_mode = force_generic_plan as $$
declare
  v_queues int[];
  v_lanes text[];
  v_dead bigint[];
  v_watched bigint[];
  v_key_queues int[];
  v_keys text[];
begin
  with gone as (
    delete from pawl.task t using pawl.shard s, pawl.queue q where t.id = any (p_ids) and s.id = t.shard_id and q.id = t.queue_id
    returning t.*, s.stream_id, s.priority, p_outcome = 'expired' and q.expired_is_dead as is_dead
  ), buried as (
    insert into pawl.dead (id, seq, stream_id, priority, attempt, max_attempts, crashes, reason, created_at, run_at, died_at,
      expires_at, is_watched, payload, meta, ref, lane, key, limit_key, error)
    select g.id, g.seq, g.stream_id, g.priority, g.attempt, g.max_attempts, g.crashes, p_outcome, g.created_at, g.run_at,
           pawl.now(), g.expires_at, g.is_watched, g.payload, g.meta, g.ref, g.lane, g.key, g.limit_key, coalesce(p_error, g.last_error)
      from gone g where g.is_dead
  ), kept as (
    insert into pawl.finished (id, seq, stream_id, priority, attempt, outcome, created_at, run_at, finished_at, payload,
      meta, ref, lane, key, error)
    select g.id, g.seq, g.stream_id, g.priority, g.attempt, p_outcome, g.created_at, g.run_at, pawl.now(), g.payload,
           g.meta, g.ref, g.lane, g.key, coalesce(p_error, g.last_error) from gone g
     where not g.is_dead
  )
  select array_agg(g.queue_id) filter (where g.lane is not null and g.state in ('ready', 'scheduled', 'blocked', 'limited')),
         array_agg(g.lane) filter (where g.lane is not null and g.state in ('ready', 'scheduled', 'blocked', 'limited')),
         array_agg(g.id) filter (where g.is_dead), array_agg(g.id) filter (where g.is_watched or g.is_awaited),
         array_agg(g.queue_id) filter (where g.limit_key is not null), array_agg(g.limit_key) filter (where g.limit_key is not null)
    into v_queues, v_lanes, v_dead, v_watched, v_key_queues, v_keys from gone g;
  if v_lanes is not null then perform pawl.promote_lanes_v1(v_queues, v_lanes); end if;
  if v_keys is not null then perform pawl.admit_keys(v_key_queues, v_keys); end if;
  if v_dead is not null then perform pawl.on_dead(v_dead); end if;
  if v_watched is not null then perform pawl.tell_ends(v_watched); end if;
end $$;

-- The live tasks of a queue. order: along the index of each state and shard, however few there were when it was planned.
create or replace function pawl.live_tasks_of(p_queue int) returns setof bigint
language sql stable
set enable_seqscan = off set enable_bitmapscan = off set enable_sort = off set jit = off as $$
  select t.id from pawl.shard h cross join lateral (
    select r.id from pawl.task r where r.shard_id = h.id and r.state = 'ready' order by r.seq offset 0) t where h.queue_id = p_queue
  union all
  select t.id from pawl.shard h cross join lateral (
    select s.id from pawl.task s where s.shard_id = h.id and s.state = 'scheduled' order by s.seq offset 0) t where h.queue_id = p_queue
  union all
  select a.id from pawl.task a where a.queue_id = p_queue and a.state = 'arrived'
  union all
  select w.id from pawl.task w where w.queue_id = p_queue and w.state = 'waiting'
  union all
  select l.id from pawl.task l where l.queue_id = p_queue and l.state = 'limited'
$$;

-- Locks live tasks so that no claim of them can start until the transaction ends, and says which run already.
-- Shards first, then tasks, those that wait in a lane last: so this never deadlocks with the settling of a head.
-- A task that was moved to another shard meanwhile is left out: the caller calls again for it.
create or replace function pawl.take_tasks_v1(p_ids bigint[]) returns table (id bigint, state text, is_running boolean)
language plpgsql volatile
set enable_seqscan = off set enable_bitmapscan = off set jit = off set plan_cache_mode = force_generic_plan as $$
#variable_conflict use_column
declare
  v_shards int[];
begin
  perform pawl.require_read_committed();
  select array_agg(l.id) into v_shards from (
    select s.id from pawl.shard s where s.id in (select t.shard_id from pawl.task t where t.id = any (p_ids))
     order by s.id for update) l;
  return query
  with claimed as materialized (
    select c.shard_id, u.seq from pawl.claim c cross join lateral unnest(c.seqs) u (seq) where c.shard_id = any (v_shards)
  ), mine as materialized (
    select t.id, t.state, t.shard_id, t.seq from pawl.task t
     where t.id = any (p_ids) and t.shard_id = any (v_shards) and t.state <> 'blocked'
     order by (t.state in ('arrived', 'waiting')), t.id for update
  )
  select m.id, m.state, c.seq is not null from mine m
    left join claimed c on m.state = 'ready' and c.shard_id = m.shard_id and c.seq = m.seq;
end $$;

-- Returns those of the tasks that live and were not taken: they moved to another shard at that moment.
create or replace function pawl.still_live(p_ids bigint[], p_taken bigint[]) returns bigint[]
language sql volatile as $$
  select array(select t.id from pawl.task t
    where t.id = any (p_ids) and t.state <> 'blocked' and not t.id = any (coalesce(p_taken, '{}')))
$$;

-- Cancels live tasks: waiting ones end at once (cancelled), running ones are asked to end (requested): the signal aborts, and the task
-- is cancelled unless it still ends well. Returns a row for each task that was live.
create or replace function pawl.cancel_v1(p_ids bigint[], p_by text, p_why text, p_action text default null)
returns table (id bigint, outcome text)
language plpgsql volatile
set enable_seqscan = off set enable_bitmapscan = off set jit = off set plan_cache_mode = force_generic_plan as $$
#variable_conflict use_column
declare
  v_left bigint[] := p_ids;
  v_waiting bigint[];
  v_running bigint[];
  v_error jsonb := jsonb_build_object('name', 'Cancelled', 'message',
    case split_part(p_action, '.', 2) when 'abandon' then 'abandoned' else 'cancelled' end || ' by ' || coalesce(nullif(p_by, ''), session_user)
    || coalesce(': ' || nullif(p_why, ''), ''));
begin
  loop
    select array_agg(t.id) filter (where not t.is_running), array_agg(t.id) filter (where t.is_running)
      into v_waiting, v_running from pawl.take_tasks_v1(v_left) t;
    if v_waiting is not null then perform pawl.finish_v1(v_waiting, 'cancelled', v_error); end if;
    update pawl.task t set cancel_requested_at = coalesce(t.cancel_requested_at, pawl.now()), last_error = v_error
     where t.id = any (v_running);
    perform pawl.audit_v1(p_by, coalesce(p_action, 'tasks.cancel'), 'task:' || u.id, p_why, null) from unnest(v_waiting || v_running) u (id);
    return query
    select u.id, 'cancelled' from unnest(v_waiting) u (id) union all select u.id, 'requested' from unnest(v_running) u (id);
    v_left := pawl.still_live(v_left, v_waiting || v_running);
    exit when v_left = '{}';
  end loop;
  perform pg_notify('pawl.wake', 'cancel');
end $$;

-- Changes time or priority of live tasks; null: no change. Returns a row for each task that was live: changed, or running (too
-- late). A task that waits in a lane keeps its place there.
create or replace function pawl.change_tasks_v1(p_ids bigint[], p_run_at timestamptz, p_priority int, p_by text, p_why text,
  p_action text default null)
returns table (id bigint, outcome text)
language plpgsql volatile
set enable_seqscan = off set enable_bitmapscan = off set jit = off set plan_cache_mode = force_generic_plan as $$
#variable_conflict use_column
declare
  v_now timestamptz := pawl.now();
  v_left bigint[] := p_ids;
  v_waiting bigint[];
  v_running bigint[];
begin
  if p_priority not between 0 and 3 then
    raise exception 'expected the priority to be 0, 1, 2 or 3, got %', p_priority using errcode = 'PW010',
      hint = '0 runs first, 1 is the default';
  end if;
  perform pg_current_xact_id(); -- before the first seq
  loop
    select array_agg(t.id) filter (where not t.is_running), array_agg(t.id) filter (where t.is_running)
      into v_waiting, v_running from pawl.take_tasks_v1(v_left) t;
    update pawl.task t
       set run_at = coalesce(p_run_at, t.run_at), seq = nextval('pawl.seq'),
           state = case when t.state in ('arrived', 'waiting') then t.state
                        when coalesce(p_run_at, t.run_at) > v_now then 'scheduled' else 'ready' end,
           shard_id = case when p_priority is null or p_priority = s.priority then t.shard_id
                           else (pawl.shards_of(s.stream_id, p_priority, s.solo))[1] end
      from pawl.shard s where s.id = t.shard_id and t.id = any (v_waiting);
    perform pawl.audit_v1(p_by, coalesce(p_action, 'tasks.reschedule'), 'task:' || u.id, p_why,
      jsonb_build_object('run_at', p_run_at, 'priority', p_priority)) from unnest(v_waiting) u (id);
    return query
    select u.id, 'changed' from unnest(v_waiting) u (id) union all select u.id, 'running' from unnest(v_running) u (id);
    v_left := pawl.still_live(v_left, v_waiting || v_running);
    exit when v_left = '{}';
  end loop;
  perform pawl.wake_v1();
end $$;
