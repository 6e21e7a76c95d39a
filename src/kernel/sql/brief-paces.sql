-- The paces of keys that a claim noted all in one row, since they pass within milliseconds (see pawl.brief_key_pace).

-- Those that have not passed; of a key that several claims noted, the latest counts. Has a body that can be inlined.
create or replace function pawl.brief_paces(p_queue int, p_at timestamptz) returns table (key text, tat timestamptz)
language sql stable
begin atomic
  select unnest(b.keys), unnest(b.tats) from pawl.brief_key_pace b where b.until > p_at and b.queue_id = p_queue;
end;

-- Deletes what has passed since p_since. Keeps it for a second first: a clock that was set back finds it again. Not all that has ever passed: behind
-- a pinned horizon the index keeps each row that was deleted.
create or replace function pawl.forget_brief_paces(p_since timestamptz, p_now timestamptz) returns void
language plpgsql volatile as $$
declare
  c_rows constant int := 5000;
begin
  delete from pawl.brief_key_pace b where b.ctid = any (array(
    select o.ctid from pawl.brief_key_pace o where o.until > p_since and o.until < p_now - interval '1 second' order by o.until limit c_rows for update skip locked));
end $$;

-- Notes the paces of keys that pass later, each in its own row. p_places: where those rows are, null: not known. The caller holds the queue's
-- limits, so nobody else moves a tat.
create or replace function pawl.note_long_paces(p_queue int, p_places tid[], p_keys text[], p_tats timestamptz[]) returns void
language plpgsql volatile as $$
declare
  v_noted text[];
begin
  with noted as (
    update pawl.key_pace k set tat = u.tat, due_at = null from unnest(p_places, p_tats) u (place, tat) where k.ctid = u.place returning k.key
  )
  select array_agg(n.key) into v_noted from noted n;
  if v_noted is null or cardinality(v_noted) < cardinality(p_keys) then -- those that had no row, and whose row somebody has moved or removed
    insert into pawl.key_pace as k (queue_id, key, tat)
    select p_queue, u.key, u.tat from unnest(p_keys, p_tats) u (key, tat) where v_noted is null or u.key <> all (v_noted) order by u.key
    on conflict (queue_id, key) do update set tat = greatest(k.tat, excluded.tat), due_at = null;
  end if;
  update pawl.queue_limit l set paced_until = greatest(l.paced_until, (select max(u.tat) from unnest(p_tats) u (tat))) where l.queue_id = p_queue;
end $$;
