-- What comes to runs from outside: signals, and what operators decide.

-- Sends a signal to a run; p_action: an operator does. Answers sent; ended: the run has ended; unknown: there is none; unawaited: no step of it waits for such a signal.
create or replace function pawl.signal_process_v1(p_id bigint, p_name text, p_payload jsonb, p_by text, p_why text default null, p_action text default null,
  p_xid text default null)
returns text
language plpgsql volatile as $$
declare
  v_state text;
  v_last pawl.process_step;
  v_kind text;
  v_version int;
begin
  if p_xid <> coalesce(pg_current_xact_id_if_assigned()::text, '') then return null; end if;
  select t.kind, t.version into v_kind, v_version from pawl.task_v1 t where t.id = p_id and t.queue = 'processes';
  if not found then return 'unknown'; end if;
  if exists (select 1 from pawl.process_version v where v.process = v_kind and v.version = v_version
      and not v.shape @> jsonb_build_array(jsonb_build_object('signal', p_name))) then
    return 'unawaited';
  end if;
  v_state := pawl.hold_task(p_id);
  if v_state is null then return 'ended'; end if;
  insert into pawl.process_signal (run_id, name, payload, sent_by) values (p_id, p_name, coalesce(p_payload, 'null'), p_by);
  if p_action is not null then
    perform pawl.audit_v1(p_by, p_action, 'task:' || p_id, p_why, jsonb_build_object('signal', p_name));
  end if;
  v_last := pawl.last_step(p_id);
  -- what runs may be about to wait; what is dead takes it when it is restarted
  if v_state = 'ready' or (v_state = 'scheduled' and v_last.outcome in ('waiting', 'failed') and v_last.signal = p_name) then
    perform pawl.wake_tasks(array[p_id]);
  end if;
  return 'sent';
end $$;

-- What an operator decides about a run that does not run now: restarted (goes on at p_step, or where it stands), skipped and completed
-- (p_step, where it has to stand, with p_output), released (from its hold). Answers changed; running; ended; unknown; no_step: there is no
-- such step; moved: it stands elsewhere, or no longer has p_status and stands p_at, as it was seen (null: however it is); not_held;
-- duplicate: another run has its key.
create or replace function pawl.change_run_v1(p_id bigint, p_outcome text, p_step text, p_output jsonb, p_by text, p_why text, p_action text,
  p_status text default null, p_at text default null)
returns text
language plpgsql volatile as $$
declare
  v_state text;
  v_shown text;
  v_last pawl.process_step;
  v_steps text[];
  v_at text;
  v_place int;
begin
  v_state := pawl.lock_task(p_id);
  select array(select e.step ->> 'name' from jsonb_array_elements(v.shape) with ordinality e (step, place) order by e.place), t.state
    into v_steps, v_shown
    from pawl.task_v1 t join pawl.process_version v on v.process = t.kind and v.version = t.version
   where t.id = p_id and t.queue = 'processes';
  if not found then return 'unknown'; end if;
  if v_state is null then return 'ended'; end if;
  if v_state = 'running' then
    if p_outcome <> 'released' then return 'running'; end if;
    delete from pawl.process_hold h where h.run_id = p_id;
    if not found then return 'running'; end if;
    v_last := pawl.last_step(p_id);
    if v_last.outcome is distinct from 'held' then
      perform pawl.audit_v1(p_by, p_action, 'task:' || p_id, p_why, '{}');
      return 'changed';
    end if; -- else it is about to be parked
  end if;
  v_last := pawl.last_step(p_id);
  v_at := pawl.step_at(p_id, v_steps[1]);
  if p_outcome = 'released' and (v_state = 'dead' or pawl.held_or(p_id, v_last.outcome) is distinct from 'held') then return 'not_held'; end if;
  if p_status <> pawl.run_status(v_shown, pawl.held_or(p_id, v_last.outcome), null) or p_status is not null and p_at is distinct from v_at then return 'moved'; end if;
  if p_step is not null and not p_step = any (v_steps) then return 'no_step'; end if;
  if p_outcome in ('skipped', 'completed') and p_step is distinct from v_at then return 'moved'; end if;
  v_place := array_position(v_steps, coalesce(p_step, v_at));
  if v_state = 'dead' and (select r.outcome from pawl.retry_dead_v1(array[p_id], p_by, p_why, p_action) r) <> 'retried' then
    return 'duplicate';
  end if;
  delete from pawl.process_hold h where h.run_id = p_id;
  if v_place is not null then -- else all its steps are done, and only its end is missing
    insert into pawl.process_step (run_id, no, step, outcome, next, output, by, why)
    values (p_id, coalesce(v_last.no, 0) + 1, v_steps[v_place], p_outcome,
      case when p_outcome in ('skipped', 'completed') then v_steps[v_place + 1] else v_steps[v_place] end, p_output,
      coalesce(nullif(p_by, ''), session_user), p_why);
    if p_outcome = 'released' then perform pawl.wait_on(p_id, coalesce(v_last.no, 0) + 2); end if;
  end if;
  if v_state <> 'dead' then
    perform pawl.wake_tasks(array[p_id]);
    perform pawl.audit_v1(p_by, p_action, 'task:' || p_id, p_why, jsonb_build_object('step', v_steps[v_place]));
  end if;
  return 'changed';
end $$;

-- Ends runs for good: abandoned, or requested of one that runs now and ends when its step has; ended; unknown; moved as above. Its row has
-- the last number that there is, so that a step that is under way can still be recorded before it.
create or replace function pawl.abandon_run_v1(p_id bigint, p_by text, p_why text, p_action text default 'processes.abandon',
  p_status text default null, p_at text default null) returns text
language plpgsql volatile as $$
declare
  v_state text;
  v_status text;
  v_step text;
begin
  v_state := pawl.lock_task(p_id);
  select pawl.step_at(p_id, (v.shape -> 0) ->> 'name'), pawl.run_status(t.state, pawl.held_or(p_id, (pawl.last_step(p_id)).outcome), null) into v_step, v_status
    from pawl.task_v1 t left join pawl.process_version v on v.process = t.kind and v.version = t.version
   where t.id = p_id and t.queue = 'processes';
  if not found then return 'unknown'; end if;
  if v_state is null then return 'ended'; end if;
  if p_status <> v_status or p_status is not null and p_at is distinct from v_step then return 'moved'; end if;
  insert into pawl.process_step (run_id, no, step, outcome, by, why)
  values (p_id, 2147483647, coalesce(v_step, '-'), 'abandoned', coalesce(nullif(p_by, ''), session_user), p_why)
  on conflict (run_id, no) do nothing;
  if v_state = 'dead' then
    perform pawl.remove_dead_v1(array[p_id], p_by, p_why, p_action);
  else
    perform pawl.cancel_v1(array[p_id], p_by, p_why, p_action);
  end if;
  return case when v_state = 'running' then 'requested' else 'abandoned' end;
end $$;
