/** Places of exports: a bucket or a directory, in which each object appears whole or not at all. */
import { type ArchiveTarget, ArchiveUnavailable } from "./archive.ts";
import {
  listS3Objects,
  parseS3Prefix,
  readS3Object,
  removeS3Object,
  sizeOfS3Object,
  uploadS3Object,
} from "./archive-s3.ts";
import { DirectoryStore } from "./export-directory.ts";

export interface ExportStore {
  /**
   * Begins an object. One of the same name is replaced when the new one is complete.
   *
   * @param once for objects whose content changes: no request is repeated, so that an attempt that was
   *   given up does not replace a later one.
   */
  create(name: string, once?: boolean): Promise<ArchiveTarget>;
  /** Removes an object and what is left of attempts to write it. It need not exist. */
  remove(name: string): Promise<void>;
  /** Returns a small object; null if it does not exist. */
  read(name: string): Promise<Uint8Array | null>;
  /** Returns the names of objects that begin with `prefix`, which ends with `/`. */
  list(prefix: string): Promise<readonly string[]>;
}

export type StoreOptions = {
  /** A request to a bucket that makes no progress for this long has failed. */
  readonly stallMs: number;
  /** Directories must be below this one; null: anywhere. */
  readonly exportDir: string | null;
  /** Says in errors how a bucket is reached. */
  readonly via?: string;
};

/** Opens a place. @param url `s3://bucket/prefix`, or the absolute path of a directory. */
export function openExportStore(url: string, options: StoreOptions): ExportStore {
  const place = parseS3Prefix(url);
  if (place === null) return new DirectoryStore(url, options.exportDir);
  return new BucketStore(place.bucket, place.prefix, options);
}

class BucketStore implements ExportStore {
  readonly #bucket: string;
  readonly #prefix: string;
  readonly #stallMs: number;
  readonly #via: string;

  constructor(bucket: string, prefix: string, { stallMs, via = "" }: StoreOptions) {
    this.#bucket = bucket;
    this.#prefix = prefix === "" || prefix.endsWith("/") ? prefix : `${prefix}/`;
    this.#stallMs = stallMs;
    this.#via = via;
  }

  create(name: string, once = false): Promise<ArchiveTarget> {
    const object = this.#nameOf(name);
    const upload = once ? uploadS3Object(object, this.#via, 0) : uploadS3Object(object, this.#via);
    const place = `s3://${object.bucket}/${object.key}${this.#via}`;
    const within = <T>(work: Promise<T>): Promise<T> => this.#within(place, work);
    let written = 0;
    return Promise.resolve({
      write: async (bytes) => {
        await within(upload.write(bytes));
        written += bytes.length;
      },
      finish: async () => {
        await within(upload.finish());
        const stored = await within(sizeOfS3Object(object, this.#via));
        if (stored === written) return;
        throw new ArchiveUnavailable(
          `${place}: the store says that it has ${stored} bytes instead of ${written}`,
        );
      },
      abandon: () => within(upload.abandon()).catch(() => undefined),
    });
  }

  async remove(name: string): Promise<void> {
    const object = this.#nameOf(name);
    await this.#within(
      `s3://${object.bucket}/${object.key}${this.#via}`,
      removeS3Object(object, this.#via),
    );
  }

  async read(name: string): Promise<Uint8Array | null> {
    const object = this.#nameOf(name);
    return await this.#within(
      `s3://${object.bucket}/${object.key}${this.#via}`,
      readS3Object(object, this.#via),
    );
  }

  async list(prefix: string): Promise<readonly string[]> {
    const whole = this.#prefix + prefix;
    const place = { bucket: this.#bucket, prefix: whole };
    const found = await listS3Objects(place, this.#via);
    const before = `s3://${this.#bucket}/${this.#prefix}`;
    return found.map((each) => each.place.slice(before.length));
  }

  #nameOf(name: string): { readonly bucket: string; readonly key: string } {
    return { bucket: this.#bucket, key: this.#prefix + name };
  }

  async #within<T>(place: string, work: Promise<T>): Promise<T> {
    const { promise, reject } = Promise.withResolvers<never>();
    const timer = setTimeout(() => {
      reject(new ArchiveUnavailable(`${place}: no progress within ${this.#stallMs} ms`));
    }, this.#stallMs);
    // The loser of the race may fail later, when nobody listens.
    work.catch(() => undefined);
    try {
      return await Promise.race([work, promise]);
    } finally {
      clearTimeout(timer);
    }
  }
}
