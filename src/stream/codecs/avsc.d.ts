/**
 * The part of avsc that holds types and schemas; its entry also loads files, streams and services.
 * The shapes below are those that we read (avsc's own declarations cover its entry only).
 */
declare module "avsc/lib/types.js" {
  export interface AvroType {
    readonly typeName: string;
    readonly name?: string;
    readonly branchName: string;
    readonly size: number;
    readonly symbols: readonly string[];
    readonly types: readonly AvroType[];
    readonly itemsType: AvroType;
    readonly valuesType: AvroType;
    readonly fields: readonly {
      readonly name: string;
      readonly type: AvroType;
      readonly aliases: readonly string[];
    }[];
    /** The parsing canonical form. */
    schema(): unknown;
  }
  export const Type: {
    forSchema(schema: unknown, options: { readonly wrapUnions: "always" }): AvroType;
  };
}
