-- Commands as the apps' code defines them.
insert into pawl.owned_kind (kind, relation, what) values ('commands', 'command', 'command')
on conflict (kind) do update set relation = excluded.relation, what = excluded.what;

-- {"application", "revision", "commands": [{"name", "title", "params", "expected_ms", "timeout_ms", "on_crash"}]}
create or replace function pawl.register_commands_v1(p_definitions jsonb) returns void
language sql volatile as $$
  insert into pawl.command as c (name, title, params, expected_ms, timeout_ms, on_crash, application, revision)
  select d.name, d.title, d.params, d.expected_ms, d.timeout_ms, d.on_crash, p_definitions ->> 'application', (p_definitions ->> 'revision')::int
    from jsonb_to_recordset(p_definitions -> 'commands') as d (name text, title text, params text[], expected_ms bigint, timeout_ms bigint, on_crash text)
   order by d.name
  on conflict (name) do update
     set title = excluded.title, params = excluded.params, expected_ms = excluded.expected_ms, timeout_ms = excluded.timeout_ms, on_crash = excluded.on_crash,
         application = excluded.application, revision = excluded.revision, defined_at = pawl.now()
   where c.application = '' or (c.application = excluded.application and c.revision <= excluded.revision)
$$;

-- What runs apart: a command, or each of its parameters.
create or replace function pawl.command_key(p_name text, p_param text) returns text
language sql immutable return case when p_param is null then p_name else p_name || ':' || p_param end;

-- All keys that apps define now.
create or replace function pawl.command_keys_v1() returns table (key text, name text, param text)
language sql stable as $$
  select pawl.command_key(c.name, p.param), c.name, p.param
    from pawl.command c left join lateral unnest(c.params) with ordinality p (param, place) on true
   where c.application <> '' order by c.name, p.place
$$;
