/**
 * Sends one real event to a destination and returns the exchange. No event, task or attempt is recorded, only the act in
 * the audit; writes through the delivery's transaction are rolled back.
 */

import { randomUUID } from "node:crypto";
import { PawlError, shown, toError } from "../../../base/errors.ts";
import { parsedLazily } from "../../../base/json-text.ts";
import type { Logger } from "../../../base/log.ts";
import { shownValue } from "../../../base/mask-json.ts";
import { isRecord } from "../../../base/options.ts";
import { dataText } from "../../../base/text.ts";
import { messageOf } from "../../../base/thrown.ts";
import { type Act, recordAct } from "../../../operate/sql.ts";
import { eventIdOf } from "../../../options/kinds.ts";
import { refuseForeignSeals } from "../../../secrets/seal.ts";
import type { HttpSender } from "../../../sender/sender.ts";
import type { OpenTransaction, Store } from "../../../store/store.ts";
import { handleOn, type Transaction } from "../../../store/transaction.ts";
import { outboxEvent } from "../../deliver.ts";
import { closeQuietly } from "../../destinations/close.ts";
import { maskConfig, secretContext } from "../../destinations/config.ts";
import type { DestinationDefinition, OutboxEvent } from "../../destinations/types.ts";
import { checkedEvent, type RecordOptions } from "../../record.ts";
import { eventBodies } from "../../sql.ts";
import { type Operators, ownerOf, requireDestination, requireType } from "../base.ts";
import { ofType, ownError } from "../of-type.ts";
import type { DestinationRow } from "../sql.ts";
import { capturing, type SeenExchange } from "./captured-http.ts";

const TEST_EVENT = "pawl.test";
const EVENT_BYTES_MAX = 1_048_576;
/** Over the destination's own deadline, so that its error, which says more, comes first. */
const MARGIN_MS = 5_000;

/** Default: an event named `pawl.test`. */
export interface TestEvent extends Partial<RecordOptions> {
  name?: string;
}

export interface TestOptions {
  /** The event to send, or the id of a recorded event, whose content is sent under a new id. */
  event?: string | TestEvent;
}

export interface TestResult {
  destination: string;
  type: string;
  owner: string;
  /** True if the receiver accepted the event. */
  accepted: boolean;
  event: { id: string; name: string };
  /** The destination's summary, such as `200 in 12 ms`. */
  summary: string | null;
  /** HTTP requests with their answers; empty if the destination does not use HTTP. */
  exchanges: SeenExchange[];
  /** True if it wrote to the database, and that was rolled back. */
  isRolledBack: boolean;
  error: { code: string | null; message: string; data?: Record<string, unknown> } | null;
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
  act: Act & { action: string },
): Promise<TestResult> {
  const row = await requireDestination(base.store, name);
  const definition = definitionOf(base, row);
  const event = await eventToSend(base.store, wanted);
  const sent = { id: event.id, name: event.name };
  // before: what has gone out must not be missing when this process dies
  await recordAct(base.store, { ...act, target: `destination:${name}`, detail: { event: sent } });
  const { http, exchanges } = capturing(base.http, shownHeaders(base, row, definition));
  const open = lazyTransaction(base.store);
  const head = {
    destination: name,
    type: row.type,
    owner: ownerOf(row.application),
    event: sent,
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

/** Values of headers from the config are shown only if the config shows them. */
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

async function eventToSend(store: Store, wanted: TestOptions["event"] = {}): Promise<OutboxEvent> {
  if (typeof wanted !== "string") return madeEvent(wanted);
  const id = eventIdOf(wanted);
  const [row] = id === undefined ? [] : await eventBodies(store, [id]);
  // a receiver drops an event whose id it has already seen
  if (row !== undefined) return outboxEvent({ ...row, id: randomUUID() });
  throw new PawlError(
    "event_not_found",
    `event ${shown(wanted)}: not there; see \`pawl events list\``,
    { data: { id: dataText(wanted) } },
  );
}

function madeEvent(given: TestEvent): OutboxEvent {
  const { name = TEST_EVENT, aggregate = ["test", "1"], meta = {} } = given;
  const { payload = { message: "A test event of Pawl" } } = given;
  const event = checkedEvent(name, { aggregate, payload, meta }, EVENT_BYTES_MAX);
  return parsedLazily({
    id: randomUUID(),
    name: event.name,
    aggregateType: event.aggregateType,
    aggregateId: event.aggregateId,
    occurredAt: new Date().toISOString(),
    payloadText: event.payload,
    metaText: event.meta,
  });
}

function errorOf(thrown: unknown): TestResult["error"] {
  const error = toError(ownError(thrown));
  const message = messageOf(error);
  if (!(error instanceof PawlError)) return { code: null, message };
  const { data, ...rest } = error.toJSON();
  return {
    ...rest,
    message,
    ...(data !== undefined && { data: shownValue(data) as Record<string, unknown> }),
  };
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
    tx: handleOn(async (statement) => {
      opening ??= begin();
      return statement((await opening).tx);
    }),
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
