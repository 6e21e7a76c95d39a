-- Tasks as people read them, and what shows tasks of a part. How tasks are stored may change below; a column of these is only
-- ever added, as the last one. Where a column of a table has to change its type or go, the migration drops the views first.

-- Live tasks. state: scheduled | parked (until something wakes it) | ready | running | arrived (in a lane, not sorted yet) | waiting (in a lane) |
-- limited (waits for its limit key). attempt: with the
-- one that runs; started_at, worker_id: of that one. A branch a state, each with its joins: a queue's name or an id is then
-- looked up along the index of that state.
create or replace view pawl.task_now_v1 as
  select t.id, case when c.no is not null then 'running' when t.run_at = 'infinity' then 'parked' else t.state end as state, t.queue, t.kind, t.version, t.priority,
         (t.attempt + (c.no is not null)::int)::smallint as attempt,
         coalesce(t.max_attempts, (t.policy ->> 'attempts')::int) as max_attempts, t.created_at, nullif(t.run_at, 'infinity') as run_at,
         c.claimed_at as started_at, c.worker_id, t.expires_at, t.cancel_requested_at, t.lane,
         substr(t.key, length(t.kind) + 2) as key, t.ref, t.payload, t.meta, t.progress, t.last_error as error
    from (
      select r.*, h.priority, q.name as queue, st.kind, st.version, coalesce(st.retry, q.retry, pawl.default_retry()) as policy
        from pawl.task r join pawl.shard h on h.id = r.shard_id join pawl.stream st on st.id = h.stream_id
        join pawl.queue q on q.id = st.queue_id where r.state = 'ready'
      union all
      select s.*, h.priority, q.name as queue, st.kind, st.version, coalesce(st.retry, q.retry, pawl.default_retry()) as policy
        from pawl.task s join pawl.shard h on h.id = s.shard_id join pawl.stream st on st.id = h.stream_id
        join pawl.queue q on q.id = st.queue_id where s.state = 'scheduled'
      union all
      select a.*, h.priority, q.name as queue, st.kind, st.version, coalesce(st.retry, q.retry, pawl.default_retry()) as policy
        from pawl.task a join pawl.shard h on h.id = a.shard_id join pawl.stream st on st.id = h.stream_id
        join pawl.queue q on q.id = st.queue_id where a.state = 'arrived' and a.queue_id = q.id
      union all
      select w.*, h.priority, q.name as queue, st.kind, st.version, coalesce(st.retry, q.retry, pawl.default_retry()) as policy
        from pawl.task w join pawl.shard h on h.id = w.shard_id join pawl.stream st on st.id = h.stream_id
        join pawl.queue q on q.id = st.queue_id where w.state = 'waiting' and w.queue_id = q.id
      union all
      select l.*, h.priority, q.name as queue, st.kind, st.version, coalesce(st.retry, q.retry, pawl.default_retry()) as policy
        from pawl.task l join pawl.shard h on h.id = l.shard_id join pawl.stream st on st.id = h.stream_id
        join pawl.queue q on q.id = st.queue_id where l.state = 'limited' and l.queue_id = q.id) t
    left join pawl.claim c on c.shard_id = t.shard_id and t.state = 'ready' and t.seq = any (c.seqs);

-- Dead letters: tasks that ended badly and wait for a person. is_blocking: its lane waits for it.
create or replace view pawl.task_dead_v1 as
  select d.id, d.reason, q.name as queue, st.kind, st.version, d.priority, d.attempt,
         coalesce(d.max_attempts, (coalesce(st.retry, q.retry, pawl.default_retry()) ->> 'attempts')::int) as max_attempts,
         d.created_at, nullif(d.run_at, 'infinity') as run_at, d.started_at, d.died_at, d.worker_id, d.expires_at, d.lane,
         d.lane is not null and exists (select from pawl.task t where t.id = d.id and t.state = 'blocked') as is_blocking,
         substr(d.key, length(st.kind) + 2) as key, d.ref, d.payload, d.meta, d.error
    from pawl.dead d
    join pawl.stream st on st.id = d.stream_id
    join pawl.queue q on q.id = st.queue_id;

-- Tasks that ended: outcome done | cancelled | expired | removed. max_attempts: as its kind and queue say now.
create or replace view pawl.task_ended_v1 as
  select f.id, f.outcome, q.name as queue, st.kind, st.version, f.priority, f.attempt,
         (coalesce(st.retry, q.retry, pawl.default_retry()) ->> 'attempts')::int as max_attempts, f.created_at, nullif(f.run_at, 'infinity') as run_at, f.started_at,
         f.finished_at as ended_at, f.worker_id, f.lane, substr(f.key, length(st.kind) + 2) as key, f.ref, f.payload, f.meta,
         f.result, f.error
    from pawl.finished f
    join pawl.stream st on st.id = f.stream_id
    join pawl.queue q on q.id = st.queue_id;

-- The live tasks again in one branch, with the same columns: to find one by its id, or the newest. Their primary key alone is read along.
create or replace view pawl.task_live_v1 as
  select t.id, case when c.no is not null then 'running' when t.run_at = 'infinity' then 'parked' else t.state end as state, q.name as queue, st.kind, st.version, h.priority,
         (t.attempt + (c.no is not null)::int)::smallint as attempt,
         coalesce(t.max_attempts, (coalesce(st.retry, q.retry, pawl.default_retry()) ->> 'attempts')::int) as max_attempts,
         t.created_at, nullif(t.run_at, 'infinity') as run_at, c.claimed_at as started_at, c.worker_id, t.expires_at, t.cancel_requested_at, t.lane,
         substr(t.key, length(st.kind) + 2) as key, t.ref, t.payload, t.meta, t.progress, t.last_error as error
    from pawl.task t
    join pawl.shard h on h.id = t.shard_id
    join pawl.stream st on st.id = h.stream_id
    join pawl.queue q on q.id = st.queue_id
    left join pawl.claim c on c.shard_id = t.shard_id and t.state = 'ready' and t.seq = any (c.seqs)
   where t.state <> 'blocked';

-- Every task once, wherever it is; state: as above, dead, or its outcome. To find one by its id: planned ten times as fast as
-- with a branch for each state.
create or replace view pawl.task_v1 as
  select t.id, t.state, t.queue, t.kind, t.version, t.priority, t.attempt, t.max_attempts, t.created_at, t.run_at, t.started_at,
         null::timestamptz as ended_at, t.worker_id, t.expires_at, t.cancel_requested_at, t.lane, t.key, t.ref, t.payload, t.meta,
         t.progress, null::jsonb as result, t.error, null::text as reason
    from pawl.task_live_v1 t
   union all
  select d.id, 'dead', d.queue, d.kind, d.version, d.priority, d.attempt, d.max_attempts, d.created_at, d.run_at, d.started_at,
         d.died_at, d.worker_id, d.expires_at, null, d.lane, d.key, d.ref, d.payload, d.meta, null, null, d.error, d.reason
    from pawl.task_dead_v1 d
   union all
  select f.id, f.outcome, f.queue, f.kind, f.version, f.priority, f.attempt, f.max_attempts, f.created_at, f.run_at, f.started_at,
         f.ended_at, f.worker_id, null, null, f.lane, f.key, f.ref, f.payload, f.meta, null, f.result, f.error, null
    from pawl.task_ended_v1 f;
