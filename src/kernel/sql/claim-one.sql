-- Claims one task, due or not, for this worker alone. Returns claimed, with the columns of a turn, or why not: running, held (by the
-- gate; see detail) or busy (call again). No row: it is not live, or waits in a lane. It moves to the solo
-- shard of its priority, and the cursor there over it; the sweep finds other tasks that are ready there. A failed attempt
-- brings it back to the shards of its kind. Locks in the order of changes to tasks, then the gate; it does not wait for limits and the solo shard.
create or replace function pawl.claim_one_v1(p_worker int, p_claim bigint, p_id bigint)
returns table (outcome text, detail jsonb, stream_id int, shard_id int, id bigint, seq bigint, attempt smallint, payload jsonb,
  meta jsonb, ref text, created_at timestamptz, is_expired boolean, is_laned boolean)
language plpgsql volatile
set enable_seqscan = off set enable_bitmapscan = off set jit = off as $$
#variable_conflict use_column
declare
  v_from pawl.shard;
  v_solo pawl.shard;
  v_task pawl.task;
  v_is_running boolean;
  v_starts int;
  v_is_keyed boolean := false;
  v_key text;
  v_at timestamptz;
begin
  perform pawl.require_lease(p_worker);
  perform pg_current_xact_id(); -- before the seq
  select k.is_running into v_is_running from pawl.take_tasks_v1(array[p_id]) k where k.state in ('ready', 'scheduled', 'limited');
  if not found then return; end if;
  select t.* into v_task from pawl.task t where t.id = p_id;
  select s.* into v_from from pawl.shard s where s.id = v_task.shard_id;
  stream_id := v_from.stream_id;
  outcome := 'running';
  if v_is_running then return next; return; end if;
  perform pg_advisory_xact_lock_shared(pawl.gate_lock());
  select to_jsonb(g) into detail from pawl.gate_v1(array[v_from.stream_id]) g order by g.reason <> 'off' limit 1;
  outcome := 'held';
  if found then return next; return; end if;
  outcome := 'busy';
  v_at := pawl.clock_now();
  if pawl.are_limits() then
    select a.starts, coalesce(a.at, v_at), coalesce(a.is_keyed, false) into v_starts, v_at, v_is_keyed
      from pawl.allowed_starts(v_from.queue_id, v_from.stream_id, 1, false) a;
    if coalesce(v_starts, 0) <= 0 then return next; return; end if;
    v_key := case when v_is_keyed then v_task.limit_key end;
    if v_key is not null and exists (select from pawl.room_of_keys(v_from.queue_id, array[v_key], array[1], v_at) r where r.room <= 0) then
      outcome := 'held';
      select jsonb_build_object('reason', 'limit_key', 'until', k.until, 'detail', k.detail) into detail from pawl.why_limited(v_task) k;
      return next;
      return;
    end if;
  end if;
  select s.* into v_solo from pawl.shard s
   where s.id = (pawl.shards_of(v_from.stream_id, v_from.priority, true))[1] for update skip locked;
  if not found then return next; return; end if;
  update pawl.task t set shard_id = v_solo.id, seq = nextval('pawl.seq'), state = 'ready', run_at = least(t.run_at, v_at)
   where t.id = p_id returning t.* into v_task;
  update pawl.shard s set cursor = greatest(s.cursor, v_task.seq), is_used = true where s.id = v_solo.id;
  insert into pawl.claim (worker_id, no, shard_id, stream_id, queue_id, priority, solo, claimed_at, seqs, limit_keys)
  values (p_worker, p_claim, v_solo.id, v_solo.stream_id, v_solo.queue_id, v_solo.priority, true, pawl.clock_now(), array[v_task.seq],
    case when v_is_keyed then array[v_key] end);
  perform pawl.count_starts(v_solo.queue_id, v_solo.stream_id, 1, v_at);
  if v_key is not null then perform pawl.count_key_starts(v_solo.queue_id, array[v_key], array[1], v_at); end if;
  return query
  select 'claimed', null::jsonb, v_solo.stream_id, v_solo.id, v_task.id, v_task.seq, v_task.attempt, v_task.payload, v_task.meta,
         v_task.ref, v_task.created_at, coalesce(v_task.expires_at <= v_at, false), v_task.lane is not null;
end $$;
