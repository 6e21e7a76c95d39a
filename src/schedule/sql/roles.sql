-- What the roles may call of this part, and read: see pawl.grant_roles_v1.
delete from pawl.role_grant where part = 'schedule';
insert into pawl.role_grant (part, role, calls, privileges) values
  ('schedule', 'reader', '{schedules_v1, schedule_runs_v1, schedule_clock_v1}', '{}'),
  ('schedule', 'operator', '{run_schedule_v1, put_schedule_v1, remove_schedule_v1, backfill_schedule_v1}', '{}');
