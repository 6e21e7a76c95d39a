/** Opens a connection to a broker with one confirm channel, within a time, by the optional package amqplib. */

import { createRequire } from "node:module";
import type { LookupFunction } from "node:net";
import type { ChannelModel, ConfirmChannel } from "amqplib";
import { PawlError } from "../../base/errors.ts";
import { guardedLookup } from "../../sender/connection/tcp.ts";
import type { Guard } from "../../sender/guard/guard.ts";
import { addressForbidden } from "../../sender/guard/refusal.ts";

const PACKAGE = "amqplib";

export interface Opened {
  readonly model: ChannelModel;
  readonly channel: ConfirmChannel;
}

type Amqplib = Pick<typeof import("amqplib"), "connect">;

/** @throws PawlError `invalid_environment` when amqplib is missing; else whatever ended the attempt */
export async function openConnection(
  url: string,
  connectMs: number,
  guard?: Guard,
): Promise<Opened> {
  const lookup = guard === undefined ? undefined : lookupFor(new URL(url), guard);
  const { connect } = await loadAmqplib();
  const timer = new AbortController();
  const models: ChannelModel[] = [];
  const open = async (): Promise<Opened> => {
    const model = await connect(url, {
      timeout: connectMs,
      noDelay: true,
      keepAlive: true,
      ...(lookup && { lookup }),
    });
    model.on("error", () => undefined); // unheard, it would end the process
    models.push(model);
    if (timer.signal.aborted) destroy(model);
    return { model, channel: await model.createConfirmChannel() };
  };
  const opening = open();
  try {
    return await Promise.race([opening, after(connectMs, timer.signal)]);
  } catch (error) {
    opening.catch(() => undefined);
    models.forEach(destroy);
    throw error;
  } finally {
    timer.abort();
  }
}

/** @throws PawlError `address_forbidden` */
function lookupFor(url: URL, guard: Guard): LookupFunction {
  const [hostname, port] = [url.hostname, brokerPort(url)];
  const refusal = guard.refuseHost(hostname, port);
  if (refusal !== undefined) throw addressForbidden(refusal, url);
  return guardedLookup(guard, hostname, port);
}

export function brokerPort(url: URL): number {
  if (url.port !== "") return Number(url.port);
  return url.protocol === "amqps:" ? 5_671 : 5_672;
}

function after(ms: number, signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    const timer = setTimeout(() => reject(new Error(`no answer within ${ms} ms`)), ms);
    signal.addEventListener("abort", () => clearTimeout(timer));
  });
}

interface Parts {
  stream?: { destroy?(): void };
  heartbeater?: { clear?(): void };
}

/** amqplib only half-closes: towards a peer that is gone socket and heartbeat would linger for minutes. */
export function destroy({ connection }: ChannelModel): void {
  const { stream, heartbeater } = connection as Parts;
  stream?.destroy?.();
  heartbeater?.clear?.();
}

/** @throws PawlError `invalid_environment` */
export async function loadAmqplib(
  load: () => Promise<Amqplib> = () => import("amqplib"),
): Promise<Amqplib> {
  try {
    return await load();
  } catch (cause) {
    throw notInstalled(cause);
  }
}

/** @throws PawlError `invalid_environment` */
export function refuseMissingPackage(name: string = PACKAGE): void {
  try {
    createRequire(import.meta.url).resolve(name);
  } catch (cause) {
    throw notInstalled(cause);
  }
}

function notInstalled(cause: unknown): PawlError {
  return new PawlError(
    "invalid_environment",
    `rabbitmq destination: the package ${PACKAGE} cannot be loaded; run \`npm i ${PACKAGE}\` wherever workers run`,
    { data: { package: PACKAGE }, cause },
  );
}
