-- What of this part can be turned off: schedules. What comes due meanwhile is missed.
insert into pawl.scope_kind (kind, names, is_queue, unknown) values ('schedule', 'schedule_names', false, 'PW023')
on conflict (kind) do update set names = excluded.names, is_queue = excluded.is_queue, unknown = excluded.unknown;

create or replace function pawl.schedule_names() returns setof text
language sql stable as $$ select s.name from pawl.schedule s $$;
