-- The log of windows, as operators see it.

create or replace function pawl.source_windows_v1(p_source text, p_state text, p_limit int) returns table (id bigint, source text, state text,
  after_cursor text, next_cursor text, attempt int, fault text, error text, events int, duplicates int, bad int, holder text,
  reserved_at timestamptz, sent_at timestamptz, answered_at timestamptz, ended_at timestamptz)
language sql stable as $$
  select w.id, s.name, w.state, w.after_cursor, w.next_cursor, w.attempt, w.fault, w.error, w.events, w.duplicates, w.bad, w.holder,
         w.reserved_at, w.sent_at, w.answered_at, w.ended_at
    from pawl.source s cross join lateral (select * from pawl.source_window x
      where x.source_id = s.id and (p_state is null or x.state = p_state) order by x.id desc limit p_limit) w
   where p_source is null or s.name = p_source
   order by w.id desc limit p_limit
$$;
