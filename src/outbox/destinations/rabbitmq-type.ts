/** RabbitMQ as operators add it: the options of `rabbitmq()` as fields. */

import { COMMON_FIELDS } from "./common-options.ts";
import type { ConfigFields } from "./fields.ts";
import { type RabbitmqOptions, rabbitmq } from "./rabbitmq.ts";
import type { DestinationType } from "./types.ts";

const FIELDS: ConfigFields = {
  url: {
    kind: "secret",
    label: "URL",
    required: true,
    help: "amqp://user:password@host:5672/vhost, or amqps:",
  },
  exchange: { kind: "text", label: "Exchange", help: "where to publish; must be there already" },
  routingKey: {
    kind: "text",
    label: "Routing key",
    default: "{name}",
    help: "{name}, {aggregateType} and {aggregateId} stand for those of the event",
  },
  queue: { kind: "text", label: "Queue", help: "instead of exchange and routing key" },
  headers: { kind: "map", label: "Further headers" },
  ...COMMON_FIELDS,
};

export const rabbitmqType: DestinationType = {
  type: "rabbitmq",
  label: "RabbitMQ",
  fields: FIELDS,
  define: (config) => rabbitmq(config as unknown as RabbitmqOptions),
};
