/** The client of a process that only writes: nothing is registered, and its database role reads nothing. */

import { PawlError } from "../base/errors.ts";
import { PARTS, type PartProducerCall } from "./parts.ts";

const OWN_CALLS = ["app", "databaseUrl", "transaction", "close"] as const;

export type ProducerCall = (typeof OWN_CALLS)[number] | PartProducerCall;

/** @throws PawlError `invalid_option` */
export function refuseMigrate(migrate: boolean | undefined): void {
  if (migrate !== true) return;
  throw new PawlError(
    "invalid_option",
    "connect: a producer does not migrate; leave `migrate` out, and run `pawl migrate` as the owner of the schema",
    { data: { option: "migrate" } },
  );
}

/** Everything else that a client has is refused where it is called. */
export function producerOf<Client extends Record<ProducerCall, unknown>>(
  pawl: Client,
): Pick<Client, ProducerCall> {
  const calls: string[] = [...OWN_CALLS, ...PARTS.flatMap((part) => part.producerCalls ?? [])];
  const producer = { ...pawl };
  for (const name of Object.keys(pawl)) {
    if (calls.includes(name)) continue;
    Object.defineProperty(producer, name, { get: () => refuse(name) });
  }
  return producer;
}

function refuse(name: string): never {
  throw new PawlError(
    "invalid_option",
    `${name}: this client is a producer, which only writes work and events; connect without \`role\` for everything else`,
  );
}
