/**
 * Sends one real event to a destination and shows the exchange. Nothing is recorded: no event, no task, no attempt, and
 * whatever is written through the delivery's transaction is rolled back.
 */

import { randomUUID } from "node:crypto";
import { PawlError, toError } from "../../base/errors.ts";
import type { Logger } from "../../base/log.ts";
import { refuseForeignSeals } from "../../base/seal.ts";
import type { HttpSender } from "../../requests/sender.ts";
import type { OpenTransaction, Store } from "../../store/store.ts";
import type { Transaction } from "../../store/transaction.ts";
import { outboxEvent } from "../deliver.ts";
import { closeQuietly } from "../destinations/close.ts";
import { maskConfig, secretContext } from "../destinations/config.ts";
import { isRecord } from "../destinations/field-values.ts";
import type { DestinationDefinition, OutboxEvent } from "../destinations/types.ts";
import { eventInsert, type RecordOptions } from "../record.ts";
import { eventBodies } from "../sql.ts";
import { type Operators, ownerOf, requireDestination, requireType } from "./base.ts";
import { capturing, type SeenExchange } from "./captured-http.ts";
import { ofType, ownError } from "./of-type.ts";
import type { DestinationRow } from "./sql.ts";

export const TEST_EVENT = "pawl.test";
const EVENT_BYTES_MAX = 1_048_576;
const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;
/** Over the destination's own deadline, so that its error, which says more, comes first. */
const MARGIN_MS = 5_000;

/** Default: an event named `pawl.test`. */
export interface TestEvent extends Partial<RecordOptions> {
  name?: string;
}

export interface TestOptions {
  /** What to send; or the id of a recorded event, whose content then goes out under a new id. */
  event?: string | TestEvent;
}

export interface TestResult {
  destination: string;
  type: string;
  owner: string;
  /** The receiver has accepted the event. */
  accepted: boolean;
  event: { id: string; name: string };
  /** What the destination says of it: `200 in 12 ms`. */
  summary: string | null;
  /** Each with its answer; none for what is not HTTP. */
  exchanges: SeenExchange[];
  /** It wrote to the database, and that was undone. */
  isRolledBack: boolean;
  error: { code: string | null; message: string; data: Record<string, unknown> } | null;
}

export interface TestBase extends Operators {
  http: HttpSender;
  log: Logger;
  /** A worker of this process uses what the code's destinations have opened. */
  isWorking: () => boolean;
}

/** @throws PawlError `unknown_destination`, `event_not_found`, and what a config is refused for */
export async function testDestination(
  base: TestBase,
  { name, event: wanted }: TestOptions & { name: string },
): Promise<TestResult> {
  const row = await requireDestination(base.store, name);
  const definition = definitionOf(base, row);
  const event = await eventOf(base.store, wanted);
  const { http, exchanges } = capturing(base.http, shownHeaders(base, row, definition));
  const open = lazyTransaction(base.store);
  const head = {
    destination: name,
    type: row.type,
    owner: ownerOf(row.application),
    event: { id: event.id, name: event.name },
  };
  const answered = () => ({ exchanges, isRolledBack: open.wasUsed() });
  try {
    const success = await definition.deliver(
      {
        deliveryId: randomUUID(),
        destinationId: String(row.id),
        destinationKey: name,
        attempt: 1,
        replay: 0,
        event,
      },
      {
        http,
        log: base.log,
        tx: open.tx,
        signal: AbortSignal.timeout(definition.timeoutMs + MARGIN_MS),
      },
    );
    return {
      ...head,
      accepted: true,
      summary: success?.summary ?? null,
      ...answered(),
      error: null,
    };
  } catch (error) {
    return { ...head, accepted: false, summary: null, ...answered(), error: errorOf(error) };
  } finally {
    await open.rollback();
    if (row.application === null || !base.isWorking()) await closeQuietly(definition);
  }
}

function definitionOf(
  { destinations, types }: TestBase,
  row: DestinationRow,
): DestinationDefinition {
  if (row.application === null) {
    refuseForeignSeals(row.config, secretContext(row.name));
    const type = requireType(types, row.type);
    return ofType(() => type.define(row.config));
  }
  const found = destinations.find((one) => one.name === row.name);
  if (found !== undefined) return found.definition;
  throw new PawlError(
    "unknown_destination",
    `destination "${row.name}" is in the code of app "${row.application}", which is not here; test it with the config of that app`,
    { data: { destination: row.name, application: row.application } },
  );
}

/** Values of headers that the config gives are shown only where the config shows them. */
function shownHeaders(
  { types }: TestBase,
  row: DestinationRow,
  definition: DestinationDefinition,
): Record<string, string> {
  const fields = types.find((one) => one.type === row.type)?.fields;
  const stored = row.application === null ? maskConfig(fields, row.config).headers : undefined;
  const all = [definition.config.headers, stored].filter(isRecord);
  const lower = all
    .flatMap((headers) => Object.entries(headers))
    .map(([name, value]) => [name.toLowerCase(), String(value)]);
  return Object.fromEntries(lower) as Record<string, string>;
}

async function eventOf(store: Store, wanted: TestOptions["event"] = {}): Promise<OutboxEvent> {
  if (typeof wanted !== "string") return madeEvent(wanted);
  const [row] = UUID.test(wanted) ? await eventBodies(store, [wanted.toLowerCase()]) : [];
  // a receiver drops what it has seen already by its id
  if (row !== undefined) return { ...outboxEvent(row), id: randomUUID() };
  throw new PawlError("event_not_found", `event ${wanted}: not there; see \`pawl events list\``, {
    data: { id: wanted },
  });
}

function madeEvent(given: TestEvent): OutboxEvent {
  const { name = TEST_EVENT, aggregate = ["test", "1"], meta = {} } = given;
  const { payload = { message: "A test event of Pawl" } } = given;
  const event = eventInsert(name, { aggregate, payload, meta }, EVENT_BYTES_MAX);
  return {
    id: randomUUID(),
    name: event.name,
    aggregateType: event.aggregateType,
    aggregateId: event.aggregateId,
    occurredAt: new Date().toISOString(),
    payload: JSON.parse(event.payload) as unknown,
    meta: JSON.parse(event.meta) as Record<string, unknown>,
  };
}

function errorOf(thrown: unknown): TestResult["error"] {
  const error = toError(ownError(thrown));
  if (error instanceof PawlError) return error.toJSON() as TestResult["error"];
  return { code: null, message: error.message, data: {} };
}

/** Begins with the first statement; is never committed. */
function lazyTransaction(store: Store): {
  tx: Transaction;
  wasUsed(): boolean;
  rollback(): Promise<void>;
} {
  let opening: Promise<OpenTransaction> | undefined;
  let isOver = false;
  const begin = () => {
    if (!isOver) return store.begin();
    throw new PawlError(
      "not_a_transaction",
      "test delivery: its `tx` was used after it ended; await everything inside `deliver`",
    );
  };
  return {
    tx: {
      query: async <Row>(text: string, values?: unknown[]) => {
        opening ??= begin();
        return (await opening).tx.query<Row>(text, values);
      },
    },
    wasUsed: () => opening !== undefined,
    rollback: async () => {
      isOver = true;
      await opening?.then(
        (open) => open.rollback(),
        () => undefined, // the delivery has said so
      );
    },
  };
}
