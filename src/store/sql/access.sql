-- Who may do what. Migrating ends with pawl.secure_v1(), so nobody has to think of it where a function is written.

-- Each function of the schema names its search path: what somebody makes in a schema of the caller's path, or a temporary
-- table, is never taken for one of ours. Bodies that are bound when they are made (RETURN) need none, and keep being inlined.
-- The entries (those with a version, and those for SQL, which say so themselves) run as the owner of the schema, so that who may call one needs no
-- right on a table; nobody may call one, or anything else, to whom it was not granted.
create or replace function pawl.secure_v1() returns void
language plpgsql volatile
set search_path = pg_catalog, pg_temp as $$
declare
  v_schema oid := to_regnamespace(rtrim('pawl.', '.'));
  v_function record;
begin
  for v_function in
    select p.oid::regprocedure as name,
           p.prosqlbody is null and not exists (select from unnest(p.proconfig) c (setting) where c.setting like 'search_path=%') as is_open,
           not p.prosecdef and p.proname ~ '_v[0-9]+$' and p.proname not in ('secure_v1', 'make_roles_v1', 'grant_roles_v1') as is_entry,
           p.proacl is null or exists (select from aclexplode(p.proacl) a where a.grantee = 0) as is_public
      from pg_proc p where p.pronamespace = v_schema and p.prokind in ('f', 'p')
  loop
    if v_function.is_open then execute format('alter routine %s set search_path = pg_catalog, pg_temp', v_function.name); end if;
    if v_function.is_entry then execute format('alter routine %s security definer', v_function.name); end if;
    if v_function.is_public then execute format('revoke execute on routine %s from public', v_function.name); end if;
  end loop;
  if exists (select from pg_roles r where r.rolname = rtrim('pawl.', '.') || '_producer') then perform pawl.grant_roles_v1(); end if;
end $$;

-- Grants, to those of the four roles that are there: pawl_producer, pawl_worker, pawl_operator, pawl_reader; with another
-- schema its name stands before them. What was granted before and is not any more is taken back.
-- producer: writes work and events, reads nothing. reader: lists, statistics and why, but neither payloads nor secrets. operator: what
-- people do, and see. worker: all that an app's process does; of what operators may call only what its parts name.
create or replace function pawl.grant_roles_v1() returns void
language plpgsql volatile
set search_path = pg_catalog, pg_temp as $$
declare
  v_schema regnamespace := to_regnamespace(rtrim('pawl.', '.'));
  v_prefix text := rtrim('pawl.', '.') || '_';
  v_role text;
  v_name text;
  v_roles text[]; -- whose calls it may make: an operator also those of a reader
  v_function regprocedure;
  v_privilege text;
begin
  foreach v_role in array array['producer', 'worker', 'operator', 'reader'] loop
    v_name := v_prefix || v_role;
    continue when not exists (select from pg_roles r where r.rolname = v_name);
    v_roles := case v_role when 'operator' then '{operator,reader}' else array[v_role] end;
    execute format('revoke all on all routines in schema %s from %I', v_schema, v_name);
    execute format('revoke all on all tables in schema %s from %I', v_schema, v_name);
    execute format('grant usage on schema %s to %I', v_schema, v_name);
    for v_function in
      select p.oid from pg_proc p
       where p.pronamespace = v_schema and p.proname not in ('secure_v1', 'make_roles_v1', 'grant_roles_v1')
         and (exists (select from pawl.role_grant g where g.role = any (v_roles) and p.proname = any (g.calls))
           or v_role = 'worker' and not exists (select from pawl.role_grant g where g.role = 'operator' and p.proname = any (g.calls)))
    loop
      execute format('grant execute on routine %s to %I', v_function, v_name);
    end loop;
    if v_role in ('worker', 'operator') then
      execute format('grant select on all tables in schema %s to %I', v_schema, v_name);
    end if;
    for v_privilege in
      select u.privilege from pawl.role_grant g cross join unnest(g.privileges) u (privilege) where g.role = v_role
    loop
      execute format('grant %s to %I', v_privilege, v_name);
    end loop;
  end loop;
end $$;

-- Makes the four roles; nobody can log in as one, they are granted to who can.
create or replace function pawl.make_roles_v1() returns text[]
language plpgsql volatile
set search_path = pg_catalog, pg_temp as $$
declare
  v_name text;
  v_made text[] := '{}';
begin
  foreach v_name in array array['_producer', '_worker', '_operator', '_reader'] loop
    v_name := rtrim('pawl.', '.') || v_name;
    continue when exists (select from pg_roles r where r.rolname = v_name);
    execute format('create role %I nologin', v_name);
    v_made := v_made || v_name;
  end loop;
  perform pawl.grant_roles_v1();
  return v_made;
end $$;
