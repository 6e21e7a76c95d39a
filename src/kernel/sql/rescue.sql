-- Giving tasks back: by a worker itself, or by others when its lease has run out.

-- Gives unsettled tasks of these claims back, uncounted, in their old order, and deletes the claims. Tasks with a requested cancellation are cancelled.
create or replace function pawl.give_back_v1(p_worker int, p_claims bigint[]) returns int
language plpgsql volatile
set enable_seqscan = off set enable_bitmapscan = off set enable_hashjoin = off set enable_mergejoin = off set jit = off
set plan_cache_mode = force_generic_plan as $$
declare
  v_ids bigint[];
  v_seqs bigint[];
  v_back bigint[];
  v_cancelled bigint[];
begin
  perform pawl.require_read_committed();
  perform pg_advisory_xact_lock_shared(pawl.worker_locks(), p_worker);
  perform pg_current_xact_id(); -- before the first seq
  select array_agg(c.id), array_agg(c.seq) into v_ids, v_seqs from pawl.claimed_task c
   where c.worker_id = p_worker and c.no = any (p_claims);
  with held as materialized (
    select t.id, t.seq, t.cancel_requested_at from pawl.task t
     where t.id = any (v_ids) and t.seq = any (v_seqs) and t.state <> 'scheduled' and t.state <> 'blocked' -- is ready
     order by t.id for update
  )
  select array_agg(h.id order by h.seq) filter (where h.cancel_requested_at is null),
         array_agg(h.id) filter (where h.cancel_requested_at is not null)
    into v_back, v_cancelled from held h;
  v_seqs := array(select nextval('pawl.seq') from generate_series(1, cardinality(v_back)));
  update pawl.task t set seq = v_seqs[array_position(v_back, t.id)] where t.id = any (v_back);
  if v_cancelled is not null then perform pawl.finish_v1(v_cancelled, 'cancelled', null); end if;
  delete from pawl.claim c where c.worker_id = p_worker and c.no = any (p_claims);
  if v_back is not null then perform pawl.wake_v1(); end if;
  return coalesce(cardinality(v_back), 0);
end $$;

-- Takes the tasks of a worker whose lease ran out, one worker per call: the attempt is counted as lost. A lost task is due at
-- once, since the lease was a pause. A task that was lost before is a suspect: suspects are claimed one at a time. The one that began
-- last comes first, since it is more likely to have killed the worker than those that had run for long; suspects that already wait
-- come after it. Only a further loss at which the worker ran nothing else counts as the task's own crash.
-- fates: what became of them, as fail_v1 returns it.
create or replace function pawl.rescue_v1() returns table (worker_id int, tasks int, fates jsonb)
language plpgsql volatile
set enable_seqscan = off set enable_bitmapscan = off set enable_hashjoin = off set enable_mergejoin = off set jit = off
set plan_cache_mode = force_generic_plan
set lock_timeout = '1s' as $$
#variable_conflict use_column
declare
  v_worker int;
  v_error jsonb;
  v_lost jsonb;
  v_shards int[];
begin
  for v_worker in
    select w.id from pawl.worker w
     where w.ended_at is null and w.lease_until <= pawl.now() order by w.id
  loop
    begin -- a row that somebody holds keeps one worker's tasks, not those of all that follow
      continue when not pg_try_advisory_xact_lock(pawl.worker_locks(), v_worker);
      update pawl.worker w set ended_at = pawl.now(), ended_why = 'lost', idle = false, running = 0
       where w.id = v_worker and w.ended_at is null and w.lease_until <= pawl.now();
      continue when not found;
      v_error := jsonb_build_object('name', 'WorkerLost', 'message', format('worker %s: its lease ran out while it ran this task', v_worker));
      select jsonb_agg(jsonb_build_object('id', l.id, 'seq', l.seq, 'claim', l.no, 'outcome', 'lost',
          'error', v_error, 'delay_ms', case when l.losses > 0 then l.place else 0 end, 'alone', l.total = 1)) into v_lost
        from (select c.id, c.seq, c.losses, c.no, count(*) over () as total,
                     row_number() over (order by c.claimed_at desc, c.id) - 1 as place
                from pawl.claimed_task c where c.worker_id = v_worker) l;
      v_shards := array(
        select s.id from pawl.shard s
         where s.solo and (s.stream_id, s.priority) in (
           select c.stream_id, c.priority from pawl.claim c where c.worker_id = v_worker and c.solo)
         order by s.id for update skip locked);
      -- in a later statement: it sees what was claimed before the lock
      update pawl.task t set state = 'scheduled', run_at = pawl.now() + interval '1 s'
       where t.shard_id = any (v_shards) and t.state = 'ready'
         and not exists (select 1 from pawl.claim c where c.shard_id = t.shard_id and t.seq = any (c.seqs));
      fates := case when v_lost is not null then pawl.fail_v1(v_worker, v_lost) end;
      delete from pawl.claim c where c.worker_id = v_worker;
      worker_id := v_worker;
      tasks := coalesce(jsonb_array_length(v_lost), 0);
      return next;
      return;
    exception when lock_not_available then null;
    end;
  end loop;
end $$;
