-- Filters of lists, as src/operate/filter reads them: {"streams": terms, "rows": terms, "ids", "keys", "lanes", "since"}.
-- A term: {"field", "isNot", "op", "values", "path"}. Nothing of a filter is ever part of a statement.

-- op: like | ilike, its values are patterns; has: a value is contained; =. Loops without a query: this runs for every row that a list reads.
create or replace function pawl.fits_text(p_term jsonb, p_text text) returns boolean
language plpgsql immutable parallel safe as $$
declare
  v_op text := p_term ->> 'op';
  v_values jsonb := p_term -> 'values';
  v_is boolean;
begin
  if p_text is null then return false; end if;
  for i in 0 .. jsonb_array_length(v_values) - 1 loop
    v_is := case v_op when 'like' then p_text like v_values ->> i
                 when 'ilike' then p_text ilike v_values ->> i
                 when 'has' then strpos(p_text, v_values ->> i) > 0
                 else p_text = v_values ->> i end;
    if v_is then return true; end if;
  end loop;
  return false;
end $$;

create or replace function pawl.fits_number(p_term jsonb, p_number numeric) returns boolean
language plpgsql immutable parallel safe as $$
declare
  v_op text := p_term ->> 'op';
  v_values jsonb := p_term -> 'values';
  v_is boolean;
begin
  if p_number is null then return false; end if;
  for i in 0 .. jsonb_array_length(v_values) - 1 loop
    v_is := case v_op when '<' then p_number < (v_values ->> i)::numeric
                 when '<=' then p_number <= (v_values ->> i)::numeric
                 when '>' then p_number > (v_values ->> i)::numeric
                 when '>=' then p_number >= (v_values ->> i)::numeric
                 else p_number = (v_values ->> i)::numeric end;
    if v_is then return true; end if;
  end loop;
  return false;
end $$;

-- A value of digits only is that many milliseconds ago.
create or replace function pawl.filter_time(p_value text) returns timestamptz
language sql stable as $$
  select case when p_value ~ '^\d+$' then pawl.now() - p_value::float8 * interval '1 ms' else p_value::timestamptz end
$$;

create or replace function pawl.fits_time(p_term jsonb, p_time timestamptz) returns boolean
language sql stable as $$
  select case p_term ->> 'op'
    when '<' then p_time < pawl.filter_time(p_term -> 'values' ->> 0)
    when '<=' then p_time <= pawl.filter_time(p_term -> 'values' ->> 0)
    when '>' then p_time > pawl.filter_time(p_term -> 'values' ->> 0)
    else p_time >= pawl.filter_time(p_term -> 'values' ->> 0) end
$$;

-- path: as an array of PostgreSQL is written.
create or replace function pawl.fits_json(p_term jsonb, p_json jsonb) returns boolean
language plpgsql immutable parallel safe as $$
declare
  v_value jsonb := p_json #> (p_term ->> 'path')::text[];
begin
  if p_term ->> 'op' = 'like' then return pawl.fits_text(p_term, v_value #>> '{}'); end if;
  return jsonb_typeof(v_value) = 'number' and pawl.fits_number(p_term, (v_value #>> '{}')::numeric);
end $$;

create or replace function pawl.fits_stream(p_filter jsonb, p_queue text, p_kind text) returns boolean
language sql immutable parallel safe as $$
  select coalesce(bool_and(pawl.fits_text(e.term, case e.term ->> 'field' when 'queue' then p_queue else p_kind end)
                           <> (e.term ->> 'isNot')::boolean), true)
    from jsonb_array_elements(p_filter -> 'streams') e (term)
$$;

-- A row without a value fits no term about it, and every term that says what it must not be. p_at: when it ended, or was created.
create or replace function pawl.fits_row(p_filter jsonb, p_id bigint, p_priority smallint, p_attempt smallint, p_reason text, p_lane text,
  p_key text, p_worker int, p_created_at timestamptz, p_at timestamptz, p_error jsonb, p_payload jsonb, p_meta jsonb)
returns boolean
language plpgsql stable as $$
declare
  v_rows jsonb := p_filter -> 'rows';
  v_term jsonb;
  v_field text;
begin
  for i in 0 .. jsonb_array_length(v_rows) - 1 loop
    v_term := v_rows -> i;
    v_field := v_term ->> 'field';
    if coalesce(case v_field
      when 'id' then pawl.fits_number(v_term, p_id)
      when 'priority' then pawl.fits_number(v_term, p_priority)
      when 'attempt' then pawl.fits_number(v_term, p_attempt)
      when 'worker' then pawl.fits_number(v_term, p_worker)
      when 'reason' then pawl.fits_text(v_term, p_reason)
      when 'lane' then pawl.fits_text(v_term, p_lane)
      when 'key' then pawl.fits_text(v_term, p_key)
      when 'err' then pawl.fits_text(v_term, p_error ->> 'message')
      when 'age' then pawl.fits_time(v_term, p_created_at)
      when 'since' then pawl.fits_time(v_term, p_at)
      when 'before' then pawl.fits_time(v_term, p_at)
      when 'payload' then pawl.fits_json(v_term, p_payload)
      when 'meta' then pawl.fits_json(v_term, p_meta) end, false) = (v_term ->> 'isNot')::boolean then
      return false;
    end if;
  end loop;
  return true;
end $$;

-- The same filter, once it is clear that the login may read what it compares: who may not read payloads must not guess them either.
create or replace function pawl.checked_filter(p_filter jsonb) returns jsonb
language plpgsql stable as $$
begin
  if p_filter @? '$.rows[*].field ? (@ == "payload" || @ == "meta")' and not pawl.may_read_payloads() then
    raise insufficient_privilege using message = 'permission denied: this login may not read what `payload` and `meta` compare';
  end if;
  return p_filter;
end $$;

-- How many rows a list reads of each place: all that it shows, and with terms about rows up to p_look of the newest.
create or replace function pawl.rows_to_read(p_filter jsonb, p_limit int, p_look int) returns int
language sql stable as $$
  select case when pawl.checked_filter(p_filter) -> 'rows' = '[]' then p_limit else greatest(p_limit, p_look) end
$$;
