-- Conditions of routes: checked where they are made, judged for an event, and what is at fault with one.

-- A filter is a condition on the payload, on meta (which is an object), or on both; of anything else it would not be asked.
create or replace function pawl.filter_of(p_filter jsonb) returns jsonb
language plpgsql immutable as $$
declare
  v_bad text;
begin
  if p_filter is null or p_filter = 'null' then return null; end if;
  if jsonb_typeof(p_filter) <> 'object' then v_bad := 'expected an object';
  elsif exists (select 1 from jsonb_object_keys(p_filter) k where k not in ('payload', 'meta')) then
    v_bad := 'it names "' || (select left(k, 100) from jsonb_object_keys(p_filter) k where k not in ('payload', 'meta') order by k limit 1) || '"';
  elsif jsonb_typeof(p_filter -> 'meta') <> 'object' then v_bad := 'meta of an event is an object, so this can never hold';
  end if;
  if v_bad is null then return p_filter; end if;
  raise exception 'bad filter %: %', left(p_filter::text, 200), v_bad using errcode = 'PW010',
    hint = 'write {"payload": {…}, "meta": {…}}, or one of the two, such as {"payload": {"country": "CZ"}}';
end $$;

-- Whether a condition answers true or false, by its shape, which the text of a jsonpath shows: its outermost part compares,
-- joins, or asks (`exists`, `is unknown`), or it is the path of a field, which may be true. A filter answers what it found.
create or replace function pawl.answers(p_path jsonpath) returns boolean
language plpgsql immutable strict as $$
declare
  v_text text := regexp_replace(regexp_replace(p_path::text, '"(?:[^"\\]|\\.)*"', '""', 'g'), '^strict ', '');
  v_next text;
  v_outer text := '';
begin
  loop
    -- the innermost brackets: those of subscripts are left out, # stands for what is in round ones
    v_next := regexp_replace(regexp_replace(v_text, '\[[^][(){}]*\]|\{[^][(){}]*\}', '', 'g'), '\([^][(){}]*\)', '#', 'g');
    exit when v_next = v_text;
    v_outer := v_text;
    v_text := v_next;
  end loop;
  return v_text ~ '^(true|exists #|!#|# is unknown)$'
    or v_text = '#' and v_outer ~ ' (&&|\|\||==|!=|<|>|<=|>=|starts with|like_regex) | is unknown'
    or v_text ~ '^\$.*(\.""|\.\*|\.\*\*|\.boolean#)$'
      and p_path::text !~ '^(strict )?\$\."(name|aggregateType|aggregateId|meta)"$';
end $$;

-- A condition that could never hold is refused where it is made.
create or replace function pawl.path_of(p_text text) returns jsonpath
language plpgsql immutable as $$
declare
  v_path jsonpath;
  v_key text;
begin
  if p_text is null then return null; end if;
  begin
    v_path := p_text::jsonpath;
    -- a variable is found missing only when it is asked for
    perform jsonb_path_match('{"payload": {}, "meta": {}}', v_path, '{}', true);
  exception when others then
    raise exception 'bad condition %: %', '"' || left(p_text, 200) || '"', sqlerrm using errcode = 'PW010',
      hint = 'write a jsonpath predicate over the event, such as $.payload.total > 100 && $.payload.country == "CZ"';
  end;
  select f.m[1] into v_key from regexp_matches(v_path::text, '\$\."((?:[^"\\]|\\.)*)"|"(?:[^"\\]|\\.)*"', 'g') f (m)
   where f.m[1] not in ('name', 'aggregateType', 'aggregateId', 'payload', 'meta') limit 1;
  if v_key is not null then
    raise exception 'bad condition %: an event has no "%"', '"' || left(p_text, 200) || '"', left(v_key, 100) using errcode = 'PW010',
      hint = 'its parts are $.name, $.aggregateType, $.aggregateId, $.payload and $.meta; a field of the payload is $.payload.' || left(v_key, 100);
  end if;
  if not pawl.answers(v_path) then
    raise exception 'bad condition %: it gives a value, not true or false, so it could never be true', '"' || left(p_text, 200) || '"'
      using errcode = 'PW010',
      hint = 'compare, as in $.payload.total > 5, or put what must exist into exists(…), as in exists($.payload.items[*] ? (@.total > 5))';
  end if;
  return v_path;
end $$;

-- Null: it answers neither. Some faults of a condition are raised whatever is said, such as times without a zone compared
-- with others.
create or replace function pawl.path_holds(p_path jsonpath, p_event jsonb) returns boolean
language plpgsql immutable as $$
begin
  return jsonb_path_match(p_event, p_path, '{}', true);
exception when others then
  return null;
end $$;

-- Why a condition answers neither true nor false for an event; null when it does, or asks for a field that is not there.
create or replace function pawl.fault_of_path(p_path jsonpath, p_event jsonb) returns text
language plpgsql immutable as $$
declare
  v_type text;
begin
  if jsonb_path_match(p_event, p_path) is not null then return null; end if;
  return 'it compares values of different types, or asks for what is not there';
exception when others then
  begin
    select jsonb_typeof(q.found -> 0) into v_type from (select jsonb_path_query_array(p_event, p_path) as found) q
     where jsonb_array_length(q.found) <> 1 or jsonb_typeof(q.found -> 0) <> 'boolean';
    return case when not found then left(sqlerrm, 500) when v_type is null then null
      else 'it answers ' || v_type || ', not one true or false' end;
  exception when others then
    return left(sqlerrm, 500);
  end;
end $$;

-- Does a route's condition hold for an event? Null: its path answers neither true nor false.
create or replace function pawl.passes(p_filter jsonb, p_path jsonpath, p_event jsonb) returns boolean
language sql immutable
return coalesce(p_filter is null
        or (coalesce(p_event -> 'payload' @> (p_filter -> 'payload'), true) and coalesce(p_event -> 'meta' @> (p_filter -> 'meta'), true)), false)
     and (p_path is null or pawl.path_holds(p_path, p_event));

-- An event as conditions see it.
create or replace function pawl.judged_event(p_id uuid) returns jsonb
language sql stable as $$
  select jsonb_build_object('name', e.name, 'aggregateType', e.aggregate_type, 'aggregateId', e.aggregate_id,
    'payload', e.payload, 'meta', e.meta) from pawl.event e where e.id = p_id
$$;

-- Notes on the routes to these destinations for which event the condition gave no answer; what was noted less than a
-- minute ago stays.
create or replace function pawl.note_faults_v1(p_destinations int[], p_events uuid[]) returns void
language sql volatile as $$
  with due as materialized (
    select r.id, r.pattern, r.like_pattern, r.destination_id, r.filter, r.path from pawl.route r
     where r.destination_id = any (p_destinations) and r.path is not null and r.active and not pawl.is_off('route', r.id::text)
       and (r.fault_at is null or r.fault_at < pawl.now() - interval '1 minute') order by r.id for update skip locked
  ), told as materialized (
    select distinct on (d.id) d.id, u.event_id, pawl.fault_of_path(d.path, j.event) as fault
      from due d
      join unnest(p_destinations, p_events) u (destination_id, event_id) on u.destination_id = d.destination_id
      join pawl.event e on e.id = u.event_id and e.name like d.like_pattern
      cross join lateral (select pawl.judged_event(u.event_id) as event) j
     where pawl.passes(d.filter, d.path, j.event) is null and pawl.fault_of_path(d.path, j.event) is not null
     order by d.id
  )
  update pawl.route r set fault = t.fault, fault_at = pawl.now(), fault_event = t.event_id from told t
   where r.id = t.id
$$;
