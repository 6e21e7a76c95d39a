/** What a destination is given beside the delivery, for tests that call it without a worker. */

import { silentLogger } from "../../src/base/log.ts";
import type { DeliveryContext } from "../../src/outbox/destinations/types.ts";
import { openSender } from "../../src/sender/sender.ts";
import type { Transaction } from "../../src/store/transaction.ts";

const unusable = new Proxy({} as Transaction, {
  get: () => {
    throw new Error("this test gives no transaction");
  },
});

export function deliveryContext(given: Partial<DeliveryContext> = {}): DeliveryContext {
  const { signal } = new AbortController();
  return {
    signal,
    log: silentLogger,
    http: given.http ?? openSender({ allow: ["127.0.0.1"] }),
    tx: unusable,
    ...given,
  };
}
