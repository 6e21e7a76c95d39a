-- What workers read and write while they run steps.

-- What runs have come to: their rows in order, each with what the worker goes by (the output only of the last row of a step that has one),
-- what they have merged, and the signals that no step has taken. is_over: its time has come.
create or replace function pawl.load_runs_v1(p_ids bigint[]) returns table (id bigint, steps jsonb, data jsonb, signals jsonb)
language sql stable
set enable_seqscan = off set jit = off as $$
  select u.id,
         (select jsonb_agg(jsonb_strip_nulls(jsonb_build_object('no', r.no, 'step', r.step, 'outcome', r.outcome, 'next', r.next,
             'is_error', case when r.is_error then true end, 'is_over', r.until <= pawl.now(),
             'left_ms', ceil(extract(epoch from r.until - pawl.now()) * 1000)))
           || case when r.output is null then '{}' else jsonb_build_object('output', r.output) end order by r.no)
            from (select s.no, s.step, s.outcome, s.next, s.until, s.error is not null as is_error,
                         case when s.no = max(s.no) filter (where s.output is not null) over (partition by s.step) then s.output end as output
                    from pawl.process_step s where s.run_id = u.id and s.outcome <> 'abandoned') r),
         (select jsonb_object_agg(k.key, k.value order by s.no) from pawl.process_step s cross join lateral jsonb_each(s.data) k
           where s.run_id = u.id and s.data is not null),
         (select jsonb_agg(jsonb_build_object('id', g.id::text, 'name', g.name, 'payload', g.payload) order by g.id)
            from pawl.process_signal g where g.run_id = u.id and g.taken_no is null)
    from unnest(p_ids) u (id)
$$;

-- Records what became of steps, of many runs at once: [{"id", "seq", "claim", "no", "step", "outcome", "next", "signal", "until_ms",
-- "attempt", "message", "output", "data", "sent", "error", "took_ms", "took": the id of a signal that it takes}]. A step that is done
-- lets the attempts of its task be counted anew. Answers the runs that are no longer this worker's; of them nothing is recorded.
create or replace function pawl.record_steps_v1(p_worker int, p_steps jsonb) returns setof bigint
language plpgsql volatile
set enable_seqscan = off set enable_bitmapscan = off set jit = off set plan_cache_mode = force_generic_plan as $$
declare
  v_now timestamptz := pawl.now();
  v_mine bigint[];
begin
  select pawl.still_mine(p_worker, array_agg(d.id), array_agg(d.seq), array_agg(d.claim),
           coalesce(array_agg(d.id) filter (where d.outcome in ('done', 'skipped')), '{}'))
    into v_mine
    from jsonb_to_recordset(p_steps) d (id bigint, seq bigint, claim bigint, outcome text);
  insert into pawl.process_step as s (run_id, no, seq, step, outcome, next, signal, until, attempt, message, output, data, sent, error,
    started_at, ended_at)
  select d.id, d.no, d.seq, d.step, d.outcome, d.next, d.signal, v_now + d.until_ms * interval '1 ms', coalesce(d.attempt, 1), d.message,
         e.step -> 'output', d.data, d.sent, d.error, v_now - d.took_ms * interval '1 ms', v_now -- of a JSON null, a record makes none
    from jsonb_array_elements(p_steps) e (step)
    cross join lateral jsonb_to_record(e.step) d (id bigint, seq bigint, no int, step text, outcome text, next text, signal text,
      until_ms bigint, attempt smallint, message text, data jsonb, sent jsonb, error jsonb, took_ms float8)
   where d.seq = any (v_mine)
  on conflict (run_id, no) do nothing;
  update pawl.process_signal g set taken_no = d.no
    from jsonb_to_recordset(p_steps) d (id bigint, seq bigint, no int, took bigint)
   where g.id = d.took and g.run_id = d.id and d.seq = any (v_mine);
  -- one whose earlier try had no answer is there already
  return query
  select d.id from jsonb_to_recordset(p_steps) d (id bigint, seq bigint, no int, step text, outcome text)
   where not exists (
     select 1 from pawl.process_step s where s.run_id = d.id and s.no = d.no and s.seq = d.seq and s.step = d.step and s.outcome = d.outcome);
end $$;

-- The last statement of a step's own transaction.
create or replace function pawl.record_in_transaction_v1(p_worker int, p_steps jsonb) returns table (is_settled boolean, xid text)
language plpgsql volatile as $$
begin
  return query select not exists (select 1 from pawl.record_steps_v1(p_worker, p_steps)), pg_current_xact_id()::text;
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
