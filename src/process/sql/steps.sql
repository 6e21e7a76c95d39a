-- What workers read and write while they run steps.

-- What runs have come to: their rows in order, each with what the worker goes by (the output only of the last row of a step that has one),
-- what they have merged, and the signals that no step has taken. is_over: its time has come. is_own: by an operator. is_to_hold: an operator wants it.
create or replace function pawl.load_runs_v1(p_ids bigint[]) returns table (id bigint, steps jsonb, data jsonb, signals jsonb, is_to_hold boolean)
language sql stable
set enable_seqscan = off set jit = off as $$
  select u.id,
         (select jsonb_agg(jsonb_strip_nulls(jsonb_build_object('no', r.no, 'step', r.step, 'outcome', r.outcome, 'next', r.next,
             'is_error', case when r.is_error then true end, 'attempt', case when r.is_error then r.attempt end, 'is_over', r.until <= pawl.now(), 'by_operator', case when r.outcome = 'held' and r.seq is null then true end,
             'signal', case when r.outcome = 'waiting' then r.signal end,
             'left_ms', ceil(extract(epoch from r.until - pawl.now()) * 1000)))
           || case when r.output is null then '{}' else jsonb_build_object('output', r.output) end
           || case when r.no = r.last_wait and r.signal like 'pawl:event:%'
                then jsonb_build_object('event', pawl.event_ending(substr(r.signal, 12)::uuid)) else '{}' end order by r.no)
            from (select s.no, s.seq, s.step, s.outcome, s.next, s.signal, s.until, s.attempt, s.error is not null as is_error,
                         max(s.no) filter (where s.outcome = 'waiting') over () as last_wait,
                         case when s.outcome = 'migrated' or s.no = max(s.no) filter (where s.output is not null and s.outcome <> 'migrated')
                             over (partition by s.step) then s.output end as output
                    from pawl.process_step s where s.run_id = u.id and s.outcome <> 'abandoned') r),
         (select jsonb_object_agg(k.key, k.value order by s.no) from pawl.process_step s cross join lateral jsonb_each(s.data) k
           where s.run_id = u.id and s.data is not null and s.no >= coalesce((select max(m.no) from pawl.process_step m
             where m.run_id = u.id and m.outcome = 'migrated'), 0)), -- which has all of it
         (select jsonb_agg(jsonb_build_object('id', g.id::text, 'name', g.name, 'payload', g.payload) order by g.id)
            from pawl.process_signal g where g.run_id = u.id and g.taken_no is null),
         exists (select from pawl.process_hold h where h.run_id = u.id)
    from unnest(p_ids) u (id)
$$;

-- Records what became of steps, of many runs at once: [{"id", "seq", "claim", "no", "step", "outcome", "next", "signal", "until_ms",
-- "attempt", "message", "output", "data", "sent", "notes", "error", "took_ms", "took": the id of a signal that it takes, "start": a run whose end it
-- waits for, or "request" or "event"}]. A step that is done lets the attempts of its task be counted anew. Answers the runs that are no longer
-- this worker's, of which nothing is recorded (lost); and those that an operator wants held, after what was recorded (held).
create or replace function pawl.record_steps(p_worker int, p_steps jsonb) returns table (id bigint, what text)
language plpgsql volatile
set enable_seqscan = off set enable_bitmapscan = off set enable_hashjoin = off set enable_mergejoin = off set jit = off
set plan_cache_mode = force_generic_plan as $$
#variable_conflict use_column
declare
  v_now timestamptz := pawl.now();
  v_mine bigint[];
  v_starts boolean;
  v_records boolean;
  v_going bigint[];
begin
  select bool_or(d.start is not null or d.request is not null), bool_or(d.event is not null), pawl.still_mine(p_worker, array_agg(d.id), array_agg(d.seq), array_agg(d.claim),
           coalesce(array_agg(d.id) filter (where d.outcome in ('done', 'skipped')), '{}'))
    into v_starts, v_records, v_mine
    from jsonb_to_recordset(p_steps) d (id bigint, seq bigint, claim bigint, outcome text, start jsonb, request jsonb, event jsonb);
  insert into pawl.process_step as s (run_id, no, seq, step, outcome, next, signal, until, attempt, message, output, data, sent, notes, error,
    started_at, ended_at)
  select d.id, d.no, d.seq, d.step, d.outcome, d.next, d.signal, v_now + d.until_ms * interval '1 ms', coalesce(d.attempt, 1), d.message,
         e.step -> 'output', d.data, d.sent, d.notes, d.error, v_now - d.took_ms * interval '1 ms', v_now -- of a JSON null, a record makes none
    from jsonb_array_elements(p_steps) e (step)
    cross join lateral jsonb_to_record(e.step) d (id bigint, seq bigint, no int, step text, outcome text, next text, signal text,
      until_ms bigint, attempt smallint, message text, data jsonb, sent jsonb, notes jsonb, error jsonb, took_ms float8)
   where d.seq = any (v_mine)
  on conflict (run_id, no) do nothing;
  if v_starts or v_records then v_going := pawl.not_abandoned(p_steps, v_mine); end if;
  if v_starts then perform pawl.start_waited(p_steps, v_going); end if;
  if v_records then perform pawl.record_waited(p_steps, v_going); end if;
  update pawl.process_signal g set taken_no = d.no
    from jsonb_to_recordset(p_steps) d (id bigint, seq bigint, no int, took bigint)
   where g.id = d.took and g.run_id = d.id and d.seq = any (v_mine);
  if exists (select from pawl.process_hold) then return query select h.id, 'held' from pawl.hold_recorded(p_steps, v_mine) h (id); end if;
  -- one whose earlier try had no answer is there already
  return query
  select d.id, 'lost' from jsonb_to_recordset(p_steps) d (id bigint, seq bigint, no int, step text, outcome text)
   where not exists (
     select 1 from pawl.process_step s where s.run_id = d.id and s.no = d.no and s.seq = d.seq and s.step = d.step and s.outcome = d.outcome);
end $$;

-- As above, and waits no longer than this for a lock that somebody's transaction holds, such as that of a key.
create or replace function pawl.record_steps_v1(p_worker int, p_steps jsonb) returns table (id bigint, what text)
language plpgsql volatile
set lock_timeout = '300ms' as $$
begin
  return query select r.id, r.what from pawl.record_steps(p_worker, p_steps) r;
end $$;

-- The last statement of a step's own transaction.
create or replace function pawl.record_in_transaction_v1(p_worker int, p_steps jsonb) returns table (is_settled boolean, xid text, is_held boolean)
language plpgsql volatile as $$
begin
  return query
  select not coalesce(bool_or(r.what = 'lost'), false), pg_current_xact_id()::text, coalesce(bool_or(r.what = 'held'), false)
    from pawl.record_steps(p_worker, p_steps) r;
end $$;

-- What became of such a transaction whose COMMIT had no answer: open, committed, or rolled_back.
create or replace function pawl.step_recorded_v1(p_id bigint, p_no int, p_seq bigint, p_xid text) returns text
language plpgsql volatile as $$
begin
  if not pg_visible_in_snapshot(p_xid::xid8, pg_current_snapshot()) then return 'open'; end if;
  -- a statement later: what had ended by then is seen
  return case when exists (select 1 from pawl.process_step s where s.run_id = p_id and s.no = p_no and s.seq = p_seq)
    then 'committed' else 'rolled_back' end;
end $$;
