/** Ports that were free a moment ago, all different. */
export function freePorts(count: number): number[] {
  const sockets = Array.from({ length: count }, () =>
    Bun.listen({ hostname: "0.0.0.0", port: 0, socket: { data() {} } }),
  );
  const ports = sockets.map(({ port }) => port);
  for (const socket of sockets) socket.stop(true);
  return ports;
}
