-- Plans are pinned by the entry functions (turn, look, rescue …): tables that fill and empty within seconds mislead the
-- planner, and every access here is an index probe. Tasks are found by an array of ids, which leaves no other path than
-- their primary key: for a join, the planner may take an index whole that it believes to be empty. For the same reason
-- states are compared so that no partial index fits.

-- The turn: settle what ended, then claim from one shard. One statement of the worker, each step a statement
-- of its own with a fresh snapshot (READ COMMITTED).
-- Lock order: the worker's advisory lock -> tasks -> claims -> the gate -> one queue's limits -> a breaker -> one shard (never waited
-- for). Rescue takes a dead worker's lock exclusively first, so a turn and a rescue of the same worker never meet in the
-- middle. Who changes unclaimed tasks locks their shards first, then the tasks: no claim can start meanwhile.

-- The lock of a worker is (class, worker id); the class is "pawl" in ASCII, apart from anybody else's keys.
create function pawl.worker_locks() returns int
language sql immutable as $$ select 1885434732 $$;

-- A worker that slept through its lease writes nothing.
create function pawl.require_lease(p_worker int) returns void
language plpgsql volatile as $$
begin
  perform pawl.require_read_committed();
  perform pg_advisory_xact_lock_shared(pawl.worker_locks(), p_worker);
  perform 1 from pawl.worker w where w.id = p_worker and w.ended_at is null and w.lease_until > pawl.now();
  if not found then
    raise exception 'worker %: lease lost', p_worker using errcode = 'PW001',
      hint = 'its tasks go back to the queue; the worker registers anew';
  end if;
end $$;

-- Delay after the nth failed attempt. luck is 0 to 1; jitter spreads evenly around the delay.
-- The series is made once, by the code that defines the policy: this only looks it up.
create function pawl.retry_delay_ms(p_policy jsonb, p_attempt int, p_luck float8) returns bigint
language sql immutable as $$
  select round(
    coalesce((p_policy -> 'delays_ms' ->> (least(p_attempt, jsonb_array_length(p_policy -> 'delays_ms')) - 1))::numeric, 0)
    * (1 + (p_policy ->> 'jitter')::numeric * (2 * p_luck - 1)::numeric))::bigint -- float8 raises where a product is too small
$$;

create function pawl.default_retry() returns jsonb
language sql immutable as $$
  select '{"attempts": 4, "delays_ms": [1000, 2000, 4000], "jitter": 0.1, "until_ms": null}'::jsonb
$$;

-- Judges attempts that did not end well: scheduled again, ended, or dead. The one place that counts and decides.
-- p_failures: [{"id", "seq", "claim", "outcome": retry | timeout | recoverable | snooze | unrecoverable | invalid |
--   stop | lost | cancelled | expired, "error", "delay_ms"?: instead of the policy's, "delay_ms_min"?: a lower bound,
--   "delay_ms_max"?, "alone"?: with lost, its worker ran nothing else}]
-- A task whose cancellation was asked for is cancelled by any end but a good one. One whose next time would lie after
-- its expiry has expired, which is a death where the queue says so. A dead head blocks its lane where the queue says so.
-- Returns the seqs that were still this worker's; the others are refused.
create function pawl.fail_v1(p_worker int, p_failures jsonb) returns bigint[]
language plpgsql volatile
set enable_nestloop = off set enable_hashjoin = on as $$
declare
  v_now timestamptz := pawl.now();
  v_ids bigint[] := array(select (f ->> 'id')::bigint from jsonb_array_elements(p_failures) f);
  v_accepted bigint[];
  v_queues int[];
  v_lanes text[];
  v_dead bigint[];
begin
  with failure as materialized (
    select f.* from jsonb_to_recordset(p_failures) as f (id bigint, seq bigint, claim bigint, outcome text,
      error jsonb, delay_ms bigint, delay_ms_min bigint, delay_ms_max bigint, alone boolean) order by f.id
  ), held as materialized (
    select f.outcome, f.error as new_error, f.delay_ms, f.delay_ms_min, f.delay_ms_max,
           t.*, c.claimed_at, c.stream_id, c.priority, c.solo, q.on_dead, q.expired_is_dead,
           coalesce(st.retry, q.retry, pawl.default_retry()) as policy,
           t.attempt + (f.outcome not in ('recoverable', 'snooze', 'expired'))::int as attempt_now,
           t.crashes + (f.outcome = 'lost' and c.solo and f.alone)::int as crashes_now
      from failure f
      join pawl.task t on t.id = f.id and t.seq = f.seq
      join pawl.claim c on c.worker_id = p_worker and c.no = f.claim and c.shard_id = t.shard_id
      join pawl.stream st on st.id = c.stream_id
      join pawl.queue q on q.id = st.queue_id
     where t.id = any (v_ids) and t.state <> 'scheduled' and t.state <> 'blocked' -- is ready
     order by t.id for update of t
  ), timed as materialized (
    select h.*, greatest(least(
        coalesce(h.delay_ms, pawl.retry_delay_ms(h.policy, greatest(h.attempt_now, 1), random())), h.delay_ms_max),
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
        when h.outcome in ('recoverable', 'snooze') then null
        when h.attempt_now >= coalesce(h.max_attempts, (h.policy ->> 'attempts')::int) then 'attempts'
        when v_now + h.delay > h.created_at + (h.policy ->> 'until_ms')::bigint * interval '1 ms' then 'until'
      end as death
      from timed h
  ), aged as materialized (
    select d.*, coalesce(d.end_now, case when d.death is null and v_now + d.delay > d.expires_at then 'expired' end) as over
      from doomed d
  ), judged as materialized (
    select a.*, case when a.over <> 'expired' or not a.expired_is_dead then a.over end as ending,
           case when a.over is null then a.death when a.over = 'expired' and a.expired_is_dead then 'expired' end as dead_reason
      from aged a
  ), retried as (
    update pawl.task t
       set state = 'scheduled', run_at = v_now + j.delay, attempt = j.attempt_now, crashes = j.crashes_now,
           last_error = coalesce(j.new_error, t.last_error),
           shard_id = case when j.solo <> (j.outcome = 'lost')
             then (pawl.shards_of(j.stream_id, j.priority, j.outcome = 'lost'))[1] else t.shard_id end
      from judged j
     where t.id = any (v_ids) and t.id = j.id and t.seq = j.seq and j.dead_reason is null and j.ending is null
  ), remembered as (
    insert into pawl.attempt (task_id, seq, attempt, outcome, worker_id, started_at, ended_at, error)
    select j.id, j.seq, j.attempt + 1, j.outcome, p_worker, j.claimed_at, v_now, j.new_error
      from judged j where j.dead_reason is null and j.ending is null
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
  ), blocked as (
    update pawl.task t
       set state = 'blocked', payload = 'null', meta = null, last_error = null, key = null, expires_at = null
      from judged j
     where t.id = any (v_ids) and t.id = j.id and t.seq = j.seq and j.dead_reason is not null and j.lane is not null and j.on_dead = 'block'
  ), buried as (
    insert into pawl.dead (id, seq, stream_id, worker_id, priority, attempt, max_attempts, crashes, reason,
      created_at, run_at, started_at, died_at, expires_at, payload, meta, ref, lane, key, error)
    select j.id, j.seq, j.stream_id, p_worker, j.priority, j.attempt_now, j.max_attempts, j.crashes_now,
           j.dead_reason, j.created_at, j.run_at, j.claimed_at, v_now, j.expires_at, j.payload, j.meta, j.ref, j.lane,
           j.key, coalesce(j.new_error, j.last_error)
      from judged j where j.dead_reason is not null
  )
  select (select array_agg(j.seq) from judged j),
         (select array_agg(j.id) from judged j where j.dead_reason is not null),
         array_agg(g.queue_id) filter (where g.lane is not null),
         array_agg(g.lane) filter (where g.lane is not null)
    into v_accepted, v_dead, v_queues, v_lanes from gone g;
  if v_lanes is not null then perform pawl.promote_lanes_v1(v_queues, v_lanes); end if;
  if v_dead is not null then perform pawl.announce_dead_v1(v_dead); end if;
  return coalesce(v_accepted, '{}');
end $$;

-- Was this outcome recorded already? Asked only about outcomes that found no task: the answer of the turn
-- that recorded them may have been lost, and the worker sends them again.
create function pawl.is_recorded(p_worker int, p_id bigint, p_seq bigint) returns boolean
language sql stable as $$
  select exists (select 1 from pawl.finished f where f.id = p_id and f.seq = p_seq and f.worker_id = p_worker)
      or exists (select 1 from pawl.attempt a where a.task_id = p_id and a.seq = p_seq and a.worker_id = p_worker)
      or exists (select 1 from pawl.dead d where d.id = p_id and d.seq = p_seq and d.worker_id = p_worker)
$$;

-- Records outcomes; returns the (id, seq) pairs that were refused because the task was no longer this worker's.
create function pawl.settle_v1(p_worker int, p_ids bigint[], p_seqs bigint[], p_claims bigint[],
  p_results text[], p_failures jsonb) returns table (id bigint, seq bigint)
language plpgsql volatile
set enable_nestloop = off set enable_hashjoin = on as $$
#variable_conflict use_column
declare
  v_now timestamptz := pawl.now();
  v_done bigint;
  v_failed bigint[];
  v_queues int[];
  v_lanes text[];
begin
  if cardinality(p_ids) > 0 then
    with gone as (
      delete from pawl.task t
       using (select * from unnest(p_ids, p_seqs, p_claims, p_results) as u (id, seq, claim_no, result) order by u.id) o,
             pawl.claim c
       where t.id = any (p_ids) and t.id = o.id and t.seq = o.seq
         and t.state <> 'scheduled' and t.state <> 'blocked' -- is ready
         and c.worker_id = p_worker and c.no = o.claim_no and c.shard_id = t.shard_id
      returning t.id, t.seq, t.attempt, t.created_at, t.run_at, t.payload, t.meta, t.ref, t.queue_id, t.lane, t.key,
        c.stream_id, c.priority, c.claimed_at, o.result
    ), kept as (
      insert into pawl.finished (id, seq, stream_id, worker_id, priority, attempt, outcome, created_at, run_at,
        started_at, finished_at, payload, meta, ref, lane, key, result)
      select g.id, g.seq, g.stream_id, p_worker, g.priority, g.attempt + 1, 'done', g.created_at, g.run_at,
             g.claimed_at, v_now, g.payload, g.meta, g.ref, g.lane, g.key, g.result::jsonb from gone g
    )
    select count(*), array_agg(g.queue_id) filter (where g.lane is not null),
           array_agg(g.lane) filter (where g.lane is not null)
      into v_done, v_queues, v_lanes from gone g;
    if v_lanes is not null then perform pawl.promote_lanes_v1(v_queues, v_lanes); end if;
    if v_done < cardinality(p_ids) then
      return query
      select o.id, o.seq from unnest(p_ids, p_seqs) as o (id, seq)
       where not pawl.is_recorded(p_worker, o.id, o.seq);
    end if;
  end if;
  if p_failures is not null then
    v_failed := pawl.fail_v1(p_worker, p_failures);
    return query
    select f.id, f.seq from jsonb_to_recordset(p_failures) as f (id bigint, seq bigint)
     where not f.seq = any (v_failed) and not pawl.is_recorded(p_worker, f.id, f.seq);
  end if;
end $$;

-- 25 ms between two sweeps of a shard; up to 200 ms while a long transaction keeps them fruitless,
-- so that a shard's row does not pile up versions behind a pinned horizon.
create function pawl.sweep_pause(p_in_vain smallint) returns interval
language sql immutable as $$ select least(25 * 2 ^ p_in_vain, 200) * interval '1 ms' $$;

-- Finds late commits: ready, at or behind the cursor, in no claim. The caller holds the shard's row.
-- Exact: every transaction takes its xid before its first seq, so once all that were open at the mark have ended
-- and a sweep taken after that has found nothing, nothing can appear at or below the mark.
create function pawl.sweep_v1(p_shard pawl.shard, p_limit int) returns bigint[]
language plpgsql volatile as $$
declare
  v_ended pg_snapshot;
  v_limit int;
  v_claimed bigint[];
  v_seqs bigint[];
begin
  if p_shard.cursor <= p_shard.swept
     or p_shard.swept_at >= pawl.now() - pawl.sweep_pause(p_shard.swept_in_vain) then
    return null;
  end if;
  v_ended := pg_current_snapshot(); -- a statement before the sweep's: what had ended by now, the sweep sees
  v_limit := case when p_shard.solo then 1 else p_limit end;
  select coalesce(array_agg(u.seq), '{}') into v_claimed
    from pawl.claim c cross join lateral unnest(c.seqs) u (seq) where c.shard_id = p_shard.id;
  -- among the first v_limit + |claimed| rows at least v_limit are unclaimed, if there are so many at all
  select array_agg(l.seq order by l.seq) into v_seqs from (
    select e.seq from (
      (select t.seq from pawl.task t where t.shard_id = p_shard.id and t.state = 'ready'
          and t.seq > p_shard.swept and t.seq <= p_shard.cursor
        order by t.seq limit v_limit + cardinality(v_claimed))
      except
      select unnest(v_claimed)) e
    order by e.seq limit v_limit) l;
  if v_seqs is null and pg_snapshot_xmin(v_ended) >= p_shard.mark_xid then
    update pawl.shard s set swept = s.mark, mark = s.cursor, mark_xid = pg_snapshot_xmax(v_ended),
           swept_at = pawl.now(), swept_in_vain = 0 where s.id = p_shard.id;
  else
    update pawl.shard s
       set swept_at = case when cardinality(v_seqs) = v_limit then '-infinity' else pawl.now() end,
           swept_in_vain = case when v_seqs is null then least(s.swept_in_vain + 1, 3) else 0 end
     where s.id = p_shard.id;
  end if;
  return v_seqs;
end $$;

-- One turn. A row without a shard is an outcome that came too late and was refused; the others are the new claim:
-- up to p_limit tasks, from one shard after the other until there are enough; late commits behind a cursor first, then
-- what lies beyond it. Of what has expired the worker only records that. The claim is one row a shard; no task row is
-- touched.
create function pawl.turn_v1(p_worker int, p_ids bigint[], p_seqs bigint[], p_claims bigint[], p_results text[],
  p_failures jsonb, p_gone bigint[], p_claim bigint, p_limit int, p_shards int[], p_solo boolean)
returns table (shard_id int, id bigint, seq bigint, attempt smallint, payload jsonb, meta jsonb, ref text,
  created_at timestamptz, is_expired boolean, is_laned boolean)
language plpgsql volatile
set enable_seqscan = off set enable_bitmapscan = off set enable_hashjoin = off set enable_mergejoin = off set jit = off
set plan_cache_mode = force_generic_plan as $$
#variable_conflict use_column
declare
  v_at timestamptz; -- of the claim: after whatever was waited for
  v_shard pawl.shard;
  v_late bigint[];
  v_try int;
  v_queue int;
  v_stream int;
  v_left int := p_limit;
  v_limit int;
  v_claimed bigint;
  v_probe bigint;
  v_are_holds boolean;
  v_are_limits boolean;
  v_has_waited boolean := false;
  v_may_be_solo boolean := p_solo;
begin
  perform pawl.require_lease(p_worker);
  if p_ids <> '{}' or p_failures is not null then
    return query
    select null::int, s.id, s.seq, null::smallint, null::jsonb, null::jsonb, null, null::timestamptz, null::boolean,
           null::boolean
      from pawl.settle_v1(p_worker, p_ids, p_seqs, p_claims, p_results, p_failures) s;
  end if;
  if p_gone <> '{}' then
    delete from pawl.claim c where c.worker_id = p_worker and c.no = any (p_gone);
  end if;
  if p_limit <= 0 then return; end if;
  perform pg_advisory_xact_lock_shared(pawl.gate_lock());
  v_are_holds := pawl.are_holds();
  v_are_limits := pawl.are_limits();
  foreach v_try in array p_shards loop
    v_limit := v_left;
    continue when v_are_holds and exists (
      select 1 from pawl.shard s cross join lateral pawl.holds_v1(array[s.stream_id]) h where s.id = v_try);
    if v_are_limits then
      select s.queue_id, s.stream_id into v_queue, v_stream from pawl.shard s where s.id = v_try;
      select a.starts, a.at into v_limit, v_at from pawl.allowed_starts(v_queue, v_stream, v_left, not v_has_waited) a;
      -- only the first limits are waited for: two turns never wait for each other
      v_has_waited := v_has_waited or exists (select 1 from pawl.queue_limit l where l.queue_id = v_queue)
        or exists (select 1 from pawl.breaker b where b.stream_id = v_stream);
      continue when v_limit is null or v_limit <= 0;
    end if;
    select s.* into v_shard from pawl.shard s
     where s.id = v_try and (not s.solo or v_may_be_solo)
       and (exists (select 1 from pawl.task t where t.shard_id = s.id and t.state = 'ready' and t.seq > s.cursor)
         or (s.cursor > s.swept and s.swept_at < pawl.now() - pawl.sweep_pause(s.swept_in_vain)))
       for update skip locked;
    continue when not found;
    v_at := coalesce(v_at, pawl.clock_now());
    v_late := pawl.sweep_v1(v_shard, v_limit);
    if v_late is not null then
      insert into pawl.claim (worker_id, no, shard_id, stream_id, queue_id, priority, solo, claimed_at, seqs)
      values (p_worker, p_claim, v_shard.id, v_shard.stream_id, v_shard.queue_id, v_shard.priority, v_shard.solo, pawl.clock_now(), v_late);
      return query
      select t.shard_id, t.id, t.seq, t.attempt, t.payload, t.meta, t.ref, t.created_at, t.expires_at <= v_at, t.lane is not null
        from unnest(v_late) l (seq)
        join pawl.task t on t.shard_id = v_shard.id and t.state = 'ready' and t.seq = l.seq;
    else
      return query
      with next as materialized (
        select t.id, t.seq, t.attempt, t.payload, t.meta, t.ref, t.created_at, t.expires_at <= v_at as is_expired,
               t.lane is not null as is_laned
          from pawl.task t
         where t.shard_id = v_shard.id and t.state = 'ready' and t.seq > v_shard.cursor
         order by t.seq limit case when v_shard.solo then 1 else v_limit end
      ), batch as materialized (
        -- its time is taken after the snapshot that shows the tasks: whatever ended to let them come has ended before
        select array_agg(n.seq) as seqs, max(n.seq) as last, pawl.clock_now() as at from next n having count(*) > 0
      ), moved as (
        update pawl.shard s set cursor = b.last from batch b where s.id = v_shard.id
      ), made as (
        insert into pawl.claim (worker_id, no, shard_id, stream_id, queue_id, priority, solo, claimed_at, seqs)
        select p_worker, p_claim, v_shard.id, v_shard.stream_id, v_shard.queue_id, v_shard.priority, v_shard.solo, b.at, b.seqs
          from batch b
      )
      select v_shard.id, n.id, n.seq, n.attempt, n.payload, n.meta, n.ref, n.created_at, n.is_expired, n.is_laned from next n;
    end if;
    get diagnostics v_claimed = row_count;
    if v_claimed > 0 and v_are_limits then
      select c.claimed_at, c.seqs[1] into v_at, v_probe from pawl.claim c where c.worker_id = p_worker and c.no = p_claim
         and c.shard_id = v_shard.id;
      perform pawl.count_starts(v_shard.queue_id, v_claimed, v_at);
      perform pawl.note_probe(v_shard.id, v_shard.stream_id, v_probe);
    end if;
    v_may_be_solo := v_may_be_solo and not (v_shard.solo and v_claimed > 0);
    v_left := v_left - v_claimed;
    exit when v_left <= 0;
    v_at := null;
  end loop;
end $$;

-- Notes which shards have come into use. Steps from one shard with ready tasks to the next.
create function pawl.use_shards_v1() returns int
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

-- The open shards of these streams that have something to claim (is_ready), or whose sweep is due. Reads only, and
-- nothing of a stream that the gate holds. A row without a shard says when a limit will let more through.
create function pawl.look_v1(p_streams int[]) returns table (shard_id int, stream_id int, priority smallint, solo boolean,
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
           (select min(coalesce(ceil(extract(epoch from g.until - pawl.now()) * 1000), 50))
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

-- The last statement of a handler's own transaction: the task is done if and only if that transaction commits.
-- is_settled is false when the task was no longer this worker's: then it must roll back.
create function pawl.settle_in_transaction_v1(p_worker int, p_id bigint, p_seq bigint, p_claim bigint, p_result text)
returns table (is_settled boolean, xid text)
language plpgsql volatile
set enable_seqscan = off set enable_bitmapscan = off set enable_hashjoin = off set enable_mergejoin = off set jit = off
set plan_cache_mode = force_generic_plan as $$
begin
  perform pawl.require_lease(p_worker);
  return query
  select not exists (select 1 from pawl.settle_v1(p_worker, array[p_id], array[p_seq], array[p_claim], array[p_result], null)),
         pg_current_xact_id()::text;
end $$;

-- What became of such a transaction whose COMMIT had no answer: open, committed, or rolled_back.
create function pawl.settled_v1(p_worker int, p_id bigint, p_seq bigint, p_xid text) returns text
language plpgsql volatile as $$
begin
  if not pg_visible_in_snapshot(p_xid::xid8, pg_current_snapshot()) then return 'open'; end if;
  -- a statement later: what had ended by then is seen
  return case when pawl.is_recorded(p_worker, p_id, p_seq) then 'committed' else 'rolled_back' end;
end $$;
