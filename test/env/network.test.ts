import { BunNetwork } from "../../src/env/bun-network.ts";
import { Random } from "../tools/random.ts";
import { SimClock } from "../tools/sim/sim-clock.ts";
import { MemoryWorld } from "../tools/transport/memory-network.ts";
import { PLACE } from "../tools/transport/nodes.ts";
import { networkContract } from "./network-contract.ts";

networkContract("sockets", () => {
  const make = (): BunNetwork => new BunNetwork(PLACE);
  const [near, far] = [make(), make()];
  return {
    near,
    far,
    farAddress: () => ({ host: "127.0.0.1", port: far.port }),
    until: async (condition) => {
      while (!condition()) await Bun.sleep(1);
    },
  };
});

networkContract("memory", () => {
  const world = new MemoryWorld(new SimClock(), new Random(1));
  return {
    near: world.network("near"),
    far: world.network("far"),
    farAddress: () => ({ host: "far", port: 7000 }),
    until: async (condition) => {
      for (let i = 0; !condition(); i++) {
        if (i > 10_000) throw new Error("it does not come to hold");
        await world.clock.advance(1);
      }
    },
  };
});
