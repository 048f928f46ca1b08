import protobuf from "protobufjs";
import api from "protobufjs/google/protobuf/api.json";
import descriptor from "protobufjs/google/protobuf/descriptor.json";
import sourceContext from "protobufjs/google/protobuf/source_context.json";
import type_ from "protobufjs/google/protobuf/type.json";

type Nested = { readonly [name: string]: protobuf.AnyNestedObject };
type Known = { readonly nested: Nested; readonly imports: readonly string[] };

const PREFIX = "google/protobuf/";
/** Files that protobufjs has beside those that it knows by itself, with what they import. */
const FURTHER: ReadonlyMap<string, Known> = new Map(
  (
    [
      ["api", api, ["source_context", "type"]],
      ["descriptor", descriptor, []],
      ["source_context", sourceContext, []],
      ["type", type_, ["any", "source_context"]],
    ] as const
  ).map(([name, json, imports]) => [
    `${PREFIX}${name}.proto`,
    {
      nested: json.nested as unknown as Nested,
      imports: imports.map((each) => `${PREFIX}${each}.proto`),
    },
  ]),
);

/**
 * Adds the declarations of the imports that are known.
 *
 * @returns the others. They matter only if one of their types is used: most files of that kind
 * (`google/api/annotations.proto`, `buf/validate/validate.proto`) only declare options.
 */
export function addImports(root: protobuf.Root, paths: Iterable<string>): string[] {
  const unknown: string[] = [];
  const seen = new Set<string>();
  const open = [...paths];
  for (let path = open.pop(); path !== undefined; path = open.pop()) {
    if (seen.has(path)) continue;
    seen.add(path);
    const further = FURTHER.get(path);
    const nested = further?.nested ?? protobuf.common.get(path)?.nested;
    if (nested === undefined || nested === null) unknown.push(path);
    else addMissing(root, nested as Nested);
    open.push(...(further?.imports ?? []));
  }
  return unknown.reverse();
}

/** Some of the files hold declarations of others too; nothing may be declared twice. */
function addMissing(root: protobuf.NamespaceBase, nested: Nested): void {
  for (const [name, declared] of Object.entries(nested)) {
    const before = root.get(name);
    const isType = "fields" in declared || "values" in declared;
    if (before === null) root.addJSON({ [name]: declared });
    else if (!isType && before instanceof protobuf.Namespace && "nested" in declared) {
      addMissing(before, declared.nested as Nested);
    }
  }
}

/** Types of messages only: services and their methods play no part in decoding. */
export function dropServices(namespace: protobuf.NamespaceBase): void {
  for (const object of [...namespace.nestedArray]) {
    if (object instanceof protobuf.Service) namespace.remove(object);
    else if (object instanceof protobuf.Namespace) dropServices(object);
  }
}
