/** Rules that the ledgers of queues and webhooks share. A place is `partition/offset`. */
export class BrokenRule extends Error {
  override readonly name = "BrokenRule";
}

export const broken = (what: string): never => {
  throw new BrokenRule(what);
};

export const partitionOf = (place: string): string => place.slice(0, place.indexOf("/"));
export const offsetOf = (place: string): number => Number(place.slice(place.indexOf("/") + 1));
