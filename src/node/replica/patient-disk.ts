import type { Clock } from "../../env/clock.ts";
import type { Disk } from "../../env/disk.ts";
import { PatientDisk } from "../../env/patient-disk.ts";
import type { Instruments } from "../../metrics/instruments.ts";
import type { Logger } from "../../metrics/log.ts";

export type { PatientDisk } from "../../env/patient-disk.ts";

type Parts = {
  readonly disk: Disk;
  readonly clock: Clock;
  readonly log: Logger;
  readonly instruments: Pick<Instruments, "diskWaits">;
};

const LOG_EVERY_US = 10_000_000;

/**
 * A disk whose operations wait for descriptors and memory. A gauge shows it, and a log line at most
 * every ten seconds.
 */
export function patientDisk({ disk, clock, log, instruments }: Parts): PatientDisk {
  let loggedUs = Number.NEGATIVE_INFINITY;
  let isLogged = false;
  return new PatientDisk({
    disk,
    clock,
    changed: (shortage) => {
      instruments.diskWaits.value = shortage === null ? 0 : 1;
      if (shortage === null) {
        if (isLogged) log.info("disk operations resumed");
        isLogged = false;
        return;
      }
      const nowUs = clock.monotonic();
      if (nowUs - loggedUs < LOG_EVERY_US) return;
      loggedUs = nowUs;
      isLogged = true;
      log.warn("out of file descriptors or memory, disk operations wait and writes are refused", {
        error: shortage.message,
      });
    },
  });
}
