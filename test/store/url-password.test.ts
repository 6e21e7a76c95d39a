import { expect, test } from "vitest";
import { withoutPassword } from "../../src/store/store.ts";

test.each([
  ["postgresql://shop:hunter2@db/shop", "postgresql://shop:***@db/shop"],
  ["postgresql://shop:hun@ter/2@db/shop", "postgresql://shop:***@db/shop"],
  ["postgresql://:hunter2@db/shop", "postgresql://:***@db/shop"],
  ["postgres://db/shop?user=a&password=hunter2", "postgres://db/shop?user=a&password=***"],
  ["postgres://db/shop?PASSWORD=hunter2&x=1", "postgres://db/shop?PASSWORD=***&x=1"],
  ["postgres://db/shop?sslpassword=hunter2", "postgres://db/shop?sslpassword=***"],
  ["amqp://mq/?token=hunter2", "amqp://mq/?token=***"],
  ["mysql://db:3306/shop password=hunter2", "mysql://db:3306/shop password=***"],
  ["host=db password=hunter2 user=shop", "host=db password=*** user=shop"],
  ["password = 'hun\\'ter 2' host=db", "password = *** host=db"],
  ["password='hunter2", "password=***"],
  ["postgres://db/shop?p%61ssword=hunter2", "postgres://db/shop?p%61ssword=***"],
  ["postgres://db/shop?user=a&PGPASSWORD=hunter2#x", "postgres://db/shop?user=a&PGPASSWORD=***#x"],
  ["postgresql://shop:h%75nter2@db/shop", "postgresql://shop:***@db/shop"],
  ["postgresql://shop@db:5432/shop", "postgresql://shop@db:5432/shop"],
])("R8: a message shows no password of %s", (url, shown) => {
  expect(withoutPassword(url)).toBe(shown);
});
