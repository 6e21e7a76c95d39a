-- Scopes: what can be turned off. `all`, or <kind>:<name>. Here is the one parser of their text, and the one printer.
insert into pawl.scope_kind (kind, names, is_queue, kinds_in, unknown) values
  ('queue', 'queue_names', true, null, 'PW013'),
  ('kind', 'kind_names', false, '', 'PW011')
on conflict (kind) do update set names = excluded.names, is_queue = excluded.is_queue, kinds_in = excluded.kinds_in, unknown = excluded.unknown;

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

-- What a queue's kinds of tasks are as scopes: `kind`, or what its part calls them; null: they cannot be turned off alone.
create or replace function pawl.kind_scope(p_queue text) returns text
language sql stable return case
  when exists (select 1 from pawl.part_queue p where p_queue like p.like_pattern)
    then (select k.kind from pawl.scope_kind k where k.kinds_in = p_queue)
  else 'kind' end;

create or replace function pawl.kind_names() returns setof text
language sql stable as $$
  select distinct st.kind from pawl.stream st join pawl.queue q on q.id = st.queue_id where pawl.kind_scope(q.name) = 'kind'
$$;

-- Whether a switch holds a kind of tasks in a queue.
create or replace function pawl.holds_kind(p_scope text, p_name text, p_queue text, p_kind text) returns boolean
language sql stable return case p_scope
  when 'all' then true
  when 'queue' then p_name = p_queue
  else p_name = p_kind and p_scope = pawl.kind_scope(p_queue) end;

-- The scopes that hold all tasks of a queue, each by its text.
create or replace function pawl.queue_scopes(p_queue text) returns text[]
language sql stable return array['all', pawl.scope_text('queue', p_queue)];

-- All scopes that hold a kind of tasks in a queue, each by its text.
create or replace function pawl.scopes_of(p_queue text, p_kind text) returns text[]
language sql stable return pawl.queue_scopes(p_queue) || coalesce(array[pawl.kind_scope(p_queue) || ':' || p_kind], '{}');

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
      hint = 'a scope is "all"' || (select string_agg(', "' || k.kind || case k.kind when 'route' then ':<id>"' else ':<name>"' end, '' order by k.kind) from pawl.scope_kind k);
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

-- Turned off for itself, whatever else may hold it; pawl.off_now says what holds a scope.
create or replace function pawl.is_off(p_scope text, p_name text) returns boolean
language sql stable return exists (
  select 1 from pawl.switch w where w.scope = p_scope and w.name = p_name and (w.until is null or w.until > pawl.now()));

-- The switches that hold one of these names of a kind, or all; null when none does.
create or replace function pawl.switches_of(p_kind text, p_names text[]) returns jsonb
language sql stable as $$
  select jsonb_agg(jsonb_build_object('scope', w.switch, 'by', w.off_by, 'why', w.why, 'since', w.since,
           'until', w.until) order by w.switch <> 'all', w.switch)
    from (select distinct pawl.scope_text(o.by_scope, o.by_name) as switch, o.off_by, o.why, o.since, o.until from pawl.off_now() o
           where o.scope = 'all' or o.scope = p_kind and o.name = any (p_names)) w
$$;

-- Where everything is off: for the fleet (host ''), or on hosts, as a live worker there says. Hosts whose live workers say otherwise are
-- there too; of a host without one nothing is known.
create or replace function pawl.lockdowns_now() returns table (host text, is_off boolean, since timestamptz, until timestamptz, off_by text, why text)
language sql stable as $$
  select '', w.since is not null, w.since, w.until, w.off_by, w.why
    from (select 1) one left join pawl.switch w on w.scope = 'all' and (w.until is null or w.until > pawl.now())
  union all
  select w.host, bool_or('all' = any (w.off_here)), null, null, null, null
    from pawl.worker w where w.ended_at is null and w.lease_until > pawl.now() and w.host <> '' group by w.host
$$;

-- The hosts on which a file or a variable holds one of these scopes, as live workers of the app say, and as p_off_here of the
-- host p_host does. is_everywhere: wherever one of them lives.
create or replace function pawl.off_on_hosts(p_application text, p_scopes text[], p_host text, p_off_here text[],
  out hosts text[], out is_everywhere boolean)
language sql stable as $$
  select coalesce(array_agg(distinct k.host order by k.host) filter (where k.is_off), '{}'), coalesce(bool_and(k.is_off), false)
    from (select w.host, w.off_here && p_scopes or (w.host = p_host and p_off_here && p_scopes) as is_off
            from pawl.worker w where w.application = p_application and w.ended_at is null and w.lease_until > pawl.now()
          union all
          select p_host, true where p_off_here && p_scopes) k
$$;
