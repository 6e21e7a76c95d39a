-- Groups of scopes, as apps define them: turned off and on together, by one switch.
insert into pawl.scope_kind (kind, names, is_queue, kinds_in, unknown) values ('group', 'group_names', false, null, 'PW024')
on conflict (kind) do update set names = excluded.names, is_queue = excluded.is_queue, kinds_in = excluded.kinds_in, unknown = excluded.unknown;
insert into pawl.owned_kind (kind, relation, what) values ('groups', 'scope_group', 'group')
on conflict (kind) do update set relation = excluded.relation, what = excluded.what;

create or replace function pawl.group_names() returns setof text
language sql stable as $$ select g.name from pawl.scope_group g $$;

-- What a switch with this scope and name holds, each as the scope and the name of a switch: itself, or the members of a group.
create or replace function pawl.held_by(p_scope text, p_name text) returns table (scope text, name text)
language sql stable as $$
  select p_scope, p_name where p_scope <> 'group'
  union all
  select m.scope, m.name from pawl.scope_group g cross join lateral unnest(g.scopes, g.names) m (scope, name)
   where p_scope = 'group' and g.name = p_name
$$;

-- The same as texts, and the scope itself too.
create or replace function pawl.scopes_in(p_scope text) returns text[]
language sql stable as $$
  select array[p_scope] || array(
    select pawl.scope_text(h.scope, h.name) from pawl.held_by(split_part(p_scope, ':', 1), substr(p_scope, strpos(p_scope, ':') + 1)) h
     where p_scope like 'group:%')
$$;

-- What is off now: a row for each scope that a switch holds, members of groups too. by_scope, by_name: that switch. Whatever asks what is off asks here.
create or replace function pawl.off_now() returns table (scope text, name text, by_scope text, by_name text, off_by text, why text,
  since timestamptz, until timestamptz)
language plpgsql stable rows 3 as $$ -- in plpgsql, as others that each turn calls
#variable_conflict use_column
begin
  return query
  select w.scope, w.name, w.scope, w.name, w.off_by, w.why, w.since, w.until
    from pawl.switch w where w.scope <> 'group' and (w.until is null or w.until > pawl.now());
  return query
  select h.scope, h.name, w.scope, w.name, w.off_by, w.why, w.since, w.until
    from pawl.switch w cross join lateral pawl.held_by(w.scope, w.name) h
   where w.scope = 'group' and (w.until is null or w.until > pawl.now());
end $$;

-- Before something is removed that operators make: an app whose group has it would not start any more. Groups that no code defines do not count.
-- Whoever calls it does nothing before that locks a row: a registration locks it too, after this lock, and may just now make it a member.
create or replace function pawl.refuse_member(p_scope text, p_name text) returns void
language plpgsql volatile as $$
declare
  v_text text := pawl.scope_text(p_scope, p_name);
  v_group pawl.scope_group;
begin
  perform pg_advisory_xact_lock(hashtextextended('pawl.register', 0));
  select g.* into v_group from pawl.scope_group g
   where g.application <> '' and exists (select from unnest(g.scopes, g.names) m (scope, name) where m.scope = p_scope and m.name = p_name)
   order by g.name limit 1;
  if not found then return; end if;
  raise exception '% is a member of the group "%" of app "%", which would not start without it', v_text, v_group.name, v_group.application
    using errcode = 'PW010', hint = 'take it out of the group in the code, and start the app once; or pause it';
end $$;

-- The groups, each with its members as scopes are printed.
create or replace function pawl.groups_v1() returns table (name text, application text, members text[])
language sql stable as $$
  select g.name, g.application, array(
      select pawl.scope_text(m.scope, m.name) from unnest(g.scopes, g.names) with ordinality m (scope, name, n) order by m.n)
    from pawl.scope_group g order by g.name
$$;

-- Writes the groups of an app: [{"name", "members": ["queue:low", "command:import:10"]}]; each member must be there. A group that no app
-- defines any more goes, unless it is off: then it holds what it held until it is on. Not called for an app of which a newer revision has registered.
create or replace function pawl.define_groups_v1(p_application text, p_groups jsonb) returns void
language plpgsql volatile as $$
declare
  v_group record;
  v_scopes text[];
  v_names text[];
  v_is_off boolean;
  v_may_lift boolean := false;
begin
  -- under the gate's lock, here and below: an `off` has committed before, or finds what is written here
  if exists (select from pawl.scope_group g where g.application = '' and not pawl.is_off('group', g.name)) then
    perform pg_advisory_xact_lock(pawl.gate_lock());
    delete from pawl.scope_group g where g.application = '' and not pawl.is_off('group', g.name);
  end if;
  for v_group in select d.name, d.members from jsonb_to_recordset(p_groups) d (name text, members text[]) order by d.name loop
    select array_agg(s.scope order by m.n), array_agg(s.name order by m.n) into v_scopes, v_names
      from unnest(v_group.members) with ordinality m (member, n) cross join lateral pawl.scope_of(m.member) s;
    continue when exists (select from pawl.scope_group g
      where g.name = v_group.name and g.application = p_application and g.scopes = v_scopes and g.names = v_names);
    perform pg_advisory_xact_lock(pawl.gate_lock());
    v_is_off := pawl.is_off('group', v_group.name);
    insert into pawl.scope_group as g (name, application, scopes, names) values (v_group.name, p_application, v_scopes, v_names)
    on conflict (name) do update set application = excluded.application, scopes = excluded.scopes, names = excluded.names;
    if v_is_off then perform pawl.ask_for_off_v1(); end if; -- what has become a member is off from now on
    v_may_lift := v_may_lift or v_is_off;
  end loop;
  if v_may_lift then perform pawl.on_lifted(); end if; -- what is no member any more goes on
end $$;
