-- What the roles may call of this part, and read: see pawl.grant_roles_v1.
delete from pawl.role_grant where part = 'process';
insert into pawl.role_grant (part, role, calls, privileges) values
  ('process', 'producer', '{start_process, start_processes_v1, signal_process_v1}', '{}'),
  ('process', 'reader', '{process_runs_v1, process_versions_v1}', '{}'),
  ('process', 'operator', '{process_steps_v1, signal_process_v1, change_run_v1, abandon_run_v1}', '{}'),
  ('process', 'worker', '{prune_steps_v1}', '{}');
