-- Runs that go on in another version of their process.

-- Runs of a version that have not ended, after p_after in the order of their ids.
create or replace function pawl.runs_of_version_v1(p_process text, p_version int, p_after bigint, p_limit int)
returns table (id bigint, status text, input jsonb)
language sql stable as $$
  select t.id, pawl.run_status(t.state, (pawl.last_step(t.id)).outcome, null), t.payload
    from pawl.tasks_of_version('processes', p_process, p_version, p_after, p_limit) t
   order by t.id
$$;

-- The steps of a version, as define_processes_v1 has them; null: it was never defined.
create or replace function pawl.version_shape_v1(p_process text, p_version int) returns jsonb
language sql stable as $$
  select v.shape from pawl.process_version v where v.process = p_process and v.version = p_version
$$;

-- Moves runs to another version, each whole or not at all: [{"id", "no": its last row that was seen, or 0, "step": where it goes on, "waits": the row
-- of a wait that goes on, "input", "outputs", "data"}]. Answers a row for each: migrated; running; moved: it has gone on, has ended or has another version by now. A run that is
-- held stays held, one in error stays in error, and one that has not begun begins at its time; others go on at once.
create or replace function pawl.migrate_runs_v1(p_process text, p_from int, p_to int, p_runs jsonb, p_by text, p_why text, p_action text)
returns table (id bigint, outcome text)
language plpgsql volatile as $$
#variable_conflict use_column
declare
  v_run record;
  v_ids bigint[];
  v_states text[];
  v_last pawl.process_step;
  v_moved bigint[] := '{}';
  v_inputs jsonb[] := '{}';
  v_woken bigint[] := '{}';
begin
  select array_agg(l.id), array_agg(l.state) into v_ids, v_states
    from pawl.lock_tasks(array(select (r.run ->> 'id')::bigint from jsonb_array_elements(p_runs) r (run))) l;
  for v_run in
    select r.*, l.state, pawl.is_version(r.id, 'processes', p_process, p_from) as is_of_version
      from jsonb_to_recordset(p_runs) r (id bigint, no int, step text, waits int, input jsonb, outputs jsonb, data jsonb)
      left join unnest(v_ids, v_states) l (id, state) on l.id = r.id
     order by r.id
  loop
    v_last := pawl.last_step(v_run.id);
    if v_run.state is null or not v_run.is_of_version or coalesce(v_last.no, 0) <> v_run.no then
      return query select v_run.id, 'moved';
      continue;
    end if;
    if v_run.state = 'running' then
      return query select v_run.id, 'running';
      continue;
    end if;
    if v_run.state <> 'dead' and v_last.outcome <> 'held'
      and exists (select from pawl.process_step s where s.run_id = v_run.id and s.outcome <> 'migrated') then
      v_woken := v_woken || v_run.id;
    end if;
    insert into pawl.process_step (run_id, no, step, outcome, next, message, output, data, by, why)
    values (v_run.id, v_run.no + 1, v_run.step, 'migrated', v_run.step, format('version %s to %s', p_from, p_to), v_run.outputs, v_run.data,
      coalesce(nullif(p_by, ''), session_user), p_why);
    insert into pawl.process_step (run_id, no, step, outcome, next, signal, until, attempt)
    select v_run.id, v_run.no + 2, s.step, s.outcome, s.next, s.signal, s.until, s.attempt from pawl.process_step s
     where s.run_id = v_run.id and s.no = v_run.waits;
    if v_last.outcome = 'held' then
      insert into pawl.process_step (run_id, no, step, outcome, next, message)
      values (v_run.id, v_run.no + 2 + (v_run.waits is not null)::int, v_run.step, 'held', v_run.step, v_last.message);
    end if;
    v_moved := v_moved || v_run.id;
    v_inputs := v_inputs || v_run.input;
    perform pawl.audit_v1(p_by, p_action, 'task:' || v_run.id, p_why,
      jsonb_build_object('from', p_from, 'to', p_to, 'step', v_run.step));
    return query select v_run.id, 'migrated';
  end loop;
  perform pawl.move_tasks(v_moved, p_to, v_inputs);
  perform pawl.wake_tasks(v_woken);
end $$;
