-- Runs that an operator holds. A hold is a row of the run's own, behind what has been recorded, and changes nothing of what it waits for.

-- Holds a run before its next step. Answers held; requested: a step runs now; ended; unknown; error: it is in error; already: it is held.
create or replace function pawl.hold_run_v1(p_id bigint, p_by text, p_why text, p_action text) returns text
language plpgsql volatile as $$
declare
  v_by text := coalesce(nullif(p_by, ''), session_user);
  v_state text := pawl.lock_task(p_id);
  v_last pawl.process_step := pawl.last_step(p_id);
  v_at text;
begin
  select pawl.step_at(p_id, (v.shape -> 0) ->> 'name') into v_at
    from pawl.task_v1 t left join pawl.process_version v on v.process = t.kind and v.version = t.version
   where t.id = p_id and t.queue = 'processes';
  if not found then return 'unknown'; end if;
  if v_state is null or v_at is null then return 'ended'; end if;
  if v_state = 'dead' then return 'error'; end if;
  if v_state <> 'running' and v_last.outcome = 'held' then return 'already'; end if;
  insert into pawl.process_hold (run_id, by, why) values (p_id, v_by, p_why)
  on conflict (run_id) do update set by = excluded.by, why = excluded.why, asked_at = excluded.asked_at;
  if v_state <> 'running' then
    insert into pawl.process_step (run_id, no, step, outcome, next, message, by, why)
    values (p_id, coalesce(v_last.no, 0) + 1, v_at, 'held', v_at, p_why, v_by, p_why);
  end if;
  perform pawl.audit_v1(p_by, p_action, 'task:' || p_id, p_why, jsonb_build_object('step', v_at));
  return case when v_state = 'running' then 'requested' else 'held' end;
end $$;

-- Holds those of the runs that an operator wants held, behind what was just recorded of them, and answers them. Not one that has only said
-- that its step begins, or has no further step.
create or replace function pawl.hold_recorded(p_steps jsonb, p_mine bigint[]) returns setof bigint
language plpgsql volatile as $$
begin
  insert into pawl.process_step (run_id, no, step, outcome, next, message, by, why)
  select l.id, l.no + 1, l.next, 'held', l.next, h.why, h.by, h.why
    from (select distinct on (d.id) d.id, d.no, d.next, d.outcome from jsonb_to_recordset(p_steps) d (id bigint, seq bigint, no int, next text, outcome text)
           where d.seq = any (p_mine) order by d.id, d.no desc) l
    join pawl.process_hold h on h.run_id = l.id
   where l.next is not null and l.outcome not in ('began', 'held')
     for share of h -- a release that has not committed yet is waited for
  on conflict (run_id, no) do nothing;
  return query
  select s.run_id from jsonb_to_recordset(p_steps) d (id bigint, seq bigint, no int)
    join pawl.process_step s on s.run_id = d.id and s.no = d.no + 1
   where d.seq = any (p_mine) and s.outcome = 'held' and s.seq is null;
end $$;

-- The same of a run whose worker died before the step had ended: held, released: no longer wanted, or lost: it is no longer this worker's.
create or replace function pawl.hold_loaded_v1(p_worker int, p_id bigint, p_seq bigint, p_claim bigint, p_no int, p_step text) returns text
language plpgsql volatile as $$
begin
  if pawl.still_mine(p_worker, array[p_id], array[p_seq], array[p_claim], '{}') = '{}' then return 'lost'; end if;
  perform from pawl.process_hold h where h.run_id = p_id for share;
  if not found then return 'released'; end if;
  insert into pawl.process_step (run_id, no, step, outcome, next, message, by, why)
  select p_id, p_no, p_step, 'held', p_step, h.why, h.by, h.why from pawl.process_hold h where h.run_id = p_id
  on conflict (run_id, no) do nothing;
  return 'held';
end $$;

-- The outcome of a run's last row as it is shown: one that an operator holds while it waits is held, though its worker said so before.
create or replace function pawl.held_or(p_id bigint, p_last text) returns text
language sql stable as $$
  select case when p_last is distinct from 'abandoned' and exists (select from pawl.process_hold h where h.run_id = p_id) then 'held' else p_last end
$$;

-- The run's row p_no waits: nothing came after it but an operator's hold and release.
create or replace function pawl.still_waits(p_run bigint, p_no int) returns boolean
language sql stable as $$
  select not exists (select from pawl.process_step l
    where l.run_id = p_run and l.no > p_no and not (l.outcome in ('held', 'released') and l.seq is null))
$$;

-- A released run waits on for what it waited for when it was held: its row is written once more, as p_no.
create or replace function pawl.wait_on(p_run bigint, p_no int) returns void
language sql volatile as $$
  insert into pawl.process_step (run_id, no, step, outcome, next, signal, until, attempt)
  select s.run_id, p_no, s.step, s.outcome, s.next, s.signal, s.until, s.attempt
    from pawl.process_step s
   where s.run_id = p_run and s.outcome in ('waiting', 'sleeping')
     and not exists (select from pawl.process_step l where l.run_id = p_run and l.no > s.no and l.outcome not in ('failed', 'again')
       and not (l.outcome in ('held', 'released') and l.seq is null))
   order by s.no desc limit 1
$$;
