/** The public API of Pawl. */

export { type ConnectOptions, connect, type Pawl, type Producer } from "./app/connect.ts";
export { defineApp } from "./app/define-app.ts";
export type { App, AppOptions, Calls, Nouns } from "./app/parts.ts";
export type { Root } from "./app/root.ts";
export type { RunningWorker, Stopped } from "./app/work.ts";
export type { WorkOptions, WorkRole } from "./app/work-options.ts";
export type { Duration } from "./base/duration.ts";
export type { ErrorCode } from "./base/error-codes.ts";
export { PawlError } from "./base/errors.ts";
export { type RawJson, rawJson } from "./base/json-text.ts";
export { jsonLogger, type Logger, type LogLevel } from "./base/log.ts";
export type { CommandContext, CommandWrites } from "./control/context.ts";
export {
  type Command,
  type CommandOptions,
  defineCommand,
  type OnCrash,
} from "./control/define-command.ts";
export type {
  AskedRun,
  Commands,
  ListCommandRuns,
  ListCommands,
  Locks,
  RunCommand,
} from "./control/operator/commands.ts";
export type { RanCommand } from "./control/run.ts";
export type {
  CommandOutcome,
  CommandRunRow,
  CommandStatus,
  ListedCommand,
  ListedRun,
  LockRow,
  ReleasedLock,
} from "./control/sql.ts";
export type { ForeignTransaction, QueryTransaction } from "./foreign/transaction.ts";
export {
  defineSource,
  type FetchSourceOptions,
  type PullSourceOptions,
  type PushSourceOptions,
  type SourceOptions,
} from "./inbox/define-source.ts";
export type { ChangeInbox, Inbox, ListInbox } from "./inbox/operator/inbox/inbox.ts";
export type { PrunedLog } from "./inbox/operator/prune-log.ts";
export type {
  ListWindows,
  PruneSourceLogOptions,
  ShownSource,
  Sources,
} from "./inbox/operator/sources/sources.ts";
export type {
  ActedSource,
  InboxRow,
  SourceState,
  SourceWindowRow,
  WindowState,
} from "./inbox/operator/sql.ts";
export type { WhySource } from "./inbox/operator/why.ts";
export {
  type BadEvent,
  type FetchContext,
  type Page,
  type PushContext,
  type RawPage,
  SourceAnswered,
  type SourceDefinition,
  type SourceEvent,
  SourceUnavailable,
  type StoreContext,
  type StoredEvent,
  type StoreHandler,
  type Window,
} from "./inbox/source.ts";
export {
  type DecodedMessage,
  type FileSourceOptions,
  fileSource,
  type HttpSourceOptions,
  httpSource,
  type PostgresTableOptions,
  postgresTableSource,
  type RabbitmqStreamOptions,
  rabbitmqStreamSource,
  type StreamClient,
  type StreamMessage,
  type StreamSubscribing,
  type StreamSubscription,
} from "./inbox/sources/index.ts";
export type { GroupRow } from "./kernel/groups/sql.ts";
export type {
  Attempt,
  DeadTask,
  DeliveredEvent,
  EndedAttempt,
  FailedAttempt,
  RecordedEvent,
  Serving,
  WorkObserver,
} from "./kernel/heard.ts";
export type { AttemptContext, Middleware } from "./kernel/middleware.ts";
export type { ResultOptions } from "./kernel/operator/calls.ts";
export type {
  ChangeDead,
  ChangedDead,
  DeadFilters,
  DeadLetters,
  ListDead,
} from "./kernel/operator/dead/dead.ts";
export type { DeadGroup, DeadRow } from "./kernel/operator/dead/sql.ts";
export type { DeadReason, TaskState } from "./kernel/operator/filter.ts";
export type { OffSwitch, QuietWindow } from "./kernel/operator/held-text.ts";
export type { History, PrunedHistory, PruneHistory } from "./kernel/operator/history/verbs.ts";
export type { Quiet, QuietRow, QuietTime } from "./kernel/operator/quiet/quiet.ts";
export type {
  AttemptRow,
  KindRow,
  QueueStats,
  TaskDetail,
  TaskRow,
  WorkerRow,
} from "./kernel/operator/sql.ts";
export type { OffHereRow, QueueRow, SwitchRow } from "./kernel/operator/switches/sql.ts";
export type {
  Queues,
  Switched,
  Switches,
  TurnedOff,
  TurnedOn,
  TurnOff,
} from "./kernel/operator/switches/switches.ts";
export type {
  ChangeTasks,
  Ended,
  HandledKind,
  ListTasks,
  Moved,
  RescheduleTask,
  Retried,
  ShownTask,
  Tasks,
} from "./kernel/operator/tasks/tasks.ts";
export type { Why } from "./kernel/operator/why.ts";
export type { WhyReason } from "./kernel/operator/why-reason.ts";
export type { StoppedWorkers, StopWorkers, Workers } from "./kernel/operator/workers/verbs.ts";
export type { PrunedOther } from "./kernel/part.ts";
export type { QuietDay, QuietHours, QuietHoursOptions } from "./kernel/quiet/quiet-hours.ts";
export { type RetryPolicy, type RetrySeries, retryDelayMs, retrySeries } from "./kernel/retry.ts";
export type { TaskContext, TaskId } from "./kernel/task.ts";
export { Recoverable, RetryAfter, Snooze, Unrecoverable } from "./kernel/thrown.ts";
export type { Audit, ListAudit } from "./operate/audit.ts";
export type { AuditRow } from "./operate/sql.ts";
export type { ActOptions } from "./operate/verb.ts";
export {
  type ConfigField,
  type ConfigFields,
  type Delivery,
  type DeliveryContext,
  DeliveryFailed,
  type DeliveryFailedOptions,
  type DeliverySuccess,
  type DestinationDefinition,
  type DestinationType,
  defineDestinationType,
  type Envelope,
  type FlowContext,
  type FlowHandler,
  type FlowOptions,
  flow,
  nullDestination,
  type OutboxEvent,
  type RabbitmqOptions,
  rabbitmq,
  type ToJobOptions,
  toJob,
  type WebhookOptions,
  webhook,
} from "./outbox/destinations/index.ts";
export type {
  Deliveries,
  DeliveryReplays,
  DispatchDeliveries,
  Dispatched,
  ListDeliveries,
  ReplayDeliveries,
  Replayed,
  Rescued,
  ShownDelivery,
  StoppedReplay,
} from "./outbox/operator/deliveries/deliveries.ts";
export type {
  PlanReplayOptions,
  ReplayCallOptions,
  Replays,
} from "./outbox/operator/deliveries/replay-calls.ts";
export type { AddDestination } from "./outbox/operator/destinations/act.ts";
export type { DestinationInfo, DestinationState } from "./outbox/operator/destinations/describe.ts";
export type {
  ChangedDestination,
  Destinations,
  PauseDestination,
} from "./outbox/operator/destinations/destinations.ts";
export type { Rotated, RotateOptions } from "./outbox/operator/destinations/rotate.ts";
export type {
  TestEvent,
  TestOptions,
  TestResult,
} from "./outbox/operator/destinations/test-delivery.ts";
export type {
  Events,
  ListEvents,
  PruneEvents,
  RouteEvents,
  ShownEvent,
} from "./outbox/operator/events/events.ts";
export type { AddRoute, EditRoute, RouteInfo } from "./outbox/operator/routes/act.ts";
export type { ListRoutes, Routes } from "./outbox/operator/routes/routes.ts";
export type { RouteTest, RouteTestResult, RouteVerdict } from "./outbox/operator/routes/test.ts";
export type { Stats } from "./outbox/operator/stats.ts";
export type { RecordEvent, RecordOptions } from "./outbox/record.ts";
export type { ReplayOptions } from "./outbox/replay/replay.ts";
export type { ReplayPlanRow, ReplayRow } from "./outbox/replay/sql.ts";
export { on, type Route, type RouteOptions } from "./outbox/routes.ts";
export type { DeliveryRow, EventRow, EventStatus, OutboxStats } from "./outbox/sql.ts";
export type { DeliveryOf, WhyDelivery, WhyEvent, WhyTask } from "./outbox/why.ts";
export type { Directive, EndStatus, StepContext, TxContext } from "./process/context.ts";
export {
  type AnyProcess,
  defineProcess,
  type Process,
  type ProcessInput,
  type ProcessOptions,
} from "./process/define-process.ts";
export { type ToProcessOptions, toProcess } from "./process/destination/process.ts";
export type { HistoryRow, RunRow, RunStatus, SentPayload, VersionRow } from "./process/list/sql.ts";
export type { MigrateRun, RunAfter, RunBefore } from "./process/migrate/option.ts";
export type {
  AbandonedRun,
  ChangedRun,
  ListRuns,
  MigratedRun,
  MigrateRuns,
  Migration,
  Processes,
  ShownRun,
} from "./process/operator/processes.ts";
export type { StepOutcome } from "./process/sql.ts";
export type { SignalOptions, Started, StartOptions } from "./process/start.ts";
export type {
  CallOptions,
  ChildEnd,
  ChildOptions,
  EachEnd,
  EachItem,
  EachOptions,
  Interrupted,
  ItemContext,
  ProcessOutput,
  RunOptions,
  SendEnd,
  SendOptions,
  Startable,
  StepOptions,
  StepTask,
  Stored,
  WaitOptions,
} from "./process/step.ts";
export type { Steps } from "./process/steps.ts";
export type { BatchContext, BatchOptions, BatchTask } from "./queue/batch.ts";
export type { Enqueued, EnqueueOptions } from "./queue/enqueue.ts";
export {
  type AnyJob,
  type BatchJobOptions,
  defineJob,
  type Job,
  type JobInput,
  type JobOptions,
  type ThreadJobOptions,
} from "./queue/job.ts";
export type { BreakerOptions, QueueOptions, RateLimit } from "./queue/queue-options.ts";
export type { ThreadContext } from "./queue/thread/messages.ts";
export type { Unique, UniqueDebounce, UniqueFor, UniqueReplace } from "./queue/unique.ts";
export type { Apps, RemovedApp } from "./registry/apps.ts";
export type { AppRow } from "./registry/sql.ts";
export type { JwtSpec } from "./requests/dispatch/body-spec.ts";
export type { RequestsOptions } from "./requests/dispatch/queue.ts";
export type { RequestSpec, Tenant } from "./requests/dispatch/spec.ts";
export type { RequestRow, RequestState } from "./requests/dispatch/sql.ts";
export type { JwtClaims, JwtKeyOptions } from "./requests/keys/index.ts";
export type {
  AddedKey,
  AddKey,
  ChangedKey,
  KeyInfo,
  KeySecret,
  Keys,
  ResealedKeys,
  RotateKey,
} from "./requests/operator/keys/keys.ts";
export type {
  ChangeRequests,
  ListRequests,
  RequestDetail,
  Requests,
  RequestTry,
  RetriedRequests,
  SentRequest,
  ShownRequest,
  StoppedRequests,
} from "./requests/operator/requests/requests.ts";
export {
  type CommandSchedule,
  defineSchedule,
  type JobSchedule,
  type MissedPolicy,
  type OverlapPolicy,
  type ProcessSchedule,
  type Schedule,
} from "./schedule/define-schedule.ts";
export type { PreviewedDue } from "./schedule/operator/preview.ts";
export type {
  AddSchedule,
  EditSchedule,
  Schedules,
  ShownSchedule,
} from "./schedule/operator/schedules.ts";
export type { WhySchedule } from "./schedule/operator/why.ts";
export type {
  BackfilledDue,
  ScheduleHold,
  ScheduleRow,
  ScheduleRunRow,
  ScheduleStatus,
  StartedSchedule,
} from "./schedule/sql.ts";
export { env, file, type SecretRef } from "./secrets/secret.ts";
export type { HttpAnswer, HttpRequest, HttpSender, HttpTimings } from "./sender/sender.ts";
export type { InTransaction, Transaction } from "./store/transaction.ts";
