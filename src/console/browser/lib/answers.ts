/** Answers of the API, with the fields that the console reads. */

export type TopicSummary = {
  readonly topic: string;
  readonly partitions: number;
  readonly messages: number;
  readonly bytes: number;
};
export type TopicList = { readonly topics: readonly TopicSummary[] };

export type Partition = {
  readonly partition: number;
  readonly low_watermark: number;
  readonly end_offset: number;
  readonly bytes: number;
};
export type GroupPosition = {
  readonly group: string;
  readonly partition: number;
  readonly committed_offset: number | null;
  readonly lag: number;
};
export type Topic = {
  readonly topic: string;
  readonly partitions: readonly Partition[];
  readonly groups: readonly GroupPosition[];
};

export type OffsetsAt = {
  readonly offsets: readonly { readonly partition: number; readonly offset: number }[];
};

/** Message as returned with `encoding=b64`. */
export type Message = {
  readonly offset: number;
  readonly partition: number;
  readonly timestamp_ms: number;
  readonly value_b64: string;
  readonly key_b64?: string;
  /** By name; absent if there are none. */
  readonly headers?: Readonly<Record<string, string>>;
};
export type Page = {
  readonly messages: readonly Message[];
  readonly next_offset: number;
  /** True if the page ended because of its bytes, not because of its number of messages. */
  readonly truncated: boolean;
  readonly low_watermark: number;
  readonly end_offset: number;
};

export type Produced = {
  readonly offset?: number;
  readonly first_offset?: number;
  readonly count?: number;
  readonly partition: number;
  readonly durable?: boolean;
  readonly synced: boolean | null;
  readonly mode?: string;
  readonly acked_by?: number;
  readonly duplicate?: boolean;
  readonly payload_matches?: boolean;
  /** False for a duplicate whose first write is not committed yet. */
  readonly sealed?: boolean;
};
export type Committed = { readonly committed_offset: number };
export type Deleted = { readonly deleted_count: number; readonly freed_bytes: number };

export type RetentionPolicy = {
  readonly topic: string;
  readonly partition: number | null;
  readonly ttl_ms: number | null;
  readonly max_bytes: number | null;
};
export type RetentionList = { readonly policies: readonly RetentionPolicy[] };

export type NamespaceList = {
  readonly namespaces: readonly { readonly namespace: string; readonly revision: number }[];
};
export type KeySummary = {
  readonly key: string;
  readonly cas: number;
  readonly bytes: number;
  readonly ttl_ms: number;
};
export type KeyList = { readonly keys: readonly KeySummary[]; readonly next: string | null };
export type KeyValue = { readonly value: string; readonly cas: number };
export type KeyMeta = { readonly cas: number; readonly ttl_ms: number; readonly bytes: number };
export type KeyWritten = { readonly cas: number };

export type ViewList = {
  readonly views: readonly { readonly view: string; readonly lag: number }[];
};

export type Member = {
  readonly node_id: string;
  readonly advertise_addr: string;
  readonly http_addr: string;
  readonly priority: number;
  readonly is_voter: boolean;
  readonly is_learner: boolean;
  readonly role: string;
  readonly match_index: number | null;
  readonly healthy: boolean;
};
export type Membership = {
  readonly membership: {
    readonly epoch: number;
    readonly joint_active: boolean;
    readonly nodes: readonly Member[];
    readonly leader_id: string | null;
    readonly term: number;
  };
};
