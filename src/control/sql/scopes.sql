-- What of this part can be turned off: commands, and each of their parameters.
insert into pawl.scope_kind (kind, names, is_queue, kinds_in, unknown) values ('command', 'command_names', false, 'commands', 'PW020')
on conflict (kind) do update set names = excluded.names, is_queue = excluded.is_queue, kinds_in = excluded.kinds_in, unknown = excluded.unknown;

create or replace function pawl.command_names() returns setof text
language sql stable as $$
  select c.name from pawl.command c
  union
  select pawl.command_key(c.name, p.param) from pawl.command c cross join lateral unnest(c.params) p (param)
$$;

-- The names of a key that a switch can have: its own, and that of its command.
create or replace function pawl.command_scopes(p_name text, p_param text) returns text[]
language sql immutable return array[p_name, pawl.command_key(p_name, p_param)];
