/** The public API of Pawl. */

export { type ConnectOptions, connect, type Pawl } from "./app/connect.ts";
export { type App, type AppOptions, defineApp } from "./app/define-app.ts";
export type { WorkRole } from "./app/inbox-loops.ts";
export type { ActOptions, OffOptions, Operate, RescheduleOptions } from "./app/operate.ts";
export type {
  Changed as ChangedDestination,
  Destinations,
  OperateOutbox,
  PauseDestination,
  Routes,
} from "./app/operate-outbox.ts";
export type { PlanReplayOptions, ReplayCallOptions, Replays } from "./app/replays.ts";
export type { Inbox, PruneSourceLogOptions, Sources } from "./app/sources.ts";
export type { RunningWorker } from "./app/work.ts";
export type { WorkOptions } from "./app/work-options.ts";
export type { InTransaction } from "./app/write.ts";
export type { Duration } from "./base/duration.ts";
export type { ErrorCode } from "./base/error-codes.ts";
export { PawlError } from "./base/errors.ts";
export { jsonLogger, type Logger, type LogLevel } from "./base/log.ts";
export { env, file, type SecretRef } from "./base/secret.ts";
export {
  defineSource,
  type FetchSourceOptions,
  type PullSourceOptions,
  type PushSourceOptions,
  type SourceOptions,
} from "./inbox/define-source.ts";
export type {
  ActedSource,
  InboxRow,
  SourceState,
  SourceWindowRow,
  WindowState,
} from "./inbox/people/sql.ts";
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
export type { QueueStats, TaskDetail, TaskState } from "./kernel/people/sql.ts";
export type { Why } from "./kernel/people/why.ts";
export type { WhyReason } from "./kernel/people/why-reason.ts";
export { type RetryPolicy, type RetrySeries, retryDelayMs, retrySeries } from "./kernel/retry.ts";
export type { TaskContext, TaskId } from "./kernel/task.ts";
export { Recoverable, RetryAfter, Snooze, Unrecoverable } from "./kernel/thrown.ts";
export {
  type ConfigField,
  type ConfigFields,
  type Delivery,
  type DeliveryContext,
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
export type { DestinationInfo, DestinationState } from "./outbox/operators/describe.ts";
export type { AddDestination } from "./outbox/operators/destinations.ts";
export type { Rotated, RotateOptions } from "./outbox/operators/rotate.ts";
export type { AddRoute, EditRoute, RouteInfo } from "./outbox/operators/routes.ts";
export type { TestEvent, TestOptions, TestResult } from "./outbox/operators/test-delivery.ts";
export type { RouteTest, RouteTestResult, RouteVerdict } from "./outbox/operators/test-routes.ts";
export type { RecordOptions } from "./outbox/record.ts";
export type { ReplayOptions } from "./outbox/replay/replay.ts";
export type { ReplayPlanRow, ReplayRow } from "./outbox/replay/sql.ts";
export { on, type Route, type RouteOptions } from "./outbox/routes.ts";
export type { EventRow, EventStatus } from "./outbox/sql.ts";
export type { Enqueued, EnqueueOptions } from "./queue/enqueue.ts";
export { type AnyJob, defineJob, type Job, type JobInput, type JobOptions } from "./queue/job.ts";
export type { BreakerOptions, QueueOptions, RateLimit } from "./queue/queue-options.ts";
export type { JwtSpec } from "./requests/dispatch/body-spec.ts";
export type { RequestsOptions } from "./requests/dispatch/queue.ts";
export type { RequestSpec, Tenant } from "./requests/dispatch/spec.ts";
export type { JwtClaims, JwtKeyOptions } from "./requests/keys/index.ts";
export type { ForeignTransaction, Transaction } from "./store/transaction.ts";
