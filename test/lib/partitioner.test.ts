import { expect, test } from "bun:test";
import { utf8 } from "../../src/lib/bytes.ts";
import { murmur2, partitionOfKey } from "../../src/lib/partitioner.ts";

// Cases of Kafka's own UtilsTest.testMurmur2.
test("murmur2 agrees with Kafka's", () => {
  const cases: [string, number][] = [
    ["21", -973932308],
    ["foobar", -790332482],
    ["a-little-bit-long-string", -985981536],
    ["a-little-bit-longer-string", -1486304829],
    ["lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971],
    ["abc", 479470107],
  ];
  for (const [text, hash] of cases) expect(murmur2(utf8(text)), text).toBe(hash);
});

test("a key always goes to the same partition, within range", () => {
  for (let i = 0; i < 1000; i++) {
    const partition = partitionOfKey(utf8(`key-${i}`), 7);
    expect(partition).toBe(partitionOfKey(utf8(`key-${i}`), 7));
    expect(partition).toBeGreaterThanOrEqual(0);
    expect(partition).toBeLessThan(7);
  }
});
