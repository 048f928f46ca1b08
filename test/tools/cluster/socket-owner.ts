/** Which process holds the other end of a loopback connection: asked of the kernel, not of the data. */
import { readdirSync, readFileSync, readlinkSync } from "node:fs";

const LOCAL = 1;
const REMOTE = 2;
const INODE = 9;

/**
 * @param localPort of the end that is looked for.
 * @param remotePort of our end.
 * @returns null if none of `pids` has it.
 */
export function ownerOf(
  localPort: number,
  remotePort: number,
  pids: Iterable<number>,
): number | null {
  const inode = inodeOf(localPort, remotePort);
  if (inode === null) return null;
  const wanted = `socket:[${inode}]`;
  for (const pid of pids) if (holds(pid, wanted)) return pid;
  return null;
}

function inodeOf(localPort: number, remotePort: number): string | null {
  const ends = [portText(localPort), portText(remotePort)] as const;
  for (const table of ["/proc/net/tcp6", "/proc/net/tcp"]) {
    for (const line of readFileSync(table, "utf8").split("\n")) {
      const fields = line.trim().split(/\s+/);
      const matches = fields[LOCAL]?.endsWith(ends[0]) && fields[REMOTE]?.endsWith(ends[1]);
      if (matches === true) return fields[INODE] ?? null;
    }
  }
  return null;
}

const portText = (port: number): string => `:${port.toString(16).toUpperCase().padStart(4, "0")}`;

function holds(pid: number, wanted: string): boolean {
  const directory = `/proc/${pid}/fd`;
  try {
    return readdirSync(directory).some((fd) => linkOf(`${directory}/${fd}`) === wanted);
  } catch {
    return false; // It has ended meanwhile.
  }
}

function linkOf(path: string): string | null {
  try {
    return readlinkSync(path);
  } catch {
    return null; // Closed meanwhile.
  }
}
