-- What the roles may call of this part, and read: see pawl.grant_roles_v1.
delete from pawl.role_grant where part = 'control';
insert into pawl.role_grant (part, role, calls, privileges) values
  ('control', 'reader', '{commands_v1, command_keys_v1, command_runs_v1, command_of_task_v1, locks_v1}', '{}'),
  ('control', 'operator', '{release_lock_v1, start_command_task_v1}', '{}'),
  ('control', 'worker', '{start_command_task_v1}', '{}');
