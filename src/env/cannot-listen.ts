/** Explains to the operator why the node cannot listen on an address. */

/** The address is in use or does not belong to this machine. The message says what to do. */
export class CannotListen extends Error {
  override readonly name = "CannotListen";
}

export type Listening = {
  readonly host: string;
  readonly port: number;
  /** The settings that change the port, and the host. */
  readonly portSetting: string;
  readonly hostSetting: string;
};

/** @throws CannotListen, or the error of `bind` if it has another cause. */
export function listenOn<Server>(wanted: Listening, bind: () => Server): Server {
  try {
    return bind();
  } catch (cause) {
    const why = whyNot(cause, wanted);
    throw why === null ? cause : new CannotListen(why, { cause });
  }
}

function whyNot(error: unknown, wanted: Listening): string | null {
  const { host, port, portSetting, hostSetting } = wanted;
  switch (error instanceof Error && "code" in error && error.code) {
    case "EADDRINUSE":
      return `port ${port} of ${host} is in use: stop what listens there, or take another with ${portSetting}`;
    case "EACCES":
      return `port ${port} is not for this user: take one from 1024 on with ${portSetting}`;
    case "EADDRNOTAVAIL":
    case "EINVAL":
    case "ENOTCONN":
    case "EAFNOSUPPORT":
      return `${host} is not an address of this machine: see ${hostSetting}`;
    case "ENOTFOUND":
      return `there is no host ${JSON.stringify(host)}: see ${hostSetting}`;
    default:
      return null;
  }
}
