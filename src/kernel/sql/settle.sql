-- Records outcomes: of a turn, and of a handler's own transaction.

-- True if this outcome was recorded already. Called only for outcomes that found no task: the answer of the turn
-- that recorded them may have been lost, and the worker sends them again.
create or replace function pawl.is_recorded(p_worker int, p_id bigint, p_seq bigint) returns boolean
language sql stable
return exists (select 1 from pawl.finished f where f.id = p_id and f.seq = p_seq and f.worker_id = p_worker)
      or exists (select 1 from pawl.attempt a where a.task_id = p_id and a.seq = p_seq and a.worker_id = p_worker)
      or exists (select 1 from pawl.dead d where d.id = p_id and d.seq = p_seq and d.worker_id = p_worker);

-- Returns those of the tasks whose rows somebody else has locked. Keeps no lock after this statement.
create or replace function pawl.held_tasks_v1(p_ids bigint[]) returns setof bigint
language sql volatile as $$
  with free as materialized (select t.id from pawl.task t where t.id = any (p_ids) for update skip locked)
  select t.id from pawl.task t where t.id = any (p_ids) except select f.id from free f
$$;

-- Records outcomes; returns the (id, seq) pairs that were refused because the task was no longer this worker's, and of
-- other failures their fate (see fail_v1).
create or replace function pawl.settle_v1(p_worker int, p_ids bigint[], p_seqs bigint[], p_claims bigint[],
  p_results text[], p_failures jsonb) returns table (id bigint, seq bigint, fate jsonb)
language plpgsql volatile
set enable_nestloop = off set enable_hashjoin = on as $$
#variable_conflict use_column
declare
  v_now timestamptz := pawl.now();
  v_done bigint;
  v_fates jsonb;
  v_queues int[];
  v_lanes text[];
  v_watched bigint[];
  v_key_queues int[];
  v_keys text[];
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
        t.limit_key, t.is_watched or t.is_awaited as is_watched, c.stream_id, c.priority, c.claimed_at, o.result
    ), kept as (
      insert into pawl.finished (id, seq, stream_id, worker_id, priority, attempt, outcome, created_at, run_at,
        started_at, finished_at, payload, meta, ref, lane, key, result)
      select g.id, g.seq, g.stream_id, p_worker, g.priority, g.attempt + 1, 'done', g.created_at, g.run_at,
             g.claimed_at, v_now, g.payload, g.meta, g.ref, g.lane, g.key, g.result::jsonb from gone g
    )
    select count(*), array_agg(g.queue_id) filter (where g.lane is not null),
           array_agg(g.lane) filter (where g.lane is not null),
           array_agg(g.id) filter (where g.is_watched),
           array_agg(g.queue_id) filter (where g.limit_key is not null), array_agg(g.limit_key) filter (where g.limit_key is not null)
      into v_done, v_queues, v_lanes, v_watched, v_key_queues, v_keys from gone g;
    if v_lanes is not null then perform pawl.promote_lanes_v1(v_queues, v_lanes); end if;
    if v_keys is not null then perform pawl.admit_keys(v_key_queues, v_keys); end if;
    if v_watched is not null then perform pawl.tell_ends(v_watched); end if;
    if v_done < cardinality(p_ids) then
      return query
      select o.id, o.seq, null::jsonb from unnest(p_ids, p_seqs) as o (id, seq)
       where not pawl.is_recorded(p_worker, o.id, o.seq);
    end if;
  end if;
  if p_failures is not null then
    v_fates := pawl.fail_v1(p_worker, p_failures);
    return query
    select f.id, f.seq, a.fate
      from jsonb_to_recordset(p_failures) as f (id bigint, seq bigint)
      left join (select (x.fate ->> 'seq')::bigint as seq, x.fate from jsonb_array_elements(v_fates) x (fate)) a on a.seq = f.seq
     where a.fate is not null or not pawl.is_recorded(p_worker, f.id, f.seq);
  end if;
end $$;

-- The last statement of a handler's own transaction: the task is done if and only if that transaction commits.
-- is_settled is false when the task was no longer this worker's: then it must roll back.
create or replace function pawl.settle_in_transaction_v1(p_worker int, p_id bigint, p_seq bigint, p_claim bigint, p_result text)
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

-- Returns what became of such a transaction whose COMMIT had no answer: open, committed, or rolled_back.
create or replace function pawl.settled_v1(p_worker int, p_id bigint, p_seq bigint, p_xid text) returns text
language plpgsql volatile as $$
begin
  if not pg_visible_in_snapshot(p_xid::xid8, pg_current_snapshot()) then return 'open'; end if;
  -- in a later statement: it sees what had ended by then
  return case when pawl.is_recorded(p_worker, p_id, p_seq) then 'committed' else 'rolled_back' end;
end $$;
