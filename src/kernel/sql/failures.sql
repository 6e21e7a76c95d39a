-- Records attempts that did not end well.

-- Delay after the nth failed attempt. luck is 0 to 1; jitter spreads evenly around the delay.
-- The series is made once, by the code that defines the policy: this only looks it up. No delay is over 3,650 days.
create or replace function pawl.retry_delay_ms(p_policy jsonb, p_attempt int, p_luck float8) returns bigint
language sql immutable
return round(least(315360000000,
    coalesce((p_policy -> 'delays_ms' ->> (least(p_attempt, jsonb_array_length(p_policy -> 'delays_ms')) - 1))::numeric, 0)
    * (1 + (p_policy ->> 'jitter')::numeric * (2 * p_luck - 1)::numeric)))::bigint; -- float8 raises where a product is too small

create or replace function pawl.default_retry() returns jsonb
language sql immutable return '{"attempts": 4, "delays_ms": [1000, 2000, 4000], "jitter": 0.1, "until_ms": null}'::jsonb;

-- Decides about attempts that did not end well: scheduled again, ended, or dead. The only place that counts and decides.
-- p_failures: [{"id", "seq", "claim", "outcome": retry | timeout | recoverable | snooze | unrecoverable | invalid |
--   stop | lost | cancelled | expired | advance, "error", "delay_ms"?: instead of the policy's, "delay_ms_min"?: a lower bound,
--   "attempts"?, "until_ms"?: instead of the policy's, "is_spent"?: whether its attempts are, instead of a count, "alone"?: with lost, its worker ran nothing else}]
-- advance: the task got on, and its attempts are counted anew. It is due after delay_ms; without one it is parked, unless something
-- has woken it meanwhile.
-- A task that is lost for the first time goes back to its shard; if it is lost again, to the solo shard, until it ends otherwise.
-- A task whose cancellation was requested is cancelled by any end but a good one. A task whose next time would be after
-- its expiry has expired; it is dead if the queue says so. A dead head blocks its lane if the queue says so.
-- Returns what became of those that were still this worker's: [{"id", "seq", "kind", "queue", "outcome", "attempt",
--   "attempts", "next": scheduled | dead | expired | cancelled, "reason", "run_at", "error"}]; the others are refused.
-- One statement up to step 5, so that all of it sees the same rows:
-- 1. the tasks that are still this worker's, locked
-- 2. the delay of each, and whether it ends or dies
-- 3. what is tried again
-- 4. what ends, or leaves its lane with its death
-- 5. what is dead
-- 6. what became of each, and the next of lanes and of limit keys
create or replace function pawl.fail_v1(p_worker int, p_failures jsonb) returns jsonb
language plpgsql volatile
set enable_seqscan = off set enable_bitmapscan = off set enable_nestloop = off set enable_hashjoin = on as $$
declare
  v_now timestamptz := pawl.now();
  v_ids bigint[] := array(select (f ->> 'id')::bigint from jsonb_array_elements(p_failures) f);
  v_fates jsonb;
  v_queues int[];
  v_lanes text[];
  v_dead bigint[];
  v_watched bigint[];
  v_key_queues int[];
  v_keys text[];
begin
  -- 1. the tasks that are still this worker's, locked
  with failure as materialized (
    select f.* from jsonb_to_recordset(p_failures) as f (id bigint, seq bigint, claim bigint, outcome text,
      error jsonb, delay_ms bigint, delay_ms_min bigint, attempts int, until_ms bigint, is_spent boolean, alone boolean) order by f.id
  ), held as materialized (
    select f.outcome, f.error as new_error, f.delay_ms, f.delay_ms_min,
           coalesce(f.attempts, t.max_attempts) as attempts_max, f.is_spent, f.until_ms, f.outcome = 'advance' as is_advance,
           t.*, st.kind, q.name as queue, c.claimed_at, c.stream_id, c.priority, c.solo, q.on_dead, q.expired_is_dead,
           coalesce(st.retry, q.retry, pawl.default_retry()) as policy,
           case when f.outcome = 'advance' then 0
                else t.attempt + (f.outcome not in ('recoverable', 'snooze', 'expired'))::int end as attempt_now,
           case when f.outcome = 'lost' then t.losses + 1 else 0 end as losses_now,
           case when f.outcome = 'advance' then 0
                else t.crashes + (f.outcome = 'lost' and t.losses > 0 and f.alone)::int end as crashes_now
      from failure f
      join pawl.task t on t.id = f.id and t.seq = f.seq
      join pawl.claim c on c.worker_id = p_worker and c.no = f.claim and c.shard_id = t.shard_id
      join pawl.stream st on st.id = c.stream_id
      join pawl.queue q on q.id = st.queue_id
     where t.id = any (v_ids) and t.state <> 'scheduled' and t.state <> 'blocked' -- is ready
     order by t.id for update of t
  -- 2. the delay of each, and whether it ends or dies
  ), timed as materialized (
    select h.*, h.is_advance and h.delay_ms is null and h.wake_requested_at is null as is_parked, greatest(
        coalesce(h.delay_ms, case when h.is_advance then 0 else pawl.retry_delay_ms(h.policy, greatest(h.attempt_now, 1), random()) end),
        h.delay_ms_min, 0) * interval '1 ms' as delay
      from held h
  ), doomed as materialized (
    select h.*, case
        when h.outcome = 'expired' then 'expired'
        when h.outcome = 'cancelled' or h.cancel_requested_at is not null then 'cancelled'
      end as end_now, case
        when h.outcome in ('unrecoverable', 'invalid') then h.outcome
        when h.outcome = 'stop' then 'stop-code'
        when h.crashes_now >= 3 then 'crashed'
        when h.outcome in ('recoverable', 'snooze', 'advance') then null
        when coalesce(h.is_spent, h.attempt_now >= coalesce(h.attempts_max, (h.policy ->> 'attempts')::int)) then 'attempts'
        when v_now + h.delay > h.created_at + coalesce(h.until_ms, (h.policy ->> 'until_ms')::bigint) * interval '1 ms' then 'until'
      end as death
      from timed h
  ), aged as materialized (
    select d.*, coalesce(d.end_now, case when d.death is null and v_now + d.delay > d.expires_at then 'expired' end) as over
      from doomed d
  ), judged as materialized (
    select a.*, case when a.over <> 'expired' or not a.expired_is_dead then a.over end as ending,
           case when a.over is null then a.death when a.over = 'expired' and a.expired_is_dead then 'expired' end as dead_reason
      from aged a
  -- 3. what is tried again
  ), retried as (
    update pawl.task t
       set state = 'scheduled', run_at = case when j.is_parked then 'infinity' when j.is_advance and j.wake_requested_at is not null
             then v_now else v_now + j.delay end,
           wake_requested_at = null, attempt = j.attempt_now, crashes = j.crashes_now, losses = j.losses_now,
           last_error = case when not j.is_advance then coalesce(j.new_error, t.last_error) end,
           shard_id = case when j.solo <> (j.losses_now > 1)
             then (pawl.shards_of(j.stream_id, j.priority, j.losses_now > 1))[1] else t.shard_id end
      from judged j
     where t.id = any (v_ids) and t.id = j.id and t.seq = j.seq and j.dead_reason is null and j.ending is null
  ), remembered as (
    insert into pawl.attempt (task_id, seq, attempt, outcome, worker_id, started_at, ended_at, error)
    select j.id, j.seq, j.attempt + 1, j.outcome, p_worker, j.claimed_at, v_now, j.new_error
      from judged j where j.dead_reason is null and j.ending is null
  -- 4. what ends, or leaves its lane with its death
  ), gone as (
    delete from pawl.task t using judged j
     where t.id = any (v_ids) and t.id = j.id and t.seq = j.seq
       and (j.ending is not null or (j.dead_reason is not null and (j.lane is null or j.on_dead = 'skip')))
    returning t.queue_id, t.lane
  ), ended as (
    insert into pawl.finished (id, seq, stream_id, worker_id, priority, attempt, outcome, created_at, run_at, started_at,
      finished_at, payload, meta, ref, lane, key, error)
    select j.id, j.seq, j.stream_id, p_worker, j.priority, j.attempt_now, j.ending, j.created_at, j.run_at, j.claimed_at,
           v_now, j.payload, j.meta, j.ref, j.lane, j.key, coalesce(j.new_error, j.last_error)
      from judged j where j.ending is not null
  -- 5. what is dead
  ), blocked as (
    update pawl.task t
       set state = 'blocked', payload = 'null', meta = null, last_error = null, key = null, expires_at = null
      from judged j
     where t.id = any (v_ids) and t.id = j.id and t.seq = j.seq and j.dead_reason is not null and j.lane is not null and j.on_dead = 'block'
  ), buried as (
    insert into pawl.dead (id, seq, stream_id, worker_id, priority, attempt, max_attempts, crashes, reason,
      created_at, run_at, started_at, died_at, expires_at, is_watched, payload, meta, ref, lane, key, limit_key, error)
    select j.id, j.seq, j.stream_id, p_worker, j.priority, j.attempt_now, j.max_attempts, j.crashes_now,
           j.dead_reason, j.created_at, j.run_at, j.claimed_at, v_now, j.expires_at, j.is_watched, j.payload, j.meta, j.ref, j.lane,
           j.key, j.limit_key, coalesce(j.new_error, j.last_error)
      from judged j where j.dead_reason is not null
  )
  -- 6. what became of each, and the next of lanes and of limit keys
  select (select jsonb_agg(jsonb_build_object('id', j.id::text, 'seq', j.seq::text, 'kind', j.kind, 'queue', j.queue,
            'outcome', j.outcome, 'attempt', j.attempt + 1, 'attempts', coalesce(j.attempts_max, (j.policy ->> 'attempts')::int),
            'next', case when j.dead_reason is not null then 'dead' else coalesce(j.ending, 'scheduled') end,
            'reason', j.dead_reason, 'run_at', case when j.dead_reason is null and j.ending is null and not j.is_parked then v_now + j.delay end,
            'error', left(j.new_error ->> 'message', 500)) order by j.id) from judged j),
         (select array_agg(j.id) from judged j where j.dead_reason is not null),
         (select array_agg(j.queue_id) from judged j where j.limit_key is not null),
         (select array_agg(j.limit_key) from judged j where j.limit_key is not null),
         (select array_agg(j.id) from judged j where (j.is_watched or j.is_awaited) and coalesce(j.dead_reason, j.ending) is not null),
         array_agg(g.queue_id) filter (where g.lane is not null),
         array_agg(g.lane) filter (where g.lane is not null)
    into v_fates, v_dead, v_key_queues, v_keys, v_watched, v_queues, v_lanes from gone g;
  if v_lanes is not null then perform pawl.promote_lanes_v1(v_queues, v_lanes); end if;
  if v_keys is not null then perform pawl.admit_keys(v_key_queues, v_keys); end if;
  if v_dead is not null then perform pawl.on_dead(v_dead); end if;
  if v_watched is not null then perform pawl.tell_ends(v_watched); end if;
  return coalesce(v_fates, '[]');
end $$;
