-- Runs that were asked for: tasks of the queue `commands`. Their kind is the command, their key the run's; a worker that defines the command
-- makes the run.
insert into pawl.part_queue (like_pattern, part, hint) values ('commands', 'control', 'a command is started by pawl.commands.start of the app')
on conflict (like_pattern) do update set hint = excluded.hint;

-- Asks for a run, in the caller's transaction; p_param: null for a command without parameters. While one of the same key is asked for, or runs
-- because it was, the outcome is duplicate, with its task.
create or replace function pawl.start_command_task_v1(p_name text, p_param text, p_by text, p_why text, p_action text)
returns table (id text, outcome text)
language plpgsql volatile as $$
#variable_conflict use_column
declare
  v_key text := pawl.command_key(p_name, p_param);
begin
  if not exists (select 1 from pawl.command_keys_v1() k where k.name = p_name and k.param is not distinct from p_param) then
    raise exception 'no command "%"', left(v_key, 200) using errcode = 'PW020',
      hint = coalesce('there are: ' || (select string_agg(k.key, ', ' order by k.key) from pawl.command_keys_v1() k),
        'no app has defined one: start its worker');
  end if;
  perform pawl.audit_v1(p_by, p_action, 'command:' || v_key, p_why, null);
  return query
  select e.id::text, e.outcome from pawl.put_tasks(jsonb_build_array(jsonb_build_object('kind', p_name, 'queue', 'commands', 'key', v_key,
    'payload', jsonb_build_object('param', p_param, 'by', p_by, 'why', p_why))), true) e;
end $$;

-- The task that waits for a worker to run a key: {"id", "by", "since"}; null: there is none.
create or replace function pawl.asked_command(p_name text, p_key text) returns jsonb
language sql stable as $$
  select jsonb_build_object('id', t.id::text, 'by', t.payload ->> 'by', 'since', t.created_at)
    from pawl.task_live_v1 t where t.id = pawl.task_of_key('commands', p_name, p_key) and t.state <> 'running'
$$;

-- A task whose parameter is off, or quiet, waits in its own row: the gate holds commands, not their parameters. It looks again now.
create or replace function pawl.on_lifted() returns void
language sql volatile as $$ select pawl.wake_queue('commands') $$;

-- The key that a task was to run; no row: it is no task of a command.
create or replace function pawl.command_of_task_v1(p_task bigint) returns text
language sql stable as $$
  select pawl.command_key(t.kind, t.payload ->> 'param') from pawl.task_live_v1 t where t.id = p_task and t.queue = 'commands'
$$;
