-- The turn: settle what ended, then claim from one shard. One statement of the worker, each step a statement
-- of its own with a fresh snapshot (READ COMMITTED).
-- Lock order: the worker's advisory lock -> tasks -> claims -> the gate -> one queue's limits -> a breaker -> one shard (never waited
-- for). Rescue takes a dead worker's lock exclusively first, so a turn and a rescue of the same worker never meet in the
-- middle. Code that changes unclaimed tasks locks their shards first, then the tasks: no claim can start meanwhile.

-- Plans are pinned by the entry functions (turn, look, rescue …): tables that fill and empty within seconds mislead the
-- planner, and every access here is an index probe. Tasks are found by an array of ids, which leaves no other path than
-- their primary key: for a join, the planner may take an index whole that it believes to be empty. For the same reason
-- states are compared so that no partial index fits, and the tasks of claims are found by comparing whole index rows: of two
-- equalities the planner may take one for the index and the other for a filter.

-- lock_timeout, here and in the other functions of workers, says how long a statement waits for a lock that somebody holds, such as
-- a person in a transaction. Each statement is tried again, and the worker's other work goes on. Handlers' own transactions have no such
-- limit: each delays only itself.

-- 25 ms between two sweeps of a shard; up to 200 ms while a long transaction keeps them fruitless,
-- so that a shard's row does not pile up versions behind a pinned horizon.
create or replace function pawl.sweep_pause(p_in_vain smallint) returns interval
language sql immutable return least(25 * 2 ^ p_in_vain, 200) * interval '1 ms';

-- Finds late commits: ready, at or behind the cursor, in no claim. The caller holds the shard's row.
-- Exact: every transaction takes its xid before its first seq, so once all that were open at the mark have ended
-- and a sweep taken after that has found nothing, nothing can appear at or below the mark.
create or replace function pawl.sweep_v1(p_shard pawl.shard, p_limit int) returns bigint[]
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

-- One turn. A row without a shard is an outcome that came too late and was refused, or, with a payload, what became of a
-- failure; the others are the new claim:
-- up to p_limit tasks, from one shard after the other until there are enough; late commits behind a cursor first, then
-- what lies beyond it. A row without an id is a shard that went on without a start, because of limit keys. Of what has expired the worker only records that. The claim is one row a shard; no task row is
-- touched.
-- 1. settle what ended
-- 2. one shard after the other, unless the gate holds it
-- 3. as many starts as the limits leave
-- 4. lock the shard, if something is in it
-- 5. with limits per key, claim what lies beyond its cursor if every key has room
-- 6. or claim late commits behind its cursor; with limits per key, also what may start of that which lies beyond it
-- 7. or claim what lies beyond it, and move the cursor
-- 8. count the starts
create or replace function pawl.turn_v1(p_worker int, p_ids bigint[], p_seqs bigint[], p_claims bigint[], p_results text[],
  p_failures jsonb, p_gone bigint[], p_claim bigint, p_limit int, p_shards int[], p_solo boolean)
returns table (shard_id int, id bigint, seq bigint, attempt smallint, payload jsonb, meta jsonb, ref text,
  created_at timestamptz, is_expired boolean, is_laned boolean)
language plpgsql volatile
set enable_seqscan = off set enable_bitmapscan = off set enable_hashjoin = off set enable_mergejoin = off set jit = off
set plan_cache_mode = force_generic_plan
set lock_timeout = '300ms' as $$
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
  v_held int[] := '{}'; -- streams that may start nothing
  v_are_limits boolean;
  v_is_keyed boolean := false;
  v_keys text[]; -- the limit keys of what is claimed
  v_has_moved boolean;
  v_has_waited boolean := false;
  v_may_be_solo boolean := p_solo;
begin
  perform pawl.require_lease(p_worker);
  -- 1. settle what ended
  if p_ids <> '{}' or p_failures is not null then
    return query
    select null::int, s.id, s.seq, null::smallint, s.fate, null::jsonb, null, null::timestamptz, null::boolean,
           null::boolean
      from pawl.settle_v1(p_worker, p_ids, p_seqs, p_claims, p_results, p_failures) s;
  end if;
  if p_gone <> '{}' then
    delete from pawl.claim c where c.worker_id = p_worker and c.no = any (p_gone);
  end if;
  -- 2. one shard after the other, unless the gate holds it
  if p_limit <= 0 then return; end if;
  perform pg_advisory_xact_lock_shared(pawl.gate_lock());
  if pawl.are_holds() then
    v_held := array(select h.stream_id from pawl.holds_v1(array(select distinct s.stream_id from pawl.shard s where s.id = any (p_shards))) h);
  end if;
  v_are_limits := pawl.are_limits();
  foreach v_try in array p_shards loop
    v_limit := v_left;
    continue when v_held <> '{}' and exists (select 1 from pawl.shard s where s.id = v_try and s.stream_id = any (v_held));
    -- 3. as many starts as the limits leave
    if v_are_limits then
      select s.queue_id, s.stream_id into v_queue, v_stream from pawl.shard s where s.id = v_try;
      select a.starts, a.at, a.is_keyed into v_limit, v_at, v_is_keyed from pawl.allowed_starts(v_queue, v_stream, v_left, not v_has_waited) a;
      -- only the first limits are waited for: two turns never wait for each other
      v_has_waited := v_has_waited or exists (select 1 from pawl.queue_limit l where l.queue_id = v_queue)
        or exists (select 1 from pawl.breaker b where b.stream_id = v_stream);
      continue when v_limit is null or v_limit <= 0;
    end if;
    -- 4. lock the shard, if something is in it
    select s.* into v_shard from pawl.shard s
     where s.id = v_try and (not s.solo or v_may_be_solo)
       and (exists (select 1 from pawl.task t where t.shard_id = s.id and t.state = 'ready' and t.seq > s.cursor)
         or (s.cursor > s.swept and s.swept_at < pawl.now() - pawl.sweep_pause(s.swept_in_vain)))
       for update skip locked;
    continue when not found;
    -- 5. with limits per key, claim what lies beyond its cursor if every key has room
    v_at := coalesce(v_at, pawl.clock_now());
    v_late := pawl.sweep_v1(v_shard, v_limit);
    v_keys := null;
    v_claimed := 0;
    if v_is_keyed and v_late is null then
      return query
      select v_shard.id, c.id, c.seq, c.attempt, c.payload, c.meta, c.ref, c.created_at, c.is_expired, c.is_laned
        from pawl.claim_with_room(p_worker, p_claim, v_shard, v_limit) c;
      get diagnostics v_claimed = row_count;
    end if;
    -- 6. or claim late commits behind its cursor; with limits per key, also what may start of that which lies beyond it
    if v_is_keyed and v_claimed = 0 then
      select k.seqs, k.keys, k.at, k.has_moved into v_late, v_keys, v_at, v_has_moved
        from pawl.next_of_keys(v_shard, v_late, v_limit, v_at) k;
      if v_late = '{}' then
        if v_has_moved then
          return query select v_try, null::bigint, null::bigint, null::smallint, null::jsonb, null::jsonb, null, null::timestamptz,
            null::boolean, null::boolean;
        end if;
        continue;
      end if;
    end if;
    if v_late is not null then
      insert into pawl.claim (worker_id, no, shard_id, stream_id, queue_id, priority, solo, claimed_at, seqs, limit_keys)
      values (p_worker, p_claim, v_shard.id, v_shard.stream_id, v_shard.queue_id, v_shard.priority, v_shard.solo,
        case when v_is_keyed then v_at else pawl.clock_now() end, v_late, v_keys);
      return query
      select t.shard_id, t.id, t.seq, t.attempt, t.payload, t.meta, t.ref, t.created_at, t.expires_at <= v_at, t.lane is not null
        from unnest(v_late) l (seq)
        cross join lateral ( -- offset 0: as in pawl.claimed_task
          select * from pawl.task r where r.state = 'ready' and r.shard_id = v_shard.id and r.seq = l.seq offset 0) t;
      get diagnostics v_claimed = row_count;
    elsif v_claimed = 0 then
      -- 7. or claim what lies beyond it, and move the cursor
      return query
      with next as materialized (
        select t.id, t.seq, t.attempt, t.payload, t.meta, t.ref, t.created_at, t.expires_at <= v_at as is_expired,
               t.lane is not null as is_laned
          from pawl.task t
         where t.shard_id = v_shard.id and t.state = 'ready' and t.seq > v_shard.cursor
         order by t.seq limit case when v_shard.solo then 1 else v_limit end
      ), batch as materialized (
        -- its time is taken after the snapshot that shows the tasks, so it is after the end of the tasks that made room for them
        select array_agg(n.seq) as seqs, max(n.seq) as last, pawl.clock_now() as at from next n having count(*) > 0
      ), moved as (
        update pawl.shard s set cursor = b.last from batch b where s.id = v_shard.id
      ), made as (
        insert into pawl.claim (worker_id, no, shard_id, stream_id, queue_id, priority, solo, claimed_at, seqs)
        select p_worker, p_claim, v_shard.id, v_shard.stream_id, v_shard.queue_id, v_shard.priority, v_shard.solo, b.at, b.seqs
          from batch b
      )
      select v_shard.id, n.id, n.seq, n.attempt, n.payload, n.meta, n.ref, n.created_at, n.is_expired, n.is_laned from next n;
      get diagnostics v_claimed = row_count;
    end if;
    -- 8. count the starts
    if v_claimed > 0 and v_are_limits then
      select c.claimed_at, c.seqs[1] into v_at, v_probe from pawl.claim c where c.worker_id = p_worker and c.no = p_claim
         and c.shard_id = v_shard.id;
      perform pawl.count_starts(v_shard.queue_id, v_shard.stream_id, v_claimed, v_at);
      perform pawl.note_probe(v_shard.id, v_shard.stream_id, v_probe);
    end if;
    v_may_be_solo := v_may_be_solo and not (v_shard.solo and v_claimed > 0);
    v_left := v_left - v_claimed;
    exit when v_left <= 0;
    v_at := null;
  end loop;
end $$;
