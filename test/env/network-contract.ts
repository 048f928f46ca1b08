/** The contract of every `Network`; run against the real one and the one in memory. */
import { expect, test } from "bun:test";
import type { Link, Network, PeerAddress } from "../../src/env/network.ts";
import type { NodeId } from "../../src/lib/ids.ts";

export type NetworkWorld = {
  /** Two networks; the second one is at this address once it listens. */
  readonly near: Network;
  readonly far: Network;
  readonly farAddress: () => Omit<PeerAddress, "id">;
  /** Lets time pass until it holds. */
  readonly until: (condition: () => boolean) => Promise<void>;
};

/** One end of a link, and all that it was told, in order. */
class End {
  readonly told: string[] = [];
  readonly frames: Uint8Array[] = [];
  link: Link | null = null;
  inCall = false;

  readonly handlers = {
    opened: () => this.#hear("opened"),
    frame: (bytes: Uint8Array) => {
      this.frames.push(bytes);
      this.#hear("frame");
    },
    closed: () => this.#hear("closed"),
  };

  send(...values: number[]): boolean {
    return this.call(() => this.link?.send(Uint8Array.from(values)) === true);
  }

  call<T>(run: () => T): T {
    this.inCall = true;
    const result = run();
    this.inCall = false;
    return result;
  }

  #hear(what: string): void {
    if (this.inCall) throw new Error(`${what} from within a call`);
    this.told.push(what);
  }
}

export function networkContract(name: string, make: () => NetworkWorld): void {
  const id = "far" as NodeId;

  const withLink = async (
    body: (near: End, far: End, world: NetworkWorld) => Promise<void>,
  ): Promise<void> => {
    const world = make();
    const [near, far] = [new End(), new End()];
    try {
      world.far.listen((link) => {
        far.link = link;
        return far.handlers;
      });
      const address = { id, ...world.farAddress() };
      near.link = near.call(() => world.near.dial(address, near.handlers));
      expect(near.send(1)).toBe(false);
      await world.until(() => near.told.length > 0 && far.link !== null);
      expect(near.told).toEqual(["opened"]);
      await body(near, far, world);
    } finally {
      await Promise.all([world.near.close(), world.far.close()]);
    }
  };

  test(`${name}: frames arrive both ways, whole and in order, empty ones too`, () =>
    withLink(async (near, far, { until }) => {
      for (let i = 0; i < 100; i++) {
        expect(near.send(...new Array(i).fill(i))).toBe(true);
        far.send(i);
      }
      await until(() => far.frames.length === 100 && near.frames.length === 100);
      far.frames.forEach((frame, i) => {
        expect([...frame]).toEqual(new Array(i).fill(i));
      });
      expect(near.frames.map((frame) => frame[0])).toEqual(near.frames.map((_, i) => i));
    }));

  test(`${name}: bytes are copied when they are sent, and belong to who received them`, () =>
    withLink(async (near, far, { until }) => {
      const buffer = new Uint8Array(200_000).fill(1);
      near.link?.send(buffer);
      buffer.fill(2);
      near.link?.send(buffer);
      buffer.fill(3);
      await until(() => far.frames.length === 2);
      expect(far.frames.map((frame) => frame.every((byte) => byte === frame[0]))).toEqual([
        true,
        true,
      ]);
      expect(far.frames.map((frame) => frame[0])).toEqual([1, 2]);
    }));

  test(`${name}: bytes that wait are counted until they are gone`, () =>
    withLink(async (near, far, { until }) => {
      const large = new Uint8Array(1024 * 1024);
      for (let i = 0; i < 20; i++) near.link?.send(large);
      expect(near.link?.bufferedBytes).toBeGreaterThan(0);
      await until(() => far.frames.length === 20);
      await until(() => near.link?.bufferedBytes === 0);
    }));

  test(`${name}: who closes a link hears no more of it; the other end hears so once`, () =>
    withLink(async (near, far, { until }) => {
      far.send(1);
      near.call(() => near.link?.close());
      near.call(() => near.link?.close());
      expect(near.send(1)).toBe(false);
      await until(() => far.told.includes("closed"));
      expect(far.send(1)).toBe(false);
      expect(near.told).toEqual(["opened"]);
      expect(far.told).toEqual(["closed"]);
    }));

  test(`${name}: what an accepting end says before it closes is heard`, () =>
    withLink(async (near, far, { until }) => {
      far.send(7);
      far.link?.close();
      await until(() => near.told.includes("closed"));
      expect(near.told).toEqual(["opened", "frame", "closed"]);
    }));

  test(`${name}: a network that closes ends its links, without a word on its own side`, () =>
    withLink(async (near, far, { far: network, until }) => {
      await network.close();
      await until(() => near.told.includes("closed"));
      expect(near.told).toEqual(["opened", "closed"]);
      expect(far.told).toEqual([]);
    }));

  test(`${name}: where nobody listens, a dial is closed and never opened`, async () => {
    const { near, far, farAddress, until } = make();
    far.listen(() => new End().handlers);
    const address = { id, ...farAddress() };
    await far.close();
    const end = new End();
    end.call(() => near.dial(address, end.handlers));
    await until(() => end.told.length > 0);
    expect(end.told).toEqual(["closed"]);
    await near.close();
  });
}
