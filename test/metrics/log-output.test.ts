import { expect, test } from "bun:test";
import { LogOutput, WAITING_MAX } from "../../src/metrics/log-output.ts";

/** A stream that does as it is told: takes, refuses, or is full until it is emptied. */
function stream() {
  let mode: "takes" | "refuses" | "is full" = "takes";
  const written: string[] = [];
  let full = Promise.withResolvers<void>();
  const counted: number[] = [];
  const output = new LogOutput({
    sink: {
      write: (text) => {
        if (mode === "refuses") throw new Error("ENOSPC");
        written.push(text);
        return text.length;
      },
      flush: () => (mode === "is full" ? full.promise : 0),
    },
    lost: (lines) => counted.push(lines),
    lostLine: (n) => `lost ${n}\n`,
  });
  return {
    output,
    counted,
    text: () => written.join(""),
    set: (next: typeof mode) => {
      mode = next;
    },
    empty: async () => {
      mode = "takes";
      full.resolve();
      full = Promise.withResolvers();
      await Bun.sleep(0);
    },
    breakOff: async () => {
      mode = "refuses";
      full.reject(new Error("EPIPE"));
      full = Promise.withResolvers();
      await Bun.sleep(0);
    },
  };
}

test("lines go out as they come", () => {
  const { output, text, counted } = stream();
  output.write("a\n");
  output.write("b\n");
  expect([text(), counted]).toEqual(["a\nb\n", []]);
});

test("lines that cannot be written are counted and told of, once", () => {
  const { output, text, counted, set } = stream();
  output.write("a\n");
  set("refuses");
  for (const line of ["b\n", "c\n", "d\n"]) output.write(line);
  expect(counted).toEqual([1, 1, 1]);
  set("takes");
  output.write("e\n");
  output.write("f\n");
  // The line break ends a line that was cut off by the end of the space.
  expect(text()).toBe("a\n\nlost 3\ne\nf\n");
});

test("lines wait for a slow reader, in order", async () => {
  const { output, text, counted, set, empty } = stream();
  set("is full");
  for (const line of ["a\n", "b\n", "c\n"]) output.write(line);
  expect(text()).toBe("a\n");
  await empty();
  expect([text(), counted]).toEqual(["a\nb\nc\n", []]);
  output.write("d\n");
  expect(text()).toBe("a\nb\nc\nd\n");
});

test("a reader that takes nothing costs a bounded amount of memory, and learns what it missed", async () => {
  const { output, text, counted, set, empty } = stream();
  set("is full");
  const line = `${"x".repeat(1023)}\n`;
  const waiting = WAITING_MAX / line.length;
  for (let i = 0; i < 1 + waiting + 5; i++) output.write(line);
  expect(counted).toEqual([1, 1, 1, 1, 1]);
  await empty();
  expect(text()).toBe(`${line.repeat(1 + waiting)}lost 5\n`);
});

test("a reader that goes away while lines wait loses them, and nothing else happens", async () => {
  const { output, text, counted, set, breakOff } = stream();
  set("is full");
  for (const line of ["a\n", "b\n", "c\n"]) output.write(line);
  await breakOff();
  expect(counted.reduce((sum, n) => sum + n, 0)).toBe(3);
  output.write("d\n");
  set("takes");
  output.write("e\n");
  expect(text()).toBe("a\n\nlost 4\ne\n");
});

test("lines that were told of to a reader who then went away are told of again", async () => {
  const { output, text, set, breakOff } = stream();
  set("refuses");
  output.write("a\n");
  output.write("b\n");
  set("is full");
  output.write("c\n");
  expect(text()).toBe("\nlost 2\nc\n");
  await breakOff();
  set("takes");
  output.write("d\n");
  expect(text()).toBe("\nlost 2\nc\n\nlost 3\nd\n");
});
