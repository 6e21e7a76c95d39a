-- Scopes: what can be turned off. `all`, or <kind>:<name>. Here is the one parser of their text, and the one printer.
insert into pawl.scope_kind (kind, names, is_queue, unknown) values ('queue', 'queue_names', true, 'PW013')
on conflict (kind) do update set names = excluded.names, is_queue = excluded.is_queue, unknown = excluded.unknown;

create or replace function pawl.queue_names() returns setof text
language sql stable as $$ select q.name from pawl.queue q $$;

-- What a queue is one of: a `queue`, or another kind of which each is a queue: destination:erp is a `destination`.
create or replace function pawl.queue_kind(p_name text) returns text
language sql stable return coalesce(
  (select k.kind from pawl.scope_kind k where k.kind = split_part(p_name, ':', 1) and k.is_queue), 'queue');

-- The text of a switch's scope and name. What is a queue of another kind is called by that: destination:erp.
create or replace function pawl.scope_text(p_scope text, p_name text) returns text
language sql stable return case
  when p_scope = 'all' then 'all'
  when p_scope = 'queue' and pawl.queue_kind(p_name) <> 'queue' then p_name
  else p_scope || ':' || p_name end;

-- The scope and the name that a switch has, of its text. Refuses what is not there.
create or replace function pawl.scope_of(p_scope text, out scope text, out name text)
language plpgsql stable as $$
declare
  v_kind pawl.scope_kind;
  v_names text[];
begin
  scope := split_part(p_scope, ':', 1);
  name := substr(p_scope, length(scope) + 2);
  if p_scope = 'all' then return; end if;
  select k.* into v_kind from pawl.scope_kind k where k.kind = scope_of.scope;
  if not found or name = '' then
    raise exception 'bad scope %', coalesce('"' || left(p_scope, 100) || '"', 'null') using errcode = 'PW010',
      hint = 'a scope is "all"' || (select string_agg(', "' || k.kind || ':<name>"', '' order by k.kind) from pawl.scope_kind k);
  end if;
  execute format('select array_agg(n order by n) from pawl.%I() n', v_kind.names) into v_names;
  if name <> all (coalesce(v_names, '{}')) then
    raise exception 'unknown % "%"', scope, name using errcode = v_kind.unknown,
      hint = coalesce('known: ' || array_to_string(v_names[:50], ', '), 'there is none yet: start a worker');
  end if;
  if v_kind.is_queue and scope <> 'queue' then
    name := p_scope;
    scope := 'queue';
  end if;
end $$;

-- All scopes there are, each by its text; a queue of another kind comes twice.
create or replace function pawl.scopes_v1() returns setof text
language plpgsql stable as $$
declare
  v_kind pawl.scope_kind;
begin
  return next 'all';
  for v_kind in select k.* from pawl.scope_kind k order by k.kind <> 'queue', k.kind loop
    return query execute format('select pawl.scope_text($1, n) from pawl.%I() n order by n', v_kind.names) using v_kind.kind;
  end loop;
end $$;

-- Turned off for itself, whatever else may hold it.
create or replace function pawl.is_off(p_scope text, p_name text) returns boolean
language sql stable return exists (
  select 1 from pawl.switch w where w.scope = p_scope and w.name = p_name and (w.until is null or w.until > pawl.now()));
