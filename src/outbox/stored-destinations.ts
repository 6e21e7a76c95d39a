/**
 * Destinations that operators made, as deliveries need them: read when first wanted and again after a moment, so that a
 * change reaches what still waits. A definition is made again only when its row has changed.
 */

import { PawlError } from "../base/errors.ts";
import { messageOf } from "../base/thrown.ts";
import { unheard } from "../base/unheard.ts";
import { refuseForeignSeals } from "../secrets/seal.ts";
import type { Executor } from "../store/executor.ts";
import { closeQuietly } from "./destinations/close.ts";
import { secretContext } from "./destinations/config.ts";
import { operatorReferences, type References } from "./destinations/references.ts";
import type { DestinationDefinition, DestinationType } from "./destinations/types.ts";
import { operatorsDestinations, type StoredDestination } from "./sql.ts";

/** How old what is known may be. */
const FRESH_MS = 1_000;

export interface StoredTarget {
  readonly id: string;
  readonly name: string;
  readonly definition: DestinationDefinition;
}

interface Known extends StoredTarget {
  readonly queue: string;
  readonly revision: number;
}

export class StoredDestinations {
  readonly #executor: Executor;
  readonly #types: ReadonlyMap<string, DestinationType>;
  readonly #references: References;
  #known = new Map<string, Known>();
  #readAt = Number.NEGATIVE_INFINITY;
  #reading: Promise<void> | undefined;

  constructor(executor: Executor, types: readonly DestinationType[], references?: References) {
    this.#executor = executor;
    this.#references = references ?? operatorReferences();
    this.#types = new Map(types.map((one) => [one.type, one]));
  }

  get definitions(): DestinationDefinition[] {
    return [...this.#known.values()].map((one) => one.definition);
  }

  /** undefined: it was removed. @throws PawlError when its config does not fit its type any more */
  async ofQueue(queue: string): Promise<StoredTarget | undefined> {
    if (performance.now() - this.#readAt > FRESH_MS) await this.#readOnce();
    if (!this.#known.has(queue)) await this.#reading; // may have begun before it was added
    if (!this.#known.has(queue)) await this.#readOnce(); // it may have been added since
    return this.#known.get(queue);
  }

  #readOnce(): Promise<void> {
    this.#reading ??= this.#read().finally(() => {
      this.#reading = undefined;
    });
    return this.#reading;
  }

  async #read(): Promise<void> {
    const rows = await operatorsDestinations(this.#executor);
    const known = new Map<string, Known>();
    for (const row of rows) {
      const before = this.#known.get(row.queue);
      const isSame = before?.id === String(row.id) && before.revision === row.revision;
      if (isSame) known.set(row.queue, before);
      else {
        const definition = this.#define(row);
        if (definition !== undefined)
          known.set(row.queue, {
            id: String(row.id),
            queue: row.queue,
            name: row.name,
            revision: row.revision,
            definition,
          });
      }
    }
    for (const before of this.#known.values()) {
      const isGone = known.get(before.queue) !== before;
      if (isGone) unheard(() => closeQuietly(before.definition));
    }
    this.#known = known;
    this.#readAt = performance.now();
  }

  #define(row: StoredDestination): DestinationDefinition | undefined {
    const type = this.#types.get(row.type);
    if (type === undefined) return undefined;
    try {
      refuseForeignSeals(row.config, secretContext(row.name));
      const definition = type.define(row.config);
      // at each delivery: a file, or a link to it, may be another one by then
      const check = () => this.#references.refuse(`destination "${row.name}"`, type, row.config);
      check();
      return guarded(definition, check);
    } catch (error) {
      // each delivery says so, instead of all destinations failing
      return broken(row, error);
    }
  }
}

function guarded(definition: DestinationDefinition, check: () => void): DestinationDefinition {
  return {
    ...definition,
    deliver: (delivery, context) => {
      check();
      return definition.deliver(delivery, context);
    },
  };
}

function broken(row: StoredDestination, cause: unknown): DestinationDefinition {
  const why = messageOf(cause);
  const fail = () =>
    Promise.reject(
      new PawlError(
        "delivery_failed",
        `destination "${row.name}": its config cannot be used: ${why}`,
        {
          data: { isReceiverUp: true },
          cause,
        },
      ),
    );
  return { type: row.type, config: {}, timeoutMs: 1_000, deliver: fail };
}
