-- Checks before a task is written.

-- Whole milliseconds up to 3,650 days; null of null.
create or replace function pawl.is_duration_ms(p_text text) returns boolean
language sql immutable
return case when p_text is not null then p_text ~ '^[0-9]{1,12}$' and p_text::bigint <= 315360000000 end;

-- Refuses a value that is not a list, and unknown fields, before anything is written.
create or replace function pawl.check_tasks(p_tasks jsonb) returns void
language plpgsql stable as $$
declare
  c_checked constant text[] := '{max_attempts,delay_ms,ttl_ms,run_at,expires_at,lane,limit_key,key,ref}';
  v_place bigint;
  v_wrong text;
  v_rules text;
begin
  if p_tasks is null or jsonb_typeof(p_tasks) <> 'array' then
    raise exception 'expected a JSON array of tasks, got %', coalesce(jsonb_typeof(p_tasks), 'null') using errcode = 'PW010',
      hint = 'give a list such as [{"kind": "send-email", "payload": {}}]';
  end if;
  select e.place, string_agg(format('%s: %s', f.name, left(f.value, 100)), '; ' order by f.name),
         string_agg(distinct f.rule, '; ')
    into v_place, v_wrong, v_rules
    from jsonb_array_elements(p_tasks) with ordinality e (task, place)
    cross join lateral ( -- most have none of these fields
      select jsonb_typeof(e.task) = 'object' and not e.task ?| c_checked and coalesce(jsonb_typeof(e.task -> 'meta'), 'null') in ('null', 'object')
             and e.task #> '{meta,tenant}' is null as is_good offset 0) plain
    cross join lateral (values
      ('no object', e.task::text, jsonb_typeof(e.task) = 'object', 'a task is an object'),
      ('bad max_attempts', e.task ->> 'max_attempts', e.task ->> 'max_attempts' ~ '^([1-9][0-9]{0,3}|[12][0-9]{4}|3[01][0-9]{3}|32000)$',
        'max_attempts is 1 to 32000'),
      ('bad delay_ms', e.task ->> 'delay_ms', pawl.is_duration_ms(e.task ->> 'delay_ms'),
        'delay_ms is whole milliseconds up to 315360000000 (3,650 days)'),
      ('bad ttl_ms', e.task ->> 'ttl_ms', pawl.is_duration_ms(e.task ->> 'ttl_ms'),
        'ttl_ms is whole milliseconds up to 315360000000 (3,650 days)'),
      ('bad run_at', e.task ->> 'run_at', e.task ->> 'run_at' ~ '^[0-9]{4}-[0-9]{2}-[0-9]{2}([T ][0-9]{2}:[0-9]{2}.*)?$',
        'run_at is a timestamp such as "2030-01-31T12:00:00Z"'),
      ('bad expires_at', e.task ->> 'expires_at', e.task ->> 'expires_at' ~ '^[0-9]{4}-[0-9]{2}-[0-9]{2}([T ][0-9]{2}:[0-9]{2}.*)?$',
        'expires_at is a timestamp such as "2030-01-31T12:00:00Z"'),
      ('bad lane', e.task ->> 'lane', length(e.task ->> 'lane') between 1 and 200, 'a lane has 1 to 200 characters'),
      ('bad limit_key', e.task ->> 'limit_key', length(e.task ->> 'limit_key') between 1 and 200, 'a limit_key has 1 to 200 characters'),
      ('bad key', e.task ->> 'key', length(e.task ->> 'key') between 1 and 500, 'a key has 1 to 500 characters'),
      ('bad ref', e.task ->> 'ref', length(e.task ->> 'ref') between 1 and 500, 'a ref has 1 to 500 characters'),
      ('bad meta', e.task ->> 'meta', jsonb_typeof(e.task -> 'meta') in ('null', 'object'), 'meta is an object'),
      ('bad meta.tenant.company', e.task #>> '{meta,tenant,company}', length(e.task #>> '{meta,tenant,company}') <= 200,
        'meta.tenant.company has at most 200 characters'),
      ('bad meta.tenant.plugin', e.task #>> '{meta,tenant,plugin}', length(e.task #>> '{meta,tenant,plugin}') <= 200,
        'meta.tenant.plugin has at most 200 characters')) f (name, value, is_good, rule)
   where not plain.is_good and not f.is_good group by e.place order by e.place limit 1;
  if not found then return; end if;
  raise exception 'task no. % of the call: %', v_place, v_wrong using errcode = 'PW010', hint = v_rules;
end $$;

-- Returns why a JSON value cannot be stored: its size as text, its depth, the length of a number; null: it can. The text
-- counts, since 1e131071 takes 10 bytes as jsonb. What is shorter than 1,000 bytes is neither too large (limits begin at
-- 1,024) nor too deep, and holds no such number.
create or replace function pawl.json_fault(p_value jsonb, p_bytes_max bigint) returns text
language plpgsql immutable as $$
declare
  v_text text := p_value::text;
begin
  if v_text is null or octet_length(v_text) < 1000 then return null; end if;
  if octet_length(v_text) > p_bytes_max then
    return format('is %s bytes, the limit is %s', octet_length(v_text), p_bytes_max);
  end if;
  -- the items below 500 levels; as one that is empty has none, those of the level before are looked at
  if jsonb_path_exists(p_value, 'strict $.**{500} ? (@.type() == "array" || @.type() == "object")') then
    return 'is nested more than 500 levels deep';
  end if;
  if v_text ~ '[0-9]{200}' and exists (
    select from jsonb_path_query(p_value, 'strict $.** ? (@.type() == "number")') n (value)
     where length(translate(n.value::text, '-.', '')) > 1000) then
    return 'holds a number of more than 1000 digits';
  end if;
  return null;
end $$;

-- Refuses payloads and metas that cannot be stored. p_fields: null when p_tasks are payloads. Most often all together show that
-- nothing is at fault: 500 levels take 4,000 bytes as jsonb, and 1,000 digits 250, unless an exponent made most of them zeros.
create or replace function pawl.check_payloads(p_tasks jsonb, p_fields text[]) returns void
language plpgsql stable as $$
declare
  v_text text := p_tasks::text;
  v_limit bigint;
  v_place bigint;
  v_field text;
  v_fault text;
begin
  if octet_length(v_text) < 1000 then return; end if;
  select (s.value #>> '{}')::bigint into v_limit from pawl.setting s where s.name = 'payload_bytes_max';
  if octet_length(v_text) <= v_limit and strpos(v_text, repeat('0', 250)) = 0 and (
    not exists (select from jsonb_array_elements(p_tasks) e (task) where pg_column_size(e.task) >= 250)
    or not jsonb_path_exists(p_tasks, 'strict $.**{501}') and v_text !~ '[0-9]{200}') then return; end if;
  select e.place, e.field, e.fault into v_place, v_field, v_fault
    from (select t.place, f.name as field, pawl.json_fault(case when f.name is null then t.task else t.task -> f.name end, v_limit) as fault
            from jsonb_array_elements(p_tasks) with ordinality t (task, place)
            cross join unnest(coalesce(p_fields, array[null])) f (name)) e
   where e.fault is not null order by e.place limit 1;
  if found then
    raise exception '% of task no. % of the call %', coalesce(v_field, 'payload'), v_place, v_fault using errcode = 'PW012',
      hint = 'store the data elsewhere and enqueue a reference to it, or raise maxPayloadBytes';
  end if;
end $$;
