import { expect, test } from "vitest";
import { PawlError } from "../../src/base/errors.ts";
import { openGuard } from "../../src/sender/guard/guard.ts";
import { openSender } from "../../src/sender/sender.ts";

test.each([
  ["localhost", "localhost", 80, "127.0.0.1"],
  ["LocalHost.", "LOCALHOST", 80, "::1"],
  ["localhost:8080", "localhost", 8080, "127.0.0.1"],
  ["*.internal", "erp.internal", 443, "10.0.0.1"],
  ["*.internal", "a.b.internal.", 443, "fd00::1"],
  ["*.internal:443", "erp.internal", 443, "10.0.0.1"],
  ["Bücher.example", "xn--bcher-kva.example", 443, "10.0.0.1"],
  ["10.0.0.0/8", "erp.example", 443, "10.200.0.1"],
  ["10.0.0.0/8", "erp.example", 443, "::ffff:10.200.0.1"],
  ["::ffff:10.0.0.0/104", "erp.example", 443, "10.200.0.1"],
  ["10.1.2.3", "10.1.2.3", 443, "10.1.2.3"],
  ["10.1.2.3:443", "10.1.2.3", 443, "10.1.2.3"],
  ["fd00::/8", "[fd12::1]", 443, "fd12::1"],
  ["::1", "[::1]", 80, "::1"],
  ["[::1]", "[::1]", 80, "::1"],
  ["[fd00::/8]:443", "[fd12::1]", 443, "fd12::1"],
  ["0.0.0.0/0", "erp.example", 443, "192.168.1.1"],
  ["169.254.169.254", "169.254.169.254", 80, "169.254.169.254"],
])("R97: %s permits %s port %d at %s", (entry, host, port, address) => {
  const guard = openGuard([entry]);
  expect(guard.refuseHost(host, port)).toBeUndefined();
  expect(guard.refuseAddresses(host, port, [address])).toBeUndefined();
});

test.each([
  ["localhost:8080", "localhost", 8081, "127.0.0.1"],
  ["localhost", "127.0.0.1", 80, "127.0.0.1"],
  ["127.0.0.1", "localhost", 80, "127.0.0.1"],
  ["localhost", "a.localhost", 80, "127.0.0.1"],
  ["*.internal", "internal", 443, "10.0.0.1"],
  ["*.internal", "evilinternal", 443, "10.0.0.1"],
  ["*.internal", "erp.internal.example", 443, "10.0.0.1"],
  ["*.internal:443", "erp.internal", 80, "10.0.0.1"],
  ["10.0.0.0/8", "erp.example", 443, "11.0.0.1,192.168.0.1"],
  ["10.0.0.0/8", "erp.example", 443, "10.0.0.1,127.0.0.1"],
  ["10.1.2.3:443", "10.1.2.3", 80, "10.1.2.3"],
  // A metadata service is permitted by its exact address alone.
  ["*.google.internal", "metadata.google.internal", 80, "169.254.169.254"],
  ["metadata.google.internal", "metadata.google.internal", 80, "169.254.169.254"],
  ["erp.example", "erp.example", 80, "169.254.169.254"],
  ["169.254.0.0/16", "169.254.169.254", 80, "169.254.169.254"],
  ["::/0", "[fd00:ec2::254]", 80, "fd00:ec2::254"],
  ["100.64.0.0/10", "100.100.100.200", 80, "100.100.100.200"],
  ["192.0.0.0/8", "192.0.0.192", 80, "192.0.0.192"],
  ["168.0.0.0/8", "168.63.129.16", 80, "168.63.129.16"],
  ["169.254.0.0/16", "169.254.170.23", 80, "169.254.170.23"],
  ["fd00::/8", "[fd20:ce::254]", 80, "fd20:ce::254"],
  ["*.internal", "metadata.google.internal..", 80, "169.254.169.254"],
])("R97: %s does not permit %s port %d at %s", (entry, host, port, addresses) => {
  const guard = openGuard([entry]);
  const refused =
    guard.refuseHost(host, port) ?? guard.refuseAddresses(host, port, addresses.split(","));
  expect(refused).toBeDefined();
});

test.each([
  "::a9fe:a9fe",
  "::ffff:a9fe:a9fe",
  "::ffff:0:a9fe:a9fe",
  "64:ff9b::a9fe:a9fe",
  "64:ff9b::6464:64c8",
  "64:ff9b:1::a9fe:a9fe",
  "64:ff9b:1:a9fe:a9:fe00::",
  "64:ff9b:1:a9:fe:a9fe::",
  "64:ff9b:1:0:a9:fea9:fe00:0",
  "2002:a9fe:a9fe::1",
  "2001::5601:5601",
  "fe80::5efe:a9fe:a9fe",
])(
  "R97: a metadata service is not permitted by a broad entry when an IPv6 address wraps its own: %s",
  (address) => {
    expect(openGuard(["::/0"]).refuseAddresses("erp.example", 80, [address])).toBeDefined();
  },
);

test.each([
  "",
  "*",
  "*.",
  "a.*.b",
  "http://localhost",
  "localhost/path",
  "localhost:0",
  "localhost:65536",
  "localhost:http",
  "10.0.0.0/33",
  "10.0.0.0/-1",
  "10.0.0.0/8/8",
  "fd00::/129",
  "[localhost]",
  "[::1",
  "user@localhost",
  "two words",
  "fe80::1%eth0",
  "127.1",
  7,
  null,
])("the entry %j is refused, and its place is named", (entry) => {
  const open = (): unknown => openSender({ allow: ["localhost", entry as string] });
  expect(open).toThrow(PawlError);
  expect(open).toThrow("http.allow[1]");
});

test("an allow that is no list is refused", () => {
  expect(() => openSender({ allow: "localhost" as unknown as string[] })).toThrow("http.allow");
});
